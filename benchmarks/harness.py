"""What the benchmark scripts share: options, threads, datasets, timing, and the file their results go to.

`results/reference/benchmarks.json` has one section a script, independent of the others:

    sections.NAME.machine     processor, cores, memory, platform
    sections.NAME.versions    of Python and the packages that decide speed
    sections.NAME.settings    what was measured, the same for all records of the section
    sections.NAME.records     model (or another key) -> figures, with the `commit` and the time they were `finished`

A record is written as soon as it is measured. Records of other settings or of another machine are dropped by the first
new one, so that a section never mixes them.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kelbench.base.files import write_json
from kelbench.base.memory import keep_freed_memory
from kelbench.base.provenance import code_commit, cpu_model, package_versions
from kelbench.config.datasets import load_dataset
from kelbench.config.methods import SCORE_FUNCTION_METHODS
from kelbench.data.fetch import fetch_dataset
from kelbench.data.prepare import prepare_dataset
from kelbench.data.prepared import PREPARED_FOLDER, PreparedDataset
from kelbench.report.performance import FORMAT, REFERENCE, read_sections
from kelbench.training.session import set_threads

GIB = 1 << 30
_VERSIONS = ("python", "torch", "pykeen", "numba", "numpy")
# What is measured where FB15k-237 cannot be fetched: it comes with the PyKEEN package.
FALLBACK = "kinships"

Result = TypeVar("Result")


def parser(description: str | None, models: bool = True) -> argparse.ArgumentParser:
    """The options that every script has: --threads, --out, and --models where it measures models."""
    options = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--out", type=Path, default=REFERENCE, help="JSON file that the section is merged into")
    if models:
        options.add_argument("--models", nargs="+", choices=SCORE_FUNCTION_METHODS, default=SCORE_FUNCTION_METHODS)
    return options


def add_dataset_options(options: argparse.ArgumentParser, default: str) -> None:
    """--dataset and --prepared."""
    options.add_argument("--dataset", default=default)
    options.add_argument("--prepared", type=Path, help="folder of a dataset that is prepared already")


def start(threads: int) -> None:
    """Grant threads and memory to both programs as jobs do, and keep PyKEEN's own reports out of the output."""
    for noisy in ("pykeen", "torch_max_mem"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    set_threads(threads)
    keep_freed_memory()


def open_dataset(name: str, prepared: Path | None) -> PreparedDataset:
    """The prepared dataset at `prepared`, or `name`, fetched and prepared where it is not yet.

    Where the files of `name` cannot be had, this says so and takes the one that needs no network.
    """
    if prepared is not None:
        return PreparedDataset(prepared)
    folder = PREPARED_FOLDER / name
    if not (folder / "manifest.json").is_file():
        try:
            fetch_dataset(load_dataset(name), Path("data/fetched") / f"{name}.json")
        except Exception as error:  # whatever keeps a download from succeeding
            if name == FALLBACK:
                raise
            print(f"# {name} cannot be had ({error}); measuring {FALLBACK} instead", flush=True)
            return open_dataset(FALLBACK, None)
        prepare_dataset(load_dataset(name), folder)
    return PreparedDataset(folder)


def seconds_of(work: Callable[[], Result]) -> tuple[float, Result]:
    """Wall-clock seconds that `work` takes, and what it returns."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def median_seconds(work: Callable[[], Result], repeats: int, warm_up: bool = True) -> tuple[list[float], Result]:
    """Seconds of `repeats` runs, after one that is not counted where `warm_up`, and the last result.

    The caller takes the median; the runs are kept so that their spread can be shown.
    """
    if warm_up:
        work()
    seconds = []
    for _ in range(repeats):
        taken, result = seconds_of(work)
        seconds.append(taken)
    return seconds, result


def median(values: list[float]) -> float:
    """Median."""
    return statistics.median(values)


def rounded(value: float, digits: int = 4) -> float:
    """`value` with so many significant digits: more would be noise, and a diff of it."""
    return float(f"{value:.{digits}g}")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in GiB, and the system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return {
        "cpu": cpu_model(),
        "cores": cores,
        "memory_gib": round(memory, 1),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Versions of Python and the packages that decide speed."""
    found = package_versions()
    return {name: found[name] for name in _VERSIONS if name in found}


class Section:
    """One section of the results file."""

    def __init__(self, path: Path, name: str, settings: dict[str, Any]) -> None:
        self._path, self._name, self._settings = path, name, settings

    def records(self) -> dict[str, dict[str, Any]]:
        """What was measured so far with these settings on this machine."""
        section = read_sections(self._path).get(self._name)
        return dict(section["records"]) if section and self._fits(section) else {}

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Write one record at once; the other sections of the file stay as they are."""
        records = self.records()
        finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        records[key] = record | {"commit": code_commit(), "finished": finished}
        sections = read_sections(self._path)
        sections[self._name] = {
            "machine": machine(),
            "versions": versions(),
            "settings": self._settings,
            "records": records,
        }
        write_json(self._path, {"format": FORMAT, "sections": sections})

    def _fits(self, section: dict[str, Any]) -> bool:
        return bool(section["settings"] == self._settings and section["machine"] == machine())


def show(name: str, model: str, **fields: Any) -> None:
    """Print one line: `name model key=value ...`, in the order given."""
    print(f"{name} {model} " + " ".join(f"{key}={value}" for key, value in fields.items()), flush=True)


def show_heading(section: str, settings: dict[str, Any]) -> None:
    """Print what is measured and where, as a comment line."""
    facts = ", ".join(f"{key} {value}" for key, value in settings.items())
    here = machine()
    versions_here = ", ".join(f"{key} {value}" for key, value in versions().items())
    print(f"# {section}: {facts}; {here['cpu']}, {here['cores']} cores; {versions_here}", flush=True)

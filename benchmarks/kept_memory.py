"""Steps of CLEP with and without keeping freed memory: seconds, pages that the system hands out, and peak memory.

    python benchmarks/kept_memory.py [--steps 10] [--threads 1] [--rounds 3] [--prepared FOLDER]

Trains CLEP as its registry entry says (a bag of words, two CompGCN layers) with 4,096 answers a step. Whether a process
keeps its memory is settled once, so each measurement is a process of its own; both kinds alternate: `kept` is what jobs
do, `returned` what a process does by itself. Figures are medians over rounds, after steps that are not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np

from kelbench.base.memory import keep_freed_memory
from kelbench.base.provenance import peak_memory_mib
from kelbench.config.clep import ContrastiveSettings
from kelbench.config.experiment import load_method
from kelbench.data.prepared import PreparedDataset
from kelbench.methods.clep.model import ContrastiveModel
from kelbench.methods.clep.training import ContrastiveTraining
from kelbench.training.processes import Processes
from kelbench.training.session import set_threads

KINDS = ("kept", "returned")
WARM_UP = 3
ANSWERS = 4096


def main() -> None:
    """Measure both kinds."""
    options = harness.parser(__doc__, models=False)
    options.set_defaults(threads=1)
    options.add_argument("--steps", type=int, default=10)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--prepared", type=Path, help="folder of a dataset that is prepared already")
    options.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.kind is not None:
        print(json.dumps(measure(chosen)))
        return
    dataset = harness.open_dataset("fb15k-237", chosen.prepared)
    if not dataset.text_sources:
        print(f"# kept memory: CLEP reads descriptions, and {dataset.name} has none; not measured", flush=True)
        return
    settings = {"dataset": dataset.name} | {key: getattr(chosen, key) for key in ("steps", "threads", "rounds")}
    harness.show_heading("kept memory", settings)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for _ in range(chosen.rounds):
        for kind in KINDS:
            found[kind].append(json.loads(child(kind, dataset.folder)))
    section = harness.Section(chosen.out, "kept-memory", settings)
    for kind, rounds in found.items():
        record = {key: harness.rounded(harness.median([values[key] for values in rounds])) for key in rounds[0]}
        section.add(kind, record)
        harness.show("kept-memory", kind, **record)


def child(kind: str, prepared: Path) -> str:
    """What a process that keeps its memory, or returns it, prints."""
    command = [sys.executable, *sys.argv, "--prepared", str(prepared), "--kind", kind]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1]


def measure(chosen: argparse.Namespace) -> dict[str, float]:
    """Seconds a step on the wall and of the processor, pages a step, and this process's peak memory."""
    set_threads(chosen.threads)
    if chosen.kind == "kept":
        keep_freed_memory()
    options = load_method("clep").settings["native"] | {"batch_size": ANSWERS}
    dataset = PreparedDataset(chosen.prepared)
    triples = np.asarray(dataset.triples("train"))
    model = ContrastiveModel(ContrastiveSettings(**options), dataset, 1)
    training = ContrastiveTraining(model, triples, dataset.num_relations, 1, Processes())
    batches = enumerate(training.batches(triples, 1))
    for _ in range(WARM_UP):
        number, batch = next(batches)
        training.step(batch, 1, number)
    begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(chosen.steps):
        number, batch = next(batches)
        training.step(batch, 1, number)
    taken, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "seconds": taken / chosen.steps,
        "processor_seconds": processor / chosen.steps,
        "pages": (after.ru_minflt - used.ru_minflt) / chosen.steps,
        "peak_mib": peak_memory_mib(),
    }


if __name__ == "__main__":
    main()

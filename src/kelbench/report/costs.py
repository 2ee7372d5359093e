"""Provenance and cost: what made the results, on what machine, in what time. The one part that differs between runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kelbench.base.errors import UserError
from kelbench.base.files import read_json
from kelbench.config.experiment import Experiment, Run
from kelbench.leaderboard.results import seed_folder
from kelbench.report.curves import read_curve
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import DASH, count, duration

_SHORT_COMMIT = 12


@dataclass(frozen=True)
class Costs:
    """What the provenance section shows: tables, and the command of every seed."""

    total: str
    table: Table
    machines: Table
    commands: list[str]


def read_costs(experiment: Experiment) -> Costs:
    """Gather provenance.json and timing.jsonl of every seed.

    Raises:
        UserError: a file is missing; names it and the step.
    """
    rows = []
    records: list[dict[str, Any]] = []
    for (_, name), run in sorted(experiment.runs.items()):
        of_run = [_provenance(run, seed, name) for seed in run.seeds]
        records += of_run
        rows.append(_cost_row(run, of_run))
    columns = [
        Column("Run"),
        Column("Dataset"),
        Column("Seeds", True),
        Column("Parameters", True),
        Column("Epochs", True),
        Column("Training, a seed", True),
        Column("An epoch", True),
        Column("Peak memory, MiB", True),
        Column("Threads", True),
    ]
    total = sum(float(record.get("seconds", 0.0)) for record in records)
    table = Table("cost", "Cost of training; memory is that of the process", columns, [Group(rows)])
    commands = sorted({" ".join(str(word) for word in record.get("command", [])) for record in records})
    return Costs(duration(total), table, _machines(records), commands)


def _provenance(run: Run, seed: int, name: str) -> dict[str, Any]:
    path = seed_folder(run, seed) / "provenance.json"
    if not path.is_file():
        raise UserError(f"{path}: expected provenance here, found none; run kelbench train for run {name}")
    return dict(read_json(path))


def _cost_row(run: Run, records: list[dict[str, Any]]) -> list[Cell]:
    seconds = [float(record["seconds"]) for record in records if "seconds" in record]
    facts = [record.get("facts", {}) for record in records]
    mean = sum(seconds) / len(seconds) if seconds else None
    memory = [int(record["peak_memory_mib"]) for record in records if "peak_memory_mib" in record]
    epoch = _epoch_seconds(run)
    return [
        Cell(run.name),
        Cell(run.dataset),
        Cell(str(len(run.seeds)), len(run.seeds)),
        _range([fact["parameters"] for fact in facts if fact.get("parameters") is not None]),
        _range([fact["epochs"] for fact in facts if fact.get("epochs") is not None]),
        Cell(duration(mean), mean) if mean is not None else Cell(DASH),
        Cell(f"{epoch:.3f} s", epoch) if epoch is not None else Cell(DASH),
        _range(memory),
        Cell(str(run.threads), run.threads),
    ]


def _epoch_seconds(run: Run) -> float | None:
    """Mean seconds of an epoch: the last time stamp over the last epoch, averaged over seeds."""
    found = []
    for seed in run.seeds:
        timing = read_curve(seed_folder(run, seed) / "timing.jsonl")
        if timing and timing[-1].get("epoch"):
            found.append(float(timing[-1]["seconds"]) / float(timing[-1]["epoch"]))
    return sum(found) / len(found) if found else None


def _range(values: list[int]) -> Cell:
    if not values:
        return Cell(DASH)
    low, high = min(values), max(values)
    return Cell(count(low) if low == high else f"{count(low)}{DASH}{count(high)}", high)


def _machines(records: list[dict[str, Any]]) -> Table:
    """One row for each distinct combination of code, machine and versions."""
    distinct: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(record.get("versions", {}).items()))
        commit = str(record.get("commit") or "no checkout")
        key = (
            commit[:_SHORT_COMMIT] + ("+changes" if commit.endswith("+changes") else ""),
            str(record.get("cpu", DASH)),
            str(record.get("cpu_count", DASH)),
            str(record.get("platform", DASH)),
            versions,
        )
        distinct.setdefault(key, []).append(str(record.get("finished", "")))
    columns = [
        Column("Commit"),
        Column("Processor"),
        Column("Cores", True),
        Column("System"),
        Column("Versions"),
        Column("Models", True),
        Column("Finished"),
    ]
    rows = [
        [*(Cell(part) for part in key), Cell(str(len(times)), len(times)), Cell(f"{min(times)} to {max(times)}")]
        for key, times in sorted(distinct.items())
    ]
    return Table("machines", "Code, machine and versions", columns, [Group(rows)])

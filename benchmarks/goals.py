"""The goals of performance, and what results/reference/benchmarks.json says of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kelbench.report.performance import Section, ordered
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import DASH, count, duration

DOT_MODELS = ("distmult", "complex", "simple")
MODELS = (*DOT_MODELS, "rotate", "transe")
# What a section must have been measured with, to speak of its goal.
WIKIDATA5M = {"entities": 4_594_485, "relations": 822, "threads": 2}
CONDITIONS: dict[str, dict[str, Any]] = {
    "ranking": {"dataset": "fb15k-237", "dimension": 200, "threads": 2},
    "training": {"dataset": "fb15k-237", "dimension": 200, "batch_size": 1024, "negatives": 256, "threads": 2},
    "quality": {"dataset": "codex-s", "minutes": 15.0, "threads": 2},
    "convergence": {"dataset": "fb15k-237", "target": 0.335, "threads": 2},
    "size-ranking": WIKIDATA5M | {"test_triples": 5_133, "dimension": 256, "share": 1.0},
    "size-training": WIKIDATA5M | {"dimension": 128, "negatives": 1000},
}
MEMORY_GB = 12.0
GB_A_GIB = 1.073741824


@dataclass(frozen=True)
class Outcome:
    """One goal for one model: as words, what was measured, and whether that reaches it; None where nothing was."""

    goal: str
    model: str
    wanted: str
    measured: str
    reached: bool | None


def outcomes(measured: dict[str, Section]) -> list[Outcome]:
    """Every goal for every model that it speaks of; sections measured with other settings than its own do not count."""
    sections = {name: section for name, section in measured.items() if _speaks_of_goal(name, section)}
    return [
        *_ratios(sections, "ranking", "Filtered ranking, times PyKEEN", "ratio", 100),
        _ratio(sections, "ranking", "transe", "The same without early termination", "ratio_exhaustive", 50),
        *_ratios(sections, "training", "Training with per-triple negatives, times PyKEEN", "ratio", 10),
        *_ratios(sections, "training", "Training with shared negatives, times PyKEEN", "ratio_shared", 30),
        *(_quality(sections, model) for model in MODELS),
        _convergence(sections),
        *(_size_ranking(sections, model, 600) for model in DOT_MODELS),
        _size_ranking(sections, "transe", 2400),
        *_size_training(sections),
        # No benchmark here uses a GPU.
        Outcome(
            "One H200: training, 400 reals, 1000 negatives", "ComplEx", "at least 4,000,000 positives/s", DASH, None
        ),
        Outcome("One H200: ranking among 4,594,485 entities, 512 reals", "each", "at most 20 s", DASH, None),
    ]


def _speaks_of_goal(name: str, section: Section) -> bool:
    settings = section["settings"]
    return all(settings.get(key) == value for key, value in CONDITIONS.get(name, {}).items())


def goals_table(sections: dict[str, Section]) -> Table:
    """`outcomes` as a table."""
    columns = [Column("Goal"), Column("Model"), Column("Wanted", True), Column("Measured", True), Column("Reached")]
    words = {True: "yes", False: "**no**", None: "not measured"}
    rows = [
        [Cell(item.goal), Cell(item.model), Cell(item.wanted), Cell(item.measured), Cell(words[item.reached])]
        for item in outcomes(sections)
    ]
    return Table("goals", "Goals and what was measured", columns, [Group(rows)])


def _record(sections: dict[str, Section], section: str, key: str) -> dict[str, Any] | None:
    return sections[section]["records"].get(key) if section in sections else None


def _label(model: str) -> str:
    return ordered({model: {}})[0][0]


def _ratios(sections: dict[str, Section], section: str, goal: str, field: str, least: float) -> Iterator[Outcome]:
    for model in MODELS:
        yield _ratio(sections, section, model, goal, field, least)


def _ratio(sections: dict[str, Section], section: str, model: str, goal: str, field: str, least: float) -> Outcome:
    record = _record(sections, section, model)
    value = record.get(field) if record else None
    wanted = f"at least {least:g}x"
    if value is None:
        return Outcome(goal, _label(model), wanted, DASH, None)
    return Outcome(goal, _label(model), wanted, f"{value:.1f}x", value >= least)


def _quality(sections: dict[str, Section], model: str) -> Outcome:
    goal, wanted = "Time to PyKEEN's best validation MRR on CoDEx-S, times shorter", "at least 20x"
    record = _record(sections, "quality", model)
    if record is None or "kelbench" not in record:
        return Outcome(goal, _label(model), wanted, DASH, None)
    if not record["kelbench"]["reached"]:
        return Outcome(goal, _label(model), wanted, f"not reached, {record['kelbench']['mrr']:.4f}", False)
    return Outcome(goal, _label(model), wanted, f"{record['ratio']:.1f}x", record["ratio"] >= 20)


def _convergence(sections: dict[str, Section]) -> Outcome:
    goal, wanted = "FB15k-237 from zero to validation MRR 0.335", "at most 15 min"
    record = _record(sections, "convergence", "complex")
    if record is None:
        return Outcome(goal, _label("complex"), wanted, DASH, None)
    if not record["reached"]:
        return Outcome(goal, _label("complex"), wanted, f"not reached, {record['best_validation_mrr']:.4f}", False)
    return Outcome(goal, _label("complex"), wanted, duration(record["seconds"]), record["seconds"] <= 900)


def _size_ranking(sections: dict[str, Section], model: str, most_seconds: float) -> Outcome:
    goal = "Ranking among 4,594,485 entities, 256 reals"
    wanted = f"at most {most_seconds / 60:.0f} min, {MEMORY_GB:.0f} GB"
    record = _record(sections, "size-ranking", model)
    if record is None:
        return Outcome(goal, _label(model), wanted, DASH, None)
    memory = record["peak_rss_gib"] * GB_A_GIB
    measured = f"{duration(record['seconds'])}, {memory:.1f} GB"
    return Outcome(goal, _label(model), wanted, measured, record["seconds"] <= most_seconds and memory <= MEMORY_GB)


def _size_training(sections: dict[str, Section]) -> Iterator[Outcome]:
    """The better batch size of each model that was trained."""
    goal, wanted = "Training with 4,594,485 entities, 128 reals", f"at least 15,000 positives/s, {MEMORY_GB:.0f} GB"
    records = sections["size-training"]["records"] if "size-training" in sections else {}
    for model in ("complex", "transe"):
        of_model = [record for record in records.values() if record["method"] == model]
        if not of_model:
            yield Outcome(goal, _label(model), wanted, DASH, None)
            continue
        best = max(of_model, key=lambda record: record["positives_per_second"])
        memory, rate = best["peak_rss_gib"] * GB_A_GIB, best["positives_per_second"]
        measured = f"{count(rate)} positives/s in batches of {best['batch_size']}, {memory:.1f} GB"
        yield Outcome(goal, _label(model), wanted, measured, rate >= 15_000 and memory <= MEMORY_GB)

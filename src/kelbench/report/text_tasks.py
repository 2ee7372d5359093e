"""The tables of text tasks: what each run reaches, controls set apart."""

from __future__ import annotations

from typing import Any

from kelbench.report.board import CONTROL, Board
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import interval, metric_value
from kelbench.tasks.entity_linking import SUBSETS

# Candidate set and metric of each column, and its heading.
_COLUMNS = {
    ("given", "accuracy"): "Accuracy among the given",
    ("all", "hits@1"): "Hits@1 among all",
    ("all", "hits@10"): "Hits@10 among all",
    ("all", "mrr"): "MRR among all",
}

Record = dict[str, Any]


def linking_tables(board: Board, dataset: str) -> list[Table]:
    """Entity linking on a dataset: of all mentions; of those that mean a connected entity, where not all do."""
    records = [
        record
        for record in board.content.get("text_tasks", [])
        if record["dataset"] == dataset and record["task"] == "entity_linking"
    ]
    every, connected = ([record for record in records if record["subset"] == subset] for subset in SUBSETS)
    if not every:
        return []
    title = f"{board.title(dataset)}: {_mentions(every)} linked, zero-shot, with 95 % intervals over mentions"
    tables = [_table(board, dataset, every, f"linking-{dataset}", title)]
    if connected and _counts(connected)["all"] != _counts(every)["all"]:
        title = f"{board.title(dataset)}: the {_mentions(connected)} that mean an entity with a training triple"
        tables.append(_table(board, dataset, connected, f"linking-connected-{dataset}", title))
    return tables


def _counts(records: list[Record]) -> dict[str, int]:
    """Set of candidates -> number of mentions that choose among it."""
    return {record["candidates"]: record["n_examples"] for record in records}


def _mentions(records: list[Record]) -> str:
    """How many there are, and how many of them leave a choice among given candidates."""
    found = _counts(records)
    given = found.get("given", 0)
    choice = "" if given == found["all"] else f" ({given:,} with given candidates)"
    return f"{found['all']:,} mentions{choice}"


def _table(board: Board, dataset: str, records: list[Record], identifier: str, caption: str) -> Table:
    found: dict[str, dict[tuple[str, str], Record]] = {}
    for record in records:
        found.setdefault(record["run"], {})[record["candidates"], record["metric"]] = record
    # Where no mention has two candidates there is no choice among given ones.
    shown = {key: label for key, label in _COLUMNS.items() if all(key in of_run for of_run in found.values())}
    best = {key: max(of_run[key]["mean"] for of_run in found.values()) for key in shown}
    first = next(iter(shown))
    ordered = sorted(found, key=lambda run: (-found[run][first]["mean"], run))
    kinds = board.runs(dataset)
    methods = [_cells(run, found[run], best) for run in ordered if kinds[run]["kind"] != CONTROL]
    controls = [_cells(run, found[run], best) for run in ordered if kinds[run]["kind"] == CONTROL]
    columns = [Column("Run"), Column("Encoder"), *(Column(label, True, "up") for label in shown.values())]
    groups = [Group(methods), Group(controls, "Controls")]
    return Table(identifier, caption, columns, [group for group in groups if group.rows])


def _cells(run: str, records: dict[tuple[str, str], Record], best: dict[tuple[str, str], float]) -> list[Cell]:
    cells = [Cell(run), Cell(records["all", "hits@1"]["encoder"] or "\N{EN DASH}")]
    for key, highest in best.items():
        record = records[key]
        notes = (interval(record["ci_test"]),) if record["ci_test"] is not None else ()
        shown = metric_value(record["metric"], record["mean"])
        cells.append(Cell(shown, record["mean"], notes=notes, strong=record["mean"] == highest))
    return cells

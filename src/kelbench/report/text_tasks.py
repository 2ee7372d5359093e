"""The tables of text tasks: what each run reaches, controls set apart."""

from __future__ import annotations

from typing import Any

from kelbench.report.board import CONTROL, Board
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import interval, metric_value

# Candidate set and metric of each column, and its heading.
_COLUMNS = {
    ("given", "hits@1"): "Accuracy among the given",
    ("all", "hits@1"): "Hits@1 among all",
    ("all", "hits@10"): "Hits@10 among all",
    ("all", "mrr"): "MRR among all",
}

Record = dict[str, Any]


def linking_table(board: Board, dataset: str) -> Table | None:
    """Entity linking on a dataset; None where no run is tested on it."""
    records = [
        record
        for record in board.content.get("text_tasks", [])
        if record["dataset"] == dataset and record["task"] == "entity_linking"
    ]
    found: dict[str, dict[tuple[str, str], Record]] = {}
    for record in records:
        found.setdefault(record["run"], {})[record["candidates"], record["metric"]] = record
    if not found:
        return None
    best = {key: max(of_run[key]["mean"] for of_run in found.values()) for key in _COLUMNS}
    ordered = sorted(found, key=lambda run: (-found[run]["given", "hits@1"]["mean"], run))
    kinds = board.runs(dataset)
    methods = [_cells(run, found[run], best) for run in ordered if kinds[run]["kind"] != CONTROL]
    controls = [_cells(run, found[run], best) for run in ordered if kinds[run]["kind"] == CONTROL]
    first = records[0]
    caption = (
        f"{board.title(dataset)}: {first['n_examples']} mentions linked, zero-shot, with 95 % intervals over mentions"
    )
    columns = [Column("Run"), Column("Encoder"), *(Column(label, True, "up") for label in _COLUMNS.values())]
    groups = [Group(methods), Group(controls, "Controls")]
    return Table(f"linking-{dataset}", caption, columns, [group for group in groups if group.rows])


def _cells(run: str, records: dict[tuple[str, str], Record], best: dict[tuple[str, str], float]) -> list[Cell]:
    cells = [Cell(run), Cell(records["given", "hits@1"]["encoder"] or "\N{EN DASH}")]
    for key in _COLUMNS:
        record = records[key]
        notes = (interval(record["ci_test"]),) if record["ci_test"] is not None else ()
        shown = metric_value(record["metric"], record["mean"])
        cells.append(Cell(shown, record["mean"], notes=notes, strong=record["mean"] == best[key]))
    return cells

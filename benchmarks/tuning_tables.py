"""Tables of fine-tuning, for the document that tells what pre-training is worth: differences, and curves in numbers."""

from __future__ import annotations

from kelbench.report.board import Board
from kelbench.report.clep_runs import Curves, tuning_view
from kelbench.report.curves import mean_series, read_curve, series_of
from kelbench.report.exports import markdown_table
from kelbench.report.tables import Cell, Column, Group, Table

_NONE = Cell("\N{EN DASH}")


def titled_tuning(boards: list[Board]) -> list[str]:
    """For each dataset with a run that goes on from another: the differences, then validation MRR by epoch.

    Raises:
        UserError: the learning curve of a run is missing beside its leaderboard.
    """
    told = []
    for board in boards:
        for dataset in board.datasets:
            curves = _curves(board, dataset)
            view = tuning_view(board, dataset, curves)
            if view is not None:
                experiment = board.content["experiment"]
                tables = (view.table, _by_epoch(view.title, curves))
                told += [
                    f"**{table.caption}**, experiment {experiment}\n\n" + "\n".join(markdown_table(table))
                    for table in tables
                ]
    return told


def _curves(board: Board, dataset: str) -> Curves:
    """Curves of the runs with a decoder."""
    folder = board.path.parent / dataset
    return {
        run: [read_curve(folder / run / f"seed-{seed}" / "curve.jsonl") for seed in record["seeds"]]
        for run, record in board.runs(dataset).items()
        if record["settings"].get("decoder") is not None
    }


def _by_epoch(title: str, curves: Curves) -> Table:
    """Validation MRR, the mean over seeds, at epochs that some run was validated in."""
    series = {
        run: dict(mean_series([series_of(curve, "validation_mrr") for curve in seeds])) for run, seeds in curves.items()
    }
    epochs = _spread(sorted({epoch for values in series.values() for epoch in values}))
    columns = [Column("run"), *(Column(f"epoch {epoch:g}") for epoch in epochs)]
    rows = [
        [Cell(run), *(Cell(f"{values[epoch]:.4f}") if epoch in values else _NONE for epoch in epochs)]
        for run, values in series.items()
        if values.keys() & epochs
    ]
    return Table("tuning-epochs", f"{title}: validation MRR by epoch", columns, [Group(rows)])


def _spread(epochs: list[float]) -> list[float]:
    """The first, second, fourth, eighth ... and the last."""
    places, place = {0, len(epochs) - 1}, 1
    while place < len(epochs):
        places.add(place - 1)
        place *= 2
    return [epochs[place] for place in sorted(places)] if epochs else []

"""Tables of an experiment's runs, for the documents that tell what a family of methods reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kelbench.report.board import Board
from kelbench.report.clep_runs import texts_read
from kelbench.report.exports import markdown_table
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import signed
from kelbench.report.text_tasks import linking_tables

_NONE = Cell("\N{EN DASH}")
# What a document may ask for beside MRR and Hits@10: metric, what ties count, format.
_FURTHER = {
    "MR": ("mr", "realistic", ".0f"),
    "Hits@1": ("hits@1", "realistic", ".3f"),
    "MRR, ties optimistic": ("mrr", "optimistic", ".4f"),
}


def titled_tables(
    boards: list[Board], wanted: Callable[[str], bool], further: Sequence[str] = (), ceilings: bool = False
) -> str:
    """A table for each dataset with a run of a wanted method, under its title and the experiment's name.

    Args:
        boards: leaderboards.
        wanted: a method's label to whether its runs are told; controls are told with them.
        further: columns of _FURTHER.
        ceilings: tell the texts that a run reads, and what a scorer reaches that knows which of them answers.
    """
    return "\n\n".join(
        f"**{board.title(dataset)}**, experiment {board.content['experiment']}\n\n" + "\n".join(markdown_table(table))
        for board in boards
        for dataset in sorted(board.datasets)
        if (table := runs_table(board, dataset, wanted, further, ceilings)).groups
    )


def titled_linking(boards: list[Board]) -> list[str]:
    """The tables of entity linking under their captions, none where nothing was linked."""
    return [
        f"**{table.caption}**\n\n" + "\n".join(markdown_table(table))
        for board in boards
        for dataset in sorted(board.datasets)
        for table in linking_tables(board, dataset)
    ]


def runs_table(
    board: Board, dataset: str, wanted: Callable[[str], bool], further: Sequence[str] = (), ceilings: bool = False
) -> Table:
    """The runs on a dataset, the best test MRR first: MRR, its deviation over seeds, Hits@10, and the comparison.

    Without a run of a wanted method it is empty; it has differences if the run that others are compared with is in it.
    """
    methods, controls = board.ordered(dataset)
    methods = [run for run in methods if wanted(board.runs(dataset)[run]["method"])]
    compared = {item["run"]: item for item in board.comparisons(dataset) if item["compared_with"] in methods}
    one = next(iter(compared.values()))["compared_with"] if compared else ""
    columns = [
        Column("run"),
        Column("encoder"),
        Column("MRR (95 % interval)"),
        Column("sd over seeds"),
        Column("Hits@10"),
        *(Column(title) for title in further),
    ]
    if ceilings:
        columns.append(Column("texts (their oracle MRR)"))
    if compared:
        columns.append(Column(f"minus {one} (95 % interval)"))
    rows = []
    for run in sorted([*methods, *controls], key=lambda run: -_mean(board, dataset, run, "mrr")):
        mrr = board.row(dataset, run)
        if mrr is None:
            continue
        low, high = mrr["ci_test"]
        sd = mrr["sd"]
        cells = [
            Cell(run),
            Cell(mrr["encoder"]) if mrr["encoder"] else _NONE,
            Cell(f"{mrr['mean']:.4f} ({low:.4f}\N{EN DASH}{high:.4f})"),
            _NONE if sd is None else Cell(f"{sd:.4f}"),
            Cell(f"{_mean(board, dataset, run, 'hits@10'):.3f}"),
        ]
        for metric, ties, form in (_FURTHER[title] for title in further):
            cells.append(Cell(format(_mean(board, dataset, run, metric, ties), form)))
        if ceilings:
            cells.append(_ceiling(board, dataset, run) if mrr["encoder"] else _NONE)
        if compared:
            cells.append(_difference(compared.get(run)))
        rows.append(cells)
    return Table(f"runs-{dataset}", board.title(dataset), columns, [Group(rows)] if methods else [])


def _mean(board: Board, dataset: str, run: str, metric: str, ties: str = "realistic") -> float:
    row = board.row(dataset, run, metric, ties=ties)
    return float("-inf") if row is None else float(row["mean"])


def _ceiling(board: Board, dataset: str, run: str) -> Cell:
    source, oracle = texts_read(board, dataset, run)
    # A decoder tells entities of one text apart.
    decoded = board.runs(dataset)[run]["settings"].get("decoder") is not None
    if source is None or oracle is None or decoded:
        return _NONE
    return Cell(f"{source.replace('_', ' ')} ({oracle:.3f})")


def _difference(item: dict[str, object] | None) -> Cell:
    if item is None:
        return _NONE
    low, high = item["interval"]  # type: ignore[misc]
    return Cell(f"{signed(item['difference'])} ({signed(low)} to {signed(high)})")  # type: ignore[arg-type, has-type]

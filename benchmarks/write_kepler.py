"""Write what KEPLER, its variants and their controls reach into docs/kepler.md, between its two marker comments.

    snakemake --cores 2 --configfile config/atlas.yaml
    python benchmarks/write_kepler.py

No figure of the tables is typed by hand: this reads leaderboards, that of config/atlas.yaml unless others are given.
"""

from __future__ import annotations

from pathlib import Path

from documents import begin_marker, write_from_leaderboards

from kelbench.report.board import Board
from kelbench.report.exports import markdown_table
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import signed

LEADERBOARDS = [Path("results/atlas/leaderboard.json")]
DOCUMENT = Path("docs/kepler.md")
BEGIN = begin_marker("write_kepler")
_NONE = Cell("\N{EN DASH}")


def main() -> None:
    """Write the document."""
    write_from_leaderboards(__doc__, LEADERBOARDS, DOCUMENT, BEGIN, tables)


def tables(boards: list[Board]) -> str:
    """A table for each dataset, under its title."""
    return "\n\n".join(
        f"**{board.title(dataset)}**\n\n" + "\n".join(markdown_table(runs_table(board, dataset)))
        for board in boards
        for dataset in sorted(board.datasets)
    )


def runs_table(board: Board, dataset: str) -> Table:
    """Every run on a dataset, the best test MRR first: MRR, its deviation over seeds, Hits@10, and the comparison."""
    compared = {item["run"]: item for item in board.comparisons(dataset)}
    one = next(iter(compared.values()))["compared_with"] if compared else ""
    columns = [
        Column("run"),
        Column("encoder"),
        Column("MRR (95 % interval)"),
        Column("sd over seeds"),
        Column("Hits@10"),
    ]
    if compared:
        columns.append(Column(f"minus {one} (95 % interval)"))
    methods, controls = board.ordered(dataset)
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
        if compared:
            cells.append(_difference(compared.get(run)))
        rows.append(cells)
    return Table(f"kepler-{dataset}", board.title(dataset), columns, [Group(rows)])


def _mean(board: Board, dataset: str, run: str, metric: str) -> float:
    row = board.row(dataset, run, metric)
    return float("-inf") if row is None else float(row["mean"])


def _difference(item: dict[str, object] | None) -> Cell:
    if item is None:
        return _NONE
    low, high = item["interval"]  # type: ignore[misc]
    return Cell(f"{signed(item['difference'])} ({signed(low)} to {signed(high)})")  # type: ignore[arg-type, has-type]


if __name__ == "__main__":
    main()

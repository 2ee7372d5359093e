"""Write what untrained controls made of texts reach into docs/texts.md, between its two marker comments.

    snakemake --cores 2 --configfile config/texts.yaml
    python benchmarks/write_texts.py

No figure of the table is typed by hand: this reads the leaderboard of config/texts.yaml. Where some datasets were
measured again, by an experiment with a part of those runs, its leaderboard is given too, behind that one:

    python benchmarks/write_texts.py --leaderboards results/texts/leaderboard.json results/again/leaderboard.json
"""

from __future__ import annotations

from pathlib import Path

from documents import begin_marker, write_from_leaderboards

from kelbench.report.board import Board
from kelbench.report.exports import markdown_table
from kelbench.report.tables import Cell, Column, Group, Table

LEADERBOARD = Path("results/texts/leaderboard.json")
DOCUMENT = Path("docs/texts.md")
BEGIN = begin_marker("write_texts")
# Run of config/texts.yaml -> how the table calls it, in the order of its rows.
SCORERS = {
    "cosine": "cosine of TF-IDF, entity and relation",
    "cosine-entity": "cosine of TF-IDF, entity alone",
    "cosine-names": "cosine of TF-IDF, names alone",
    "cosine-wikidata": "cosine of TF-IDF, Wikidata label and description",
    "cosine-captions": "cosine of TF-IDF, Wikidata captions alone",
    "name-match": "name match",
    "frequency": "relation frequency",
    "random": "random scorer",
}
# Splits by entity come first, the half-inductive one of a graph before the other.
_LAYOUTS = ("semi", "full")
_NOT_MEASURED = Cell("\N{EN DASH}")


def main() -> None:
    """Write the document."""
    write_from_leaderboards(
        __doc__, [LEADERBOARD], DOCUMENT, BEGIN, lambda boards: "\n".join(markdown_table(texts_table(boards)))
    )


def texts_table(boards: list[Board]) -> Table:
    """One row for each dataset and scorer: test MRR with its interval, and with and without a name match.

    Args:
        boards: leaderboards; all rows of a dataset come from the last one that has it, as versions of a dataset may
            differ between them.

    Raises:
        ValueError: a leaderboard has a run that `SCORERS` has no words for.
    """
    board_of = {dataset: board for board in boards for dataset in board.datasets}
    unknown = {run for dataset, board in board_of.items() for run in board.runs(dataset)} - set(SCORERS)
    if unknown:
        raise ValueError(f"expected the runs of config/texts.yaml, found {', '.join(sorted(unknown))} too")
    columns = [Column("dataset"), Column("scorer"), Column("MRR"), Column("match"), Column("rest")]
    rows = [
        [
            Cell(dataset),
            Cell(SCORERS[run]),
            _whole(board, dataset, run),
            _part(board, dataset, run, "yes"),
            _part(board, dataset, run, "no"),
        ]
        for dataset, board in sorted(board_of.items(), key=lambda item: _position(*item))
        for run in SCORERS
        if run in board.runs(dataset)
    ]
    return Table("texts", "Untrained scorers", columns, [Group(rows)])


def _position(dataset: str, board: Board) -> tuple[bool, str, int]:
    layout = board.datasets[dataset]["layout"]
    if layout not in _LAYOUTS:
        return True, dataset, 0
    return False, dataset.removesuffix(f"-{layout}"), _LAYOUTS.index(layout)


def _whole(board: Board, dataset: str, run: str) -> Cell:
    row = board.row(dataset, run)
    if row is None:
        return _NOT_MEASURED
    low, high = row["ci_test"]
    return Cell(f"{row['mean']:.4f} ({low:.4f}\N{EN DASH}{high:.4f})")


def _part(board: Board, dataset: str, run: str, match: str) -> Cell:
    row = board.row(dataset, run, breakdown=f"name match={match}")
    return _NOT_MEASURED if row is None else Cell(f"{row['mean']:.3f}")


if __name__ == "__main__":
    main()

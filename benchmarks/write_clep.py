"""Write what CLEP, one thing changed at a time, reaches on atlas into docs/clep.md, between its two marker comments.

    snakemake --cores 2 --configfile config/atlas.yaml
    python benchmarks/write_clep.py

No figure of the tables is typed by hand: this reads leaderboards, that of config/atlas.yaml unless others are given.
"""

from __future__ import annotations

from pathlib import Path

from documents import begin_marker, write_from_leaderboards
from runs_tables import titled_linking, titled_tables

from kelbench.report.board import Board

LEADERBOARDS = [Path("results/atlas/leaderboard.json")]
DOCUMENT = Path("docs/clep.md")
BEGIN = begin_marker("write_clep")


def main() -> None:
    """Write the document."""
    write_from_leaderboards(__doc__, LEADERBOARDS, DOCUMENT, BEGIN, tables)


def tables(boards: list[Board]) -> str:
    """Link prediction, then entity linking, a table for each dataset."""
    return "\n\n".join([titled_tables(boards, lambda method: method.startswith("CLEP")), *titled_linking(boards)])


if __name__ == "__main__":
    main()

"""Write what KEPLER, its variants and their controls reach into docs/kepler.md, between its two marker comments.

    snakemake --cores 2 --configfile config/atlas.yaml
    snakemake --cores 2 --configfile config/atlas-minilm.yaml
    python benchmarks/write_kepler.py

No figure of the tables is typed by hand: this reads leaderboards, those of these two unless others are given.
"""

from __future__ import annotations

from pathlib import Path

from documents import begin_marker, write_from_leaderboards
from runs_tables import titled_tables

from kelbench.report.board import Board

LEADERBOARDS = [Path("results/atlas/leaderboard.json"), Path("results/atlas-minilm/leaderboard.json")]
DOCUMENT = Path("docs/kepler.md")
BEGIN = begin_marker("write_kepler")


def main() -> None:
    """Write the document."""
    write_from_leaderboards(__doc__, LEADERBOARDS, DOCUMENT, BEGIN, tables)


def tables(boards: list[Board]) -> str:
    """A table for each dataset with a run other than CLEP's, under its title."""
    return titled_tables(boards, lambda method: not method.startswith("CLEP"))


if __name__ == "__main__":
    main()

"""Write what CLEP and its fine-tuning reach on atlas into docs/clep.md, between its two marker comments.

    snakemake --cores 2 --configfile config/atlas.yaml
    snakemake --cores 2 --configfile config/atlas-fine-tuning.yaml
    python benchmarks/write_clep.py

No figure of the tables is typed by hand: this reads leaderboards, those of both configs unless others are given.
"""

from __future__ import annotations

from pathlib import Path

from documents import begin_marker, write_from_leaderboards
from runs_tables import titled_linking, titled_tables
from tuning_tables import titled_tuning

from kelbench.report.board import Board
from kelbench.report.clep import is_of_clep

LEADERBOARDS = [Path(f"results/{experiment}/leaderboard.json") for experiment in ("atlas", "atlas-fine-tuning")]
DOCUMENT = Path("docs/clep.md")
BEGIN = begin_marker("write_clep")


def main() -> None:
    """Write the document."""
    write_from_leaderboards(__doc__, LEADERBOARDS, DOCUMENT, BEGIN, tables)


def tables(boards: list[Board]) -> str:
    """Link prediction, fine-tuning, then entity linking, a table for each dataset of each experiment."""
    return "\n\n".join([titled_tables(boards, is_of_clep), *titled_tuning(boards), *titled_linking(boards)])


if __name__ == "__main__":
    main()

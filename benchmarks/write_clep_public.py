"""Write what CLEP reaches on public graphs into docs/clep-public.md, between its two marker comments.

    snakemake --cores 2 --configfile config/clep.yaml
    python benchmarks/keep_reference.py clep
    python benchmarks/write_clep_public.py

No figure of the tables is typed by hand: this reads what is kept of config/clep.yaml and its sisters, unless other
leaderboards are given.
"""

from __future__ import annotations

from pathlib import Path

from documents import begin_marker, write_from_leaderboards
from runs_tables import titled_linking, titled_tables
from tuning_tables import titled_tuning

from kelbench.report.board import Board
from kelbench.report.clep import is_of_clep

KEPT = Path("results/reference")
EXPERIMENTS = ("clep", "clep-ablations", "clep-inductive", "clep-fine-tuning", "clep-disambiguation")
LEADERBOARDS = [path for name in EXPERIMENTS if (path := KEPT / name / "leaderboard.json").is_file()]
DOCUMENT = Path("docs/clep-public.md")
BEGIN = begin_marker("write_clep_public")
# Equal descriptions tie, and the slides' first claim is of the mean rank.
_FURTHER = ("Hits@1", "MR", "MRR, ties optimistic")


def main() -> None:
    """Write the document."""
    write_from_leaderboards(__doc__, LEADERBOARDS, DOCUMENT, BEGIN, tables)


def tables(boards: list[Board]) -> str:
    """Link prediction, fine-tuning, then entity linking, a table for each dataset of each experiment."""
    predicted = titled_tables(boards, is_of_clep, _FURTHER, ceilings=True)
    return "\n\n".join([predicted, *titled_tuning(boards), *titled_linking(boards)])


if __name__ == "__main__":
    main()

"""Documents of which a script writes one part: what was measured, between two marker comments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from kelbench.base.errors import UserError
from kelbench.base.files import write_text
from kelbench.report.board import Board

END = "<!-- measured: end -->"


def begin_marker(script: str) -> str:
    """The comment before what `script` writes."""
    return f"<!-- measured: begin (benchmarks/{script}.py writes what follows) -->"


def between_markers(document: str, body: str, begin: str) -> str:
    """`document` with `body` in place of what stands between `begin` and the end marker.

    Raises:
        ValueError: a marker is missing, stands twice, or they stand in the wrong order.
    """
    if document.count(begin) != 1 or document.count(END) != 1 or document.index(begin) > document.index(END):
        raise ValueError(f"expected one {begin!r} and then one {END!r}")
    before, rest = document.split(begin)
    _, after = rest.split(END)
    return f"{before}{begin}\n\n{body.strip()}\n\n{END}{after}"


def write_from_leaderboards(
    summary: str | None, leaderboards: list[Path], document: Path, begin: str, body: Callable[[list[Board]], str]
) -> None:
    """Write a document's measured part from leaderboards: those of the command line, or the ones that are given.

    Args:
        summary: the script's docstring, whose first line is its help.
        leaderboards: read unless the command line names others.
        document: written unless the command line names another.
        begin: the marker before the part.
        body: leaderboards to the part.
    """
    options = argparse.ArgumentParser(description=(summary or "").splitlines()[0])
    options.add_argument("--leaderboards", type=Path, nargs="+", default=leaderboards)
    options.add_argument("--document", type=Path, default=document)
    chosen = options.parse_args()
    try:
        boards = [Board(path) for path in chosen.leaderboards]
    except UserError as error:
        sys.exit(str(error))
    write_text(chosen.document, between_markers(chosen.document.read_text(encoding="utf-8"), body(boards), begin))

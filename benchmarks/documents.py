"""Documents of which a script writes one part: what was measured, between two marker comments."""

from __future__ import annotations

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

"""Errors that a user can mend. The command line prints their text, without a traceback, and exits with 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_PROBLEMS_SHOWN = 20


class UserError(Exception):
    """A mistake in the input: a file, a config key, an argument, a missing mirror.

    The text says what was expected, what was found, where (``file:line`` or the config key) and what to do.
    """


class ProblemList:
    """Collects problems of one input and raises them together, so that one run shows all of them.

    >>> problems = ProblemList("triples.tsv is not a triple file")
    >>> problems.add("triples.tsv:3: expected 3 columns, found 2")
    >>> len(problems)
    1
    """

    def __init__(self, headline: str) -> None:
        self.headline = headline
        self._shown: list[str] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, problem: str) -> None:
        """Note one problem. Only the first 20 texts are kept; all are counted."""
        self._count += 1
        if len(self._shown) < MAX_PROBLEMS_SHOWN:
            self._shown.append(problem)

    def raise_if_any(self) -> None:
        """Raise one UserError that names every problem kept, if there is any."""
        if not self._count:
            return
        lines = [self.headline, *(f"  {problem}" for problem in self._shown)]
        if self._count > len(self._shown):
            lines.append(f"  ... and {self._count - len(self._shown)} more")
        raise UserError("\n".join(lines))


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return ``'; did you mean X?'`` for the valid word closest to `word`, or the valid words when none is close."""
    choices = sorted(valid)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid here: {', '.join(choices)}" if choices else ""

"""Progress: a bar on a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

_LOG = logging.getLogger("kelbench.progress")
_SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Counts steps of known number and shows them.

    >>> with Progress("ranking", total=2, unit="block") as progress:
    ...     progress.advance()
    """

    def __init__(self, label: str, total: int | None, unit: str = "step", scaled: bool = False) -> None:
        self._label = label
        self._unit = unit
        self._total = total
        self._done = 0
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        self._bar = (
            tqdm(total=total, desc=label, unit=unit, leave=False, unit_scale=scaled) if sys.stderr.isatty() else None
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count `steps` more; `note` (the last loss, say) is shown beside the count."""
        self._done += steps
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(steps)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            of_total = f" of {self._total}" if self._total is not None else ""
            _LOG.info("%s: %d%s %ss %s", self._label, self._done, of_total, self._unit, note)

"""Loading checkpoints by the transformers library: quietly, and with errors in a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kelbench.base.errors import UserError


@contextmanager
def loading(place: str | Path) -> Iterator[None]:
    """Keep the library from talking, and turn what it raises into one line.

    That weights are new or left over is said by us, in the facts of a run.

    Raises:
        UserError: there is no such checkpoint in `place`, or it cannot be read.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder {place}: cannot be loaded: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from None
    finally:
        logging.set_verbosity(verbosity)

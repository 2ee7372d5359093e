"""Logging: plain lines on standard error, which Snakemake's rules send to their log files."""

from __future__ import annotations

import logging
import sys


def start_logging() -> None:
    """Send INFO and above of kelbench's loggers to standard error, a line each, with the time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("kelbench")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False

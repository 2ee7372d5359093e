"""What a process settles before it trains or ranks."""

from __future__ import annotations

import os

import numba
import torch

from kelbench.base.errors import UserError
from kelbench.base.memory import keep_freed_memory
from kelbench.config.experiment import Run


def start_session(run: Run, threads: int) -> None:
    """Give a job of a run its threads, and see that bits repeat.

    Raises:
        UserError: fewer threads are granted than configured, or there is no such device.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = min(threads, available)
    if granted < run.threads:
        raise UserError(
            f"the experiment sets threads: {run.threads}, {granted} granted (asked {threads}, this machine offers "
            f"{available}); results repeat bit by bit only with the same number. "
            f"Run snakemake with --cores {run.threads} or more, or lower threads in the experiment file"
        )
    if run.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "the experiment sets device: cuda, and torch sees no such device here; set device: cpu, or install a build "
            "of torch for CUDA (KELBENCH_TORCH=cuda make environment) on a machine that has one"
        )
    set_threads(run.threads)
    keep_freed_memory()
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written; filling it first took a tenth of CLEP's training time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def set_threads(threads: int) -> None:
    """Let torch and the compiled kernels use so many threads."""
    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))

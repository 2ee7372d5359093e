"""What a process does with memory that it has freed."""

from __future__ import annotations

import ctypes
import platform

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = -1


def keep_freed_memory() -> None:
    """Let this process keep what it frees for its next tensors.

    glibc gives every block of more than 32 MiB back to the system at once, and a training step that makes tensors
    anew has each page of them cleared and mapped again. A process takes a little more memory this way, and the
    system gets it back when it ends. Where there is another C library nothing changes. `make bench-kept-memory`
    measures it.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)

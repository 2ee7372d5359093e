"""What a process does with memory that it has freed, and how many compiled products it keeps."""

from __future__ import annotations

import ctypes
import os
import platform

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER = -1
_PRODUCTS = 4


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


def keep_few_products() -> None:
    """Let this process keep the last 4 matrix products of bfloat16 that it compiled for a CPU, unless told otherwise.

    For models of which every step has products of other sizes. oneDNN, which multiplies for torch there, compiles one
    for every number of rows and keeps 1,024 of them, each with the memory in which it lays out its factors anew: ConvE
    took 200 MiB more every step, and 22 GiB after two epochs of FB15k-237. Compiling takes milliseconds, which count
    where products are small and come again, as those of a transformer. The environment variable
    ONEDNN_PRIMITIVE_CACHE_CAPACITY, if set, goes before. Call it before the first product: later it changes nothing.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_PRODUCTS))

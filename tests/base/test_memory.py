"""Freed memory serves the next tensors of a process."""

import platform
import subprocess
import sys

import pytest

# Writes 64 MiB twenty times, and says how many pages the system had to hand out for it. As many times before: where the first
# blocks come to lie is chance, and up to seven of them were seen to be new.
WRITES = """
import resource, sys, torch
from kelbench.base.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(20):
    torch.full((1 << 24,), 1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.full((1 << 24,), 1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(how):
    command = [sys.executable, "-c", WRITES, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_tensors_are_made_in_memory_that_was_freed():
    assert pages("kept") < pages("returned") / 10

"""Freed memory serves the next tensors of a process, and products that are not made again leave none behind."""

import os
import platform
import subprocess
import sys

import pytest
import torch

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

# Multiplies 400 tables, each with another number of rows, and says by how many MiB the process grew.
MULTIPLIES = """
import sys, torch
from pathlib import Path
from kelbench.base.memory import keep_few_products
if sys.argv[1] == "few":
    keep_few_products()
def size():
    return int(Path("/proc/self/statm").read_text().split()[1]) >> 8
torch.set_num_threads(1)
rows, matrix = torch.ones(401, 1024, dtype=torch.bfloat16), torch.ones(1024, 1024, dtype=torch.bfloat16)
rows @ matrix
before = size()
for count in range(1, 401):
    rows[:count] @ matrix
print(size() - before)
"""


def printed(program, how):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEDNN_")}
    command = [sys.executable, "-c", program, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_tensors_are_made_in_memory_that_was_freed():
    assert printed(WRITES, "kept") < printed(WRITES, "returned") / 10


@pytest.mark.skipif(
    not (sys.platform == "linux" and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason="sizes are read from /proc, and other processors do not multiply bfloat16 by compiled products",
)
def test_products_of_rows_that_do_not_return_are_forgotten():
    assert printed(MULTIPLIES, "few") < printed(MULTIPLIES, "all") / 2

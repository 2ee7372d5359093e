"""Random numbers that depend on where they are used and on nothing else.

Every draw has a generator of its own, keyed by the run's seed, a purpose and counters such as epoch and step. A run
that was killed and resumed therefore draws what the undisturbed one draws, and no generator's state needs saving.
"""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """A CPU generator keyed by (seed, purpose, counters)."""
    key = f"{seed}/{purpose}/{'/'.join(str(counter) for counter in counters)}"
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1
    return torch.Generator().manual_seed(number)

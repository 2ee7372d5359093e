"""Random numbers that depend on where they are used and on nothing else.

Every draw is keyed by the run's seed, a purpose and counters such as epoch and step. A run that was killed and resumed
therefore draws what the undisturbed one draws, and no generator's state needs saving.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def generator(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """A CPU generator keyed by (seed, purpose, counters), for large draws."""
    key = f"{seed}/{purpose}/{'/'.join(str(counter) for counter in counters)}"
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1
    return torch.Generator().manual_seed(number)


def counter_generator(seed: int, purpose: str, epoch: int, step: int = 0) -> np.random.Generator:
    """The counter-based generator Philox (Salmon et al. 2011), keyed by (seed, purpose) and set to (epoch, step).

    It costs microseconds to make, since there is no state to fill: one for every draw of every step.
    """
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest(), "big")
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, step, epoch]))

"""A compiled dropout whose choice of numbers is a function of a key: nothing of it needs to be kept."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# One draw of 64 bits decides over four numbers, each by 16 bits.
_DRAWN = 4
LEVELS = 1 << 16
_BLOCKS = 64


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def drop(values: np.ndarray, key: int, dropped: int, scale: np.float32, kept: np.ndarray) -> None:
    """Fill `kept` with `scale` times the values, and with 0 where `dropped` of `LEVELS` equally likely cases say so.

    Equal keys drop the same places, however many threads there are. The draws are those of SplitMix64 (Steele et al.
    2014, Figure 16), started at the key.

    Args:
        values: float32 `(n,)`.
        key: uint64.
        dropped: uint64, at most `LEVELS`.
        scale: float32.
        kept: float32 `(n,)`, filled.
    """
    draws = (len(values) + _DRAWN - 1) // _DRAWN
    for block in prange(_BLOCKS):
        for draw in range(block * draws // _BLOCKS, (block + 1) * draws // _BLOCKS):
            bits = key + np.uint64(draw + 1) * np.uint64(0x9E3779B97F4A7C15)
            bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            bits = bits ^ (bits >> np.uint64(31))
            first = draw * _DRAWN
            for i in range(first, min(first + _DRAWN, len(values))):
                kept[i] = values[i] * scale if (bits & np.uint64(LEVELS - 1)) >= dropped else np.float32(0)
                bits >>= np.uint64(16)

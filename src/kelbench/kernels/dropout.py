"""A compiled dropout whose choice of numbers is a function of a key: nothing of it needs to be kept."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

LEVELS = 1 << 32
_BLOCKS = 64


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def drop(values: np.ndarray, key: int, dropped: int, scale: np.float32, kept: np.ndarray) -> None:
    """Fill `kept` with `scale` times the values, and with 0 where `dropped` of `LEVELS` equally likely cases say so.

    Equal keys drop the same places, however many threads there are. The draw of a place is its number, hashed with the
    constants of triple32 (Wellons, Hash Function Prospector, https://github.com/skeeto/hash-prospector). Halves of the
    key, itself hashed as SplitMix64 does (Steele et al. 2014, Figure 16), are added before and after the first
    round: keys near each other would drop nearly the same places otherwise.

    Args:
        values: float32 `(n,)`.
        key: uint64.
        dropped: uint64, at most `LEVELS`.
        scale: float32.
        kept: float32 `(n,)`, filled.
    """
    low, high = _halves(key)
    for block in prange(_BLOCKS):
        for i in range(block * len(values) // _BLOCKS, (block + 1) * len(values) // _BLOCKS):
            kept[i] = values[i] * scale if _draw(i, low, high) >= dropped else np.float32(0)


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def drop_unscaled(values: np.ndarray, key: int, dropped: int, kept: np.ndarray) -> None:
    """Fill `kept` with the values, and with 0 where `drop` does.

    Args:
        values: int16 `(n,)`: the bits of numbers in a format of which there is no arithmetic here.
        key: uint64.
        dropped: uint64, at most `LEVELS`.
        kept: int16 `(n,)`, filled.
    """
    low, high = _halves(key)
    for block in prange(_BLOCKS):
        for i in range(block * len(values) // _BLOCKS, (block + 1) * len(values) // _BLOCKS):
            # A product, since a choice between the two is compiled to a branch here.
            kept[i] = np.int16(values[i] * np.int16(_draw(i, low, high) >= dropped))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _halves(key: int) -> tuple[np.uint32, np.uint32]:
    hashed = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed = hashed ^ (hashed >> np.uint64(31))
    return np.uint32(hashed), np.uint32(hashed >> np.uint64(32))


@njit(inline="always")  # type: ignore[untyped-decorator]
def _draw(place: int, low: np.uint32, high: np.uint32) -> np.uint32:
    # Each step is cut to 32 bits at once: processors hash sixteen numbers of that size at a time.
    bits = np.uint32(np.uint32(place) + low)
    bits = np.uint32((bits ^ (bits >> np.uint32(17))) * np.uint32(0xED5AD4BB) + high)
    bits = np.uint32((bits ^ (bits >> np.uint32(11))) * np.uint32(0xAC4C1B51))
    bits = np.uint32((bits ^ (bits >> np.uint32(15))) * np.uint32(0x31848BAB))
    return np.uint32(bits ^ (bits >> np.uint32(14)))

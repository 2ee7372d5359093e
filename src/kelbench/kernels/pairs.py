"""Float64 scores of single pairs in one fixed order, and passes over rows: sizes, hashes, normalisation.

The score of a pair depends on its two rows and the similarity alone: eight partial sums, term i in sum i mod 8, the
last `length mod 8` terms in the first, added up as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). No fused or reordered
operation is allowed, so any program that adds in this order finds the same bits; `ranking/device.py` does, with torch.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# What a pair is compared by. Scores are dot products or negated distances; the L2 distance stays squared, which orders
# candidates alike.
DOT, L1, SQUARED_L2, MODULUS = range(4)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _term(kind: int, queries: np.ndarray, q: int, rows: np.ndarray, r: int, i: int, half: int) -> float:
    if kind == DOT:
        return queries[q, i] * np.float64(rows[r, i])
    difference = queries[q, i] - np.float64(rows[r, i])
    if kind == L1:
        return abs(difference)
    if kind == SQUARED_L2:
        return difference * difference
    imaginary = queries[q, half + i] - np.float64(rows[r, half + i])
    return np.sqrt(difference * difference + imaginary * imaginary)


# Said explicitly, or numba would compile it with the relaxed arithmetic of whatever function calls it first.
@njit(cache=True, fastmath=False)  # type: ignore[untyped-decorator]
def pair_score(kind: int, queries: np.ndarray, q: int, rows: np.ndarray, r: int) -> float:
    """Score of `queries[q]`, float64, with `rows[r]`, float32 or float64, computed in float64."""
    half = rows.shape[1] // 2
    length = half if kind == MODULUS else rows.shape[1]
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = length // 8 * 8
    for i in range(0, whole, 8):
        s0 += _term(kind, queries, q, rows, r, i, half)
        s1 += _term(kind, queries, q, rows, r, i + 1, half)
        s2 += _term(kind, queries, q, rows, r, i + 2, half)
        s3 += _term(kind, queries, q, rows, r, i + 3, half)
        s4 += _term(kind, queries, q, rows, r, i + 4, half)
        s5 += _term(kind, queries, q, rows, r, i + 5, half)
        s6 += _term(kind, queries, q, rows, r, i + 6, half)
        s7 += _term(kind, queries, q, rows, r, i + 7, half)
    for i in range(whole, length):
        s0 += _term(kind, queries, q, rows, r, i, half)
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    return total if kind == DOT else -total


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def pair_scores(kind: int, queries: np.ndarray, query_of: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> None:
    """Fill `scores` `(n,)`, float64: `rows[i]` with `queries[query_of[i]]`."""
    for i in prange(len(rows)):
        scores[i] = pair_score(kind, queries, query_of[i], rows, i)


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def normalize_rows(rows: np.ndarray, normalized: np.ndarray) -> None:
    """Fill `normalized`, float64, with rows of length 1; a row of zeros stays one."""
    for r in prange(len(rows)):
        total = 0.0
        for i in range(rows.shape[1]):
            total += np.float64(rows[r, i]) * np.float64(rows[r, i])
        # The least length keeps rows of zeros finite.
        length = max(np.sqrt(total), 1e-300)
        for i in range(rows.shape[1]):
            normalized[r, i] = np.float64(rows[r, i]) / length


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def row_sizes(rows: np.ndarray, sizes: np.ndarray, whole: np.ndarray) -> None:
    """Fill `sizes` `(n, 2)`, float64: L1 and L2 norm of each row; and `whole` `(n,)`: whether its numbers are integers.

    A norm is not finite where a number of the row is not.
    """
    for r in prange(len(rows)):
        total = 0.0
        squares = 0.0
        integers = True
        for i in range(rows.shape[1]):
            value = np.float64(rows[r, i])
            total += abs(value)
            squares += value * value
            integers &= value == np.rint(value)
        sizes[r, 0] = total
        sizes[r, 1] = np.sqrt(squares)
        whole[r] = integers


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def hash_rows(words: np.ndarray, multipliers: np.ndarray, hashes: np.ndarray) -> None:
    """Fill `hashes` `(n,)`, uint64, from the words, unsigned `(n, width)`, of rows; -0.0 must have become 0.0 before.

    Args:
        words: the rows' bits.
        multipliers: odd uint64 `(width,)`.
        hashes: filled.
    """
    shift = np.uint64(29)
    for r in prange(len(words)):
        total = np.uint64(0)
        for i in range(words.shape[1]):
            word = np.uint64(words[r, i])
            total += (word ^ (word >> shift)) * multipliers[i]
        hashes[r] = total

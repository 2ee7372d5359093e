"""How far a score summed in float32 can be from the same score in float64, so that most comparisons need no more.

Standard bounds (Higham 2002, Accuracy and Stability of Numerical Algorithms, Chapters 2 and 3): with unit roundoff u, a
sum of n terms in any order errs by at most gamma(n) = n u / (1 - n u) times the sum of the terms' absolute values.
Rounding the vectors to float32 moves each number by at most u times itself. Underflow adds absolute terms, with room
for hardware that flushes subnormal numbers to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kelbench.kernels.pairs import DOT, MODULUS, SQUARED_L2

_U32 = 2.0**-24
_U64 = 2.0**-53
_SMALLEST = 2.0**-126
# Scores and norms beyond this are refused: squares and sums of them might leave the range of float32.
LARGEST = 2.0**60


@dataclass(frozen=True)
class Sizes:
    """Norms of vectors, float64: one for each query, or the largest of a block of candidates.

    Attributes:
        l1: sums of absolute values.
        l2: Euclidean norms.
        whole: all numbers are integers.
    """

    l1: np.ndarray
    l2: np.ndarray
    whole: bool


def _gamma(terms: int, unit: float) -> float:
    return terms * unit / (1.0 - terms * unit)


def interval(
    kind: int, width: int, true: np.ndarray, queries: Sizes, candidates: Sizes, rounded: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Float32 scores outside [low, high] are on the same side of `true` as their float64 scores are.

    Args:
        kind: what compares a pair, of `kernels.pairs`.
        width: numbers in a vector.
        true: float64 scores `(m,)` to compare with.
        queries: sizes `(m,)` of the query behind each score.
        candidates: largest sizes among the candidates.
        rounded: the candidates are rounded to float32 for the fast pass; queries always are.

    Returns:
        low and high, float32 `(m,)`.
    """
    # Beside the additions of a sum: subtraction, product, square root and the conversions, three each to be safe.
    single, double = _gamma(width + 12, _U32), _gamma(width + 12, _U64)
    moved = 1.0 + _U32
    if kind == DOT:
        product = queries.l2 * candidates.l2
        inputs = _U32 * (2.0 + _U32) * product
        tiny = 4.0 * _SMALLEST * (width + queries.l1 + candidates.l1)
        error = single * moved * moved * product + double * product + inputs + tiny
        return _outward(true - error, true + error)
    distance = -true
    if kind == SQUARED_L2:
        shift = _U32 * (queries.l2 + (candidates.l2 if rounded else 0.0)) + 2.0 * _SMALLEST * width
        tiny = 4.0 * _SMALLEST * width
        nearest = np.maximum(np.sqrt(distance * (1.0 - double)) - shift, 0.0) ** 2 * (1.0 - single) - tiny
        farthest = (np.sqrt(distance * (1.0 + double)) + shift) ** 2 * (1.0 + single) + tiny
    else:
        shift = _U32 * (queries.l1 + (candidates.l1 if rounded else 0.0))
        # A modulus of 2^-63 or less may square to nothing.
        tiny = width * (2.0**-61 if kind == MODULUS else 4.0 * _SMALLEST)
        nearest = (distance * (1.0 - double) - shift) * (1.0 - single) - tiny
        farthest = (distance * (1.0 + double) + shift) * (1.0 + single) + tiny
    return _outward(-farthest, -nearest)


def is_exact(kind: int, queries: Sizes, candidates: Sizes) -> bool:
    """Whether float32 makes no error at all: integers whose sums stay below 2^24."""
    if kind == MODULUS or not (queries.whole and candidates.whole):
        return False
    query_l1, query_l2 = (float(np.max(size, initial=0.0)) for size in (queries.l1, queries.l2))
    if kind == DOT:
        return query_l1 * float(candidates.l1) < 2.0**24
    if kind == SQUARED_L2:
        return (query_l2 + float(candidates.l2)) ** 2 < 2.0**23
    return query_l1 + float(candidates.l1) < 2.0**24


def _outward(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Float32 numbers just outside."""
    below = np.nextafter(low.astype(np.float32), np.float32(-np.inf))
    above = np.nextafter(high.astype(np.float32), np.float32(np.inf))
    return below, above

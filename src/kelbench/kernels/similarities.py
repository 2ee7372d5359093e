"""Compiled scores and gradients of pairs of rows on the CPU: all pairs of two tables, or a query with rows of its own.

Two expressions make a similarity: the score of a pair, and what a weighted pair adds to the gradient of its first row.
All loops below are built from them. Rows are read where they lie: no (queries, rows, width) array is ever made. The
gradient of a row is summed over its pairs in a fixed order by one thread, so that threads do not race and the same
inputs give the same bits.

Gradients are 0 where the score has none: where two rows meet (L2, modulus) or numbers are equal (L1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit, prange

# Sums may be reordered, which vector instructions need; infinities and NaN keep their meaning.
_FAST = {"reassoc", "contract", "nsz"}
# A tile of rows is reused from the cache by many others.
_TILE = 64

# What a loop is compiled for: numbers, since numba's cache on disk cannot tell closures over functions apart.
_DOT, _L1, _L2, _MODULUS = range(4)

# The functions of a pair are inlined by numba: LLVM vectorises the loops only where it sees that the sums are local.
# The branches on the kind, a constant in each loop, vanish in compilation.


@njit(inline="always")  # type: ignore[untyped-decorator]
def _score(kind: int, left: np.ndarray, i: int, right: np.ndarray, j: int) -> float:
    width, half = left.shape[1], left.shape[1] // 2
    total = left.dtype.type(0)
    if kind == _DOT:
        for c in range(width):
            total += left[i, c] * right[j, c]
        return total  # type: ignore[no-any-return]
    if kind == _L1:
        for c in range(width):
            total += abs(left[i, c] - right[j, c])
        return -total  # type: ignore[no-any-return]
    if kind == _L2:
        for c in range(width):
            difference = left[i, c] - right[j, c]
            total += difference * difference
        return -np.sqrt(total)  # type: ignore[no-any-return]
    for c in range(half):
        real = left[i, c] - right[j, c]
        imaginary = left[i, half + c] - right[j, half + c]
        total += np.sqrt(real * real + imaginary * imaginary)
    return -total  # type: ignore[no-any-return]


@njit(inline="always")  # type: ignore[untyped-decorator]
def _add_gradient(
    kind: int, total: np.ndarray, left: np.ndarray, i: int, right: np.ndarray, j: int, weight: float, score: float
) -> None:
    """Add weight * (gradient of the pair's score with respect to the left row) to `total`."""
    width, half = left.shape[1], left.shape[1] // 2
    nothing = weight - weight
    if kind == _DOT:
        for c in range(width):
            total[c] += weight * right[j, c]
    elif kind == _L1:
        for c in range(width):
            difference = left[i, c] - right[j, c]
            total[c] -= weight if difference > 0 else (-weight if difference < 0 else nothing)
    elif kind == _L2:
        scale = weight / score if score < 0 else nothing
        for c in range(width):
            total[c] += scale * (left[i, c] - right[j, c])
    else:
        tiny = total.dtype.type(1e-30)
        for c in range(half):
            real = left[i, c] - right[j, c]
            imaginary = left[i, half + c] - right[j, half + c]
            factor = weight / np.sqrt(real * real + imaginary * imaginary + tiny)
            total[c] -= factor * real
            total[half + c] -= factor * imaginary


@dataclass(frozen=True)
class Loops:
    """The compiled loops of one similarity. All arrays are C-contiguous and of one floating type, ids int64.

    Attributes:
        table_scores: `(queries (q, width), rows (n, width), scores (q, n))` fills the scores of all pairs.
        table_gradient: `(rows (m, width), others (n, width), scores (m, n), upstream (m, n), gradient (m, width))`
            adds to `gradient` that of sum(upstream * scores) with respect to `rows`.
        drawn_scores: `(queries (q, width), rows (n, width), ids (q, k), scores (q, k))` fills the score of each query
            with `rows[ids]` of its own.
        drawn_query_gradient: `(queries, rows, ids, scores, upstream (q, k), gradient (q, width))` adds to `gradient`.
        drawn_row_gradient: `(queries, rows, offsets (n + 1,), order (q * k,), scores, upstream, gradient (n, width))`
            adds to `gradient`; row r was drawn at the places `order[offsets[r]:offsets[r + 1]]` of the flat `ids`.
    """

    table_scores: Callable[..., None]
    table_gradient: Callable[..., None]
    drawn_scores: Callable[..., None]
    drawn_query_gradient: Callable[..., None]
    drawn_row_gradient: Callable[..., None]


def _loops(kind: int) -> Loops:
    @njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
    def table_scores(queries: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> None:
        for tile in prange((rows.shape[0] + _TILE - 1) // _TILE):
            for q in range(queries.shape[0]):
                for r in range(tile * _TILE, min((tile + 1) * _TILE, rows.shape[0])):
                    scores[q, r] = _score(kind, queries, q, rows, r)

    @njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
    def table_gradient(
        rows: np.ndarray, others: np.ndarray, scores: np.ndarray, upstream: np.ndarray, gradient: np.ndarray
    ) -> None:
        for r in prange(rows.shape[0]):
            total = np.zeros(rows.shape[1], rows.dtype)
            for o in range(others.shape[0]):
                # Of a softmax over distances most weights are 0.
                if upstream[r, o] != 0:
                    _add_gradient(kind, total, rows, r, others, o, upstream[r, o], scores[r, o])
            gradient[r] += total

    @njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
    def drawn_scores(queries: np.ndarray, rows: np.ndarray, ids: np.ndarray, scores: np.ndarray) -> None:
        for q in prange(queries.shape[0]):
            for k in range(ids.shape[1]):
                scores[q, k] = _score(kind, queries, q, rows, ids[q, k])

    @njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
    def drawn_query_gradient(
        queries: np.ndarray,
        rows: np.ndarray,
        ids: np.ndarray,
        scores: np.ndarray,
        upstream: np.ndarray,
        gradient: np.ndarray,
    ) -> None:
        for q in prange(queries.shape[0]):
            total = np.zeros(queries.shape[1], queries.dtype)
            for k in range(ids.shape[1]):
                _add_gradient(kind, total, queries, q, rows, ids[q, k], upstream[q, k], scores[q, k])
            gradient[q] += total

    @njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
    def drawn_row_gradient(
        queries: np.ndarray,
        rows: np.ndarray,
        offsets: np.ndarray,
        order: np.ndarray,
        scores: np.ndarray,
        upstream: np.ndarray,
        gradient: np.ndarray,
    ) -> None:
        drawn = scores.shape[1]
        flat_scores, flat_upstream = scores.reshape(-1), upstream.reshape(-1)
        for r in prange(rows.shape[0]):
            total = np.zeros(rows.shape[1], rows.dtype)
            for place in range(offsets[r], offsets[r + 1]):
                occurrence = order[place]
                _add_gradient(
                    kind,
                    total,
                    rows,
                    r,
                    queries,
                    occurrence // drawn,
                    flat_upstream[occurrence],
                    flat_scores[occurrence],
                )
            gradient[r] += total

    return Loops(table_scores, table_gradient, drawn_scores, drawn_query_gradient, drawn_row_gradient)


# All pairs of a dot product are left to the matrix product of torch.
DOT, L1, L2, COMPLEX_MODULUS = (_loops(kind) for kind in (_DOT, _L1, _L2, _MODULUS))

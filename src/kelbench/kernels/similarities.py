"""Compiled scores and gradients of pairs of rows on the CPU: all pairs of two tables, or a query with rows of its own.

Two expressions make a similarity: what two numbers add to the score, and what they add, weighted, to the gradient of
the first; the modulus, whose numbers come in twos, has two of its own. All loops below are built from them. Rows are
read where they lie: no (queries, rows, width) array is ever made. The gradient of a row is summed over its pairs in a
fixed order by one thread, so that threads do not race and the same inputs give the same bits.

Gradients are 0 where the score has none: where two rows meet (L2, modulus) or numbers are equal (L1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit, prange

# Sums may be reordered, which vector instructions need; infinities and NaN keep their meaning.
_FAST = {"reassoc", "contract", "nsz"}
# A tile of rows is reused from the cache by many others.
_TILE = 32
# So many rows take their gradients from a tile before the next one is read.
_BLOCK = 16

# What a loop is compiled for: numbers, since numba's cache on disk cannot tell closures over functions apart.
_DOT, _L1, _L2, _MODULUS = range(4)

# The functions of a pair are inlined by numba: LLVM vectorises the loops only where it sees that the sums are local.
# The branches on the kind, a constant in each loop, vanish in compilation.


@njit(inline="always")  # type: ignore[untyped-decorator]
def _term(kind: int, left: float, right: float) -> float:
    """What two numbers add to the sum that a score is made of."""
    if kind == _DOT:
        return left * right
    difference = left - right
    return abs(difference) if kind == _L1 else difference * difference


@njit(inline="always")  # type: ignore[untyped-decorator]
def _finished(kind: int, total: float) -> float:
    """The score of that sum."""
    if kind == _DOT:
        return total
    return -np.sqrt(total) if kind == _L2 else -total  # type: ignore[no-any-return]


@njit(inline="always")  # type: ignore[untyped-decorator]
def _score(kind: int, left: np.ndarray, i: int, right: np.ndarray, j: int) -> float:
    width, half = left.shape[1], left.shape[1] // 2
    total = left.dtype.type(0)
    if kind == _MODULUS:
        for c in range(half):
            real = left[i, c] - right[j, c]
            imaginary = left[i, half + c] - right[j, half + c]
            total += np.sqrt(real * real + imaginary * imaginary)
    else:
        for c in range(width):
            total += _term(kind, left[i, c], right[j, c])
    return _finished(kind, total)  # type: ignore[no-any-return]


@njit(inline="always")  # type: ignore[untyped-decorator]
def _four_scores(kind: int, left: np.ndarray, i: int, right: np.ndarray, j: int, scores: np.ndarray) -> None:
    """Scores of one left row, read once, with four right ones that follow each other; not of the modulus."""
    first = second = third = fourth = left.dtype.type(0)
    for c in range(left.shape[1]):
        number = left[i, c]
        first += _term(kind, number, right[j, c])
        second += _term(kind, number, right[j + 1, c])
        third += _term(kind, number, right[j + 2, c])
        fourth += _term(kind, number, right[j + 3, c])
    scores[i, j] = _finished(kind, first)
    scores[i, j + 1] = _finished(kind, second)
    scores[i, j + 2] = _finished(kind, third)
    scores[i, j + 3] = _finished(kind, fourth)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _scaled(kind: int, weight: float, score: float) -> float:
    """The factor of a pair that all its numbers have."""
    if kind == _L2:
        return weight / score if score < 0 else weight - weight
    return weight


@njit(inline="always")  # type: ignore[untyped-decorator]
def _slope(kind: int, left: float, right: float, scale: float) -> float:
    """What two numbers of a pair add to the gradient of the left one."""
    if kind == _DOT:
        return scale * right
    difference = left - right
    if kind == _L1:
        # One comparison instead of two, which a processor makes one at a time.
        return (-scale if difference != 0 else scale - scale) * math.copysign(type(scale)(1), difference)
    return scale * difference


@njit(inline="always")  # type: ignore[untyped-decorator]
def _add_gradient(
    kind: int, total: np.ndarray, left: np.ndarray, i: int, right: np.ndarray, j: int, weight: float, score: float
) -> None:
    """Add weight * (gradient of the pair's score with respect to the left row) to `total`."""
    width, half = left.shape[1], left.shape[1] // 2
    if kind == _MODULUS:
        tiny = total.dtype.type(1e-30)
        for c in range(half):
            real = left[i, c] - right[j, c]
            imaginary = left[i, half + c] - right[j, half + c]
            factor = weight / np.sqrt(real * real + imaginary * imaginary + tiny)
            total[c] -= factor * real
            total[half + c] -= factor * imaginary
    else:
        scale = _scaled(kind, weight, score)
        for c in range(width):
            total[c] += _slope(kind, left[i, c], right[j, c], scale)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _add_four_gradients(
    kind: int,
    total: np.ndarray,
    left: np.ndarray,
    i: int,
    right: np.ndarray,
    js: np.ndarray,
    weights: np.ndarray,
    scores: np.ndarray,
) -> None:
    """As `_add_gradient` of four right rows, of which `total` and the left row are read once; not of the modulus."""
    one, two, three, four = js[0], js[1], js[2], js[3]
    scale_one = _scaled(kind, weights[i, one], scores[i, one])
    scale_two = _scaled(kind, weights[i, two], scores[i, two])
    scale_three = _scaled(kind, weights[i, three], scores[i, three])
    scale_four = _scaled(kind, weights[i, four], scores[i, four])
    for c in range(left.shape[1]):
        number = left[i, c]
        total[c] += (
            _slope(kind, number, right[one, c], scale_one)
            + _slope(kind, number, right[two, c], scale_two)
            + _slope(kind, number, right[three, c], scale_three)
            + _slope(kind, number, right[four, c], scale_four)
        )


@njit(inline="always")  # type: ignore[untyped-decorator]
def _add_tile(
    kind: int,
    total: np.ndarray,
    left: np.ndarray,
    i: int,
    right: np.ndarray,
    tile: int,
    weights: np.ndarray,
    scores: np.ndarray,
    weighted: np.ndarray,
) -> None:
    """Add the gradients of a left row's pairs with the `_TILE` right ones from `tile` on; `weighted` is scratch."""
    # Of a softmax over distances most weights are 0.
    count = 0
    for j in range(tile, min(tile + _TILE, right.shape[0])):
        weighted[count] = j
        count += weights[i, j] != 0
    place = 0
    while kind != _MODULUS and place + 4 <= count:
        _add_four_gradients(kind, total, left, i, right, weighted[place : place + 4], weights, scores)
        place += 4
    while place < count:
        j = weighted[place]
        _add_gradient(kind, total, left, i, right, j, weights[i, j], scores[i, j])
        place += 1


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
    return Loops(*_table_loops(kind), *_drawn_loops(kind))


def _table_loops(kind: int) -> tuple[Callable[..., None], ...]:
    """Of all pairs: `table_scores` and `table_gradient`."""

    @njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
    def table_scores(queries: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> None:
        for tile in prange((rows.shape[0] + _TILE - 1) // _TILE):
            stop = min((tile + 1) * _TILE, rows.shape[0])
            for q in range(queries.shape[0]):
                r = tile * _TILE
                while kind != _MODULUS and r + 4 <= stop:
                    _four_scores(kind, queries, q, rows, r, scores)
                    r += 4
                while r < stop:
                    scores[q, r] = _score(kind, queries, q, rows, r)
                    r += 1

    @njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
    def table_gradient(
        rows: np.ndarray, others: np.ndarray, scores: np.ndarray, upstream: np.ndarray, gradient: np.ndarray
    ) -> None:
        for block in prange((rows.shape[0] + _BLOCK - 1) // _BLOCK):
            begin, end = block * _BLOCK, min((block + 1) * _BLOCK, rows.shape[0])
            totals = np.zeros((_BLOCK, rows.shape[1]), rows.dtype)
            weighted = np.empty(_TILE, np.int64)
            for tile in range(0, others.shape[0], _TILE):
                for r in range(begin, end):
                    _add_tile(kind, totals[r - begin], rows, r, others, tile, upstream, scores, weighted)
            gradient[begin:end] += totals[: end - begin]

    return table_scores, table_gradient


def _drawn_loops(kind: int) -> tuple[Callable[..., None], ...]:
    """Of rows that each query has of its own: `drawn_scores`, `drawn_query_gradient` and `drawn_row_gradient`."""

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

    return drawn_scores, drawn_query_gradient, drawn_row_gradient


# All pairs of a dot product are left to the matrix product of torch.
DOT, L1, L2, COMPLEX_MODULUS = (_loops(kind) for kind in (_DOT, _L1, _L2, _MODULUS))

"""Compiled counting of the candidates that score above an answer, fused with the scores: no score matrix is kept.

A float32 score `v` decides where it lies outside the interval of an answer: above where v > high, below where v < low.
Pairs inside are scored in float64 and compared with the answer's own float64 score. Scores are dot products or negated
distances throughout.

Candidates of distances lie in tiles: LANES rows, transposed, so that a vector register holds one number of many
candidates and the numbers of a query are broadcast. Eight numbers are added between a load and a store of the sums.
Lanes are independent sums, so that vectors need no relaxed arithmetic.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from kelbench.kernels.pairs import DOT, L1, MODULUS, SQUARED_L2, pair_score

LANES = 64
STEP = 8
# Numbers of a row between two looks at whether the rest of them matters.
_LOOK = 32


def packed_columns(kind: int, width: int) -> np.ndarray:
    """Which number of a row stands where in a tile, int64, a multiple of STEP long; -1 pads.

    Complex numbers, stored as halves, become groups of four real and their four imaginary parts.
    """
    if kind != MODULUS:
        columns = np.full(-(-width // STEP) * STEP, -1, dtype=np.int64)
        columns[:width] = np.arange(width)
        return columns
    half, group = width // 2, STEP // 2
    real = np.full(-(-half // group) * group, -1, dtype=np.int64)
    real[:half] = np.arange(half)
    groups = real.reshape(-1, group)
    return np.concatenate((groups, np.where(groups < 0, -1, groups + half)), axis=1).ravel()


def packed_queries(vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Query vectors `(q, width)` in the order of `columns`, float32, zeros where it pads."""
    packed = np.zeros((len(vectors), len(columns)), dtype=np.float32)
    packed[:, columns >= 0] = vectors[:, columns[columns >= 0]]
    return packed


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def pack_tiles(rows: np.ndarray, columns: np.ndarray, first: int, last: int, tiles: np.ndarray) -> None:
    """Fill tiles `first` to `last` of `(t, len(columns), LANES)`, float32, from `rows` `(n, width)`.

    The last row is repeated to fill the last tile. Releases Python's lock.
    """
    for tile in range(first, last):
        for lane in range(LANES):
            r = min(tile * LANES + lane, len(rows) - 1)
            for i in range(len(columns)):
                tiles[tile, i, lane] = np.float32(rows[r, columns[i]]) if columns[i] >= 0 else np.float32(0)


# A function of its own, on an array of its own: written into the loops that call it, LLVM does not vectorise it, which
# costs a factor of 18. Sums of ones below 2^24 are exact in float32, in any order.
@njit(cache=True, fastmath={"reassoc", "nsz"})  # type: ignore[untyped-decorator]
def _tally(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """How many values are above `high`, and how many not below `low`."""
    one, nothing = np.float32(1), np.float32(0)
    above, near = nothing, nothing
    for j in range(len(values)):
        above += one if values[j] > high else nothing
        near += one if values[j] >= low else nothing
    return above, near  # type: ignore[return-value]


@njit(cache=True, fastmath={"reassoc", "nsz"})  # type: ignore[untyped-decorator]
def _least(values: np.ndarray) -> float:
    """The least of finite values."""
    least = values[0]
    for j in range(len(values)):
        least = min(least, values[j])
    return least  # type: ignore[no-any-return]


@njit(cache=True, fastmath=False)  # type: ignore[untyped-decorator]
def _count_segment(
    kind: int,
    values: np.ndarray,
    first_row: int,
    low: float,
    high: float,
    exact: bool,
    true: float,
    queries: np.ndarray,
    q: int,
    rows: np.ndarray,
    weights: np.ndarray,
    plain: bool,
) -> tuple[int, int, int]:
    """Weights above and level among the scores `values` of rows from `first_row`; and pairs scored anew.

    `plain` says that the weights of these rows are all 1.
    """
    sure, near = _tally(values, low, high)
    above, level, anew = np.int32(sure), np.int32(0), np.int32(0)
    if near == 0:
        return above, level, anew  # type: ignore[return-value]
    if not plain:
        above = np.int32(0)
        for j in range(len(values)):
            if values[j] > high:
                above += weights[first_row + j]
    if near > sure:
        for j in range(len(values)):
            value = values[j]
            weight = weights[first_row + j]
            if value >= low and value <= high and weight > 0:
                if exact:
                    level += weight
                    continue
                anew += np.int32(1)
                score = pair_score(kind, queries, q, rows, first_row + j)
                if score > true:
                    above += weight
                elif score == true:
                    level += weight
    return above, level, anew  # type: ignore[return-value]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def count_products(
    scores: np.ndarray,
    first_query: int,
    first_row: int,
    offsets: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    exact: bool,
    true: np.ndarray,
    queries: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    plain: bool,
    above: np.ndarray,
    level: np.ndarray,
    anew: np.ndarray,
) -> None:
    """Count in a block of dot products, as `count_distances` does, whose arguments these are but for one.

    `scores` is float32 `(b, n)`: queries from `first_query` with rows from `first_row`.
    """
    for i in range(scores.shape[0]):
        q = first_query + i
        for a in range(offsets[q], offsets[q + 1]):
            more, same, again = _count_segment(
                DOT, scores[i], first_row, low[a], high[a], exact, true[a], queries, q, rows, weights, plain
            )
            above[a] += more
            level[a] += same
            anew[a] += again


@njit(inline="always")  # type: ignore[untyped-decorator]
def _add_distances(kind: int, sums: np.ndarray, tile: np.ndarray, i: int, query: np.ndarray) -> None:
    """Add the distances of STEP numbers from `i` on to the sums `(LANES,)` of a tile's rows."""
    q0, q1, q2, q3 = query[i], query[i + 1], query[i + 2], query[i + 3]
    q4, q5, q6, q7 = query[i + 4], query[i + 5], query[i + 6], query[i + 7]
    if kind == L1:
        for j in range(LANES):
            sums[j] += (
                (abs(q0 - tile[i, j]) + abs(q1 - tile[i + 1, j]))
                + (abs(q2 - tile[i + 2, j]) + abs(q3 - tile[i + 3, j]))
            ) + (
                (abs(q4 - tile[i + 4, j]) + abs(q5 - tile[i + 5, j]))
                + (abs(q6 - tile[i + 6, j]) + abs(q7 - tile[i + 7, j]))
            )
    else:
        for j in range(LANES):
            d0, d1, d2, d3 = q0 - tile[i, j], q1 - tile[i + 1, j], q2 - tile[i + 2, j], q3 - tile[i + 3, j]
            d4, d5, d6, d7 = q4 - tile[i + 4, j], q5 - tile[i + 5, j], q6 - tile[i + 6, j], q7 - tile[i + 7, j]
            p0, p1, p2, p3 = d0 * d0 + d4 * d4, d1 * d1 + d5 * d5, d2 * d2 + d6 * d6, d3 * d3 + d7 * d7
            if kind == MODULUS:
                sums[j] += (np.sqrt(p0) + np.sqrt(p1)) + (np.sqrt(p2) + np.sqrt(p3))
            else:
                sums[j] += (p0 + p1) + (p2 + p3)


def _distance_loop(kind: int):  # type: ignore[no-untyped-def]
    @njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
    def count_distances(
        tiles: np.ndarray,
        packed: np.ndarray,
        first_query: int,
        last_query: int,
        reach: np.ndarray,
        offsets: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        exact: bool,
        true: np.ndarray,
        queries: np.ndarray,
        rows: np.ndarray,
        weights: np.ndarray,
        plain: bool,
        above: np.ndarray,
        level: np.ndarray,
        anew: np.ndarray,
    ) -> None:
        width = packed.shape[1]
        sums = np.empty(LANES, dtype=np.float32)
        for t in range(tiles.shape[0]):
            tile = tiles[t]
            for q in range(first_query, last_query):
                query, limit = packed[q], reach[q]
                for j in range(LANES):
                    sums[j] = 0
                out_of_reach = False
                # Before half of the sum, hardly any tile is out of reach.
                look_from = width // 2 if limit < np.inf else width
                for begin in range(0, width, _LOOK):
                    for i in range(begin, min(begin + _LOOK, width), STEP):
                        _add_distances(kind, sums, tile, i, query)
                    if begin + _LOOK < look_from:
                        continue
                    if _least(sums) > limit:
                        out_of_reach = True
                        break
                if out_of_reach:
                    continue
                for j in range(LANES):
                    sums[j] = -sums[j]
                for a in range(offsets[q], offsets[q + 1]):
                    more, same, again = _count_segment(
                        kind, sums, t * LANES, low[a], high[a], exact, true[a],
                        queries, q, rows, weights, plain and t + 1 < len(tiles),
                    )  # fmt: skip
                    above[a] += more
                    level[a] += same
                    anew[a] += again

    return count_distances


_LOOPS = {kind: _distance_loop(kind) for kind in (L1, SQUARED_L2, MODULUS)}


def count_distances(kind: int, *arguments: object) -> None:
    """Count, for each answer of some queries, the candidates above and level with it. Releases Python's lock.

    Args:
        kind: L1, SQUARED_L2 or MODULUS.
        arguments: in this order,
            tiles: `pack_tiles` of `rows`.
            packed: `packed_queries` of `queries`.
            first_query, last_query: queries counted for, the last one not.
            reach: float32 `(q,)`: a partial distance beyond it settles that a row is below all answers of the query.
            offsets: int64 `(q + 1,)`: query i has the answers `offsets[i]` to `offsets[i + 1]`.
            low, high: float32 `(m,)`: the interval of each answer.
            exact: float32 scores equal the float64 ones.
            true: float64 `(m,)`: scores of the answers.
            queries: float64 `(q, width)`.
            rows: float32 or float64 `(n, width)`.
            weights: int32 `(tiles * LANES,)`: how many candidates a row stands for; 0 beyond the last row.
            plain: the weights are all 1, beyond the last row apart.
            above, level, anew: int32 `(m,)`: added to; `anew` are pairs scored in float64.
    """
    _LOOPS[kind](*arguments)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def count_known(
    kind: int,
    first_query: int,
    last_query: int,
    offsets: np.ndarray,
    true: np.ndarray,
    queries: np.ndarray,
    known_offsets: np.ndarray,
    known_rows: np.ndarray,
    first_row: int,
    rows: np.ndarray,
    above: np.ndarray,
    level: np.ndarray,
) -> None:
    """Take the known answers that stand in `rows`, those from `first_row` on, off the counts of their query's answers.

    The known answers of query i are the row numbers `known_rows[known_offsets[i]:known_offsets[i + 1]]`, ascending, one
    for each entity. The rest is as in `count_distances`.
    """
    for q in range(first_query, last_query):
        begin, end = known_offsets[q], known_offsets[q + 1]
        begin += np.searchsorted(known_rows[begin:end], first_row)
        for k in range(begin, end):
            row = known_rows[k] - first_row
            if row >= len(rows):
                break
            score = pair_score(kind, queries, q, rows, row)
            for a in range(offsets[q], offsets[q + 1]):
                if score > true[a]:
                    above[a] -= np.int32(1)
                elif score == true[a]:
                    level[a] -= np.int32(1)

"""Counting on the CPU: compiled kernels for distances; a matrix product of torch, counted in the cache, for the dot."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from torch import Tensor

from kelbench.kernels import pairs
from kelbench.kernels.counting import (
    LANES,
    count_distances,
    count_known,
    count_products,
    pack_tiles,
    packed_columns,
    packed_queries,
)
from kelbench.ranking.asked import Asked, Block, Interval
from kelbench.ranking.bounds import Sizes

# What one thread takes at a time. A matrix product of so many queries and rows is counted before it leaves the cache.
_QUERIES = 512
_PRODUCT_ROWS = 1024
_TILES = 64


def pair_scores(kind: int, vectors: Tensor, query_of: np.ndarray, rows: Tensor) -> np.ndarray:
    """Float64 scores `(n,)` of `rows[i]` with `vectors[query_of[i]]`, float64."""
    scores = np.empty(len(rows))
    pairs.pair_scores(kind, _array(vectors), query_of, _array(rows), scores)
    return scores


def normalized(rows: Tensor) -> Tensor:
    """The rows in float64 with length 1."""
    result = torch.empty(rows.shape, dtype=torch.float64)
    pairs.normalize_rows(_array(rows), result.numpy())
    return result


def sizes(rows: Tensor) -> Sizes:
    """Norms of each row."""
    norms, whole = np.empty((len(rows), 2)), np.empty(len(rows), dtype=np.bool_)
    pairs.row_sizes(_array(rows), norms, whole)
    return Sizes(norms[:, 0], norms[:, 1], bool(whole.all()))


class CpuCounter:
    """`Counter` on the CPU."""

    def __init__(self, asked: Asked, parts: int, early_termination: bool) -> None:
        """Take the queries; `early_termination` drops a distance once its partial sum settles the comparison."""
        self._asked, self._early_termination = asked, early_termination
        self._vectors = _array(asked.vectors)
        width = self._vectors.shape[1]
        self._columns = np.arange(width) if asked.kind == pairs.DOT else packed_columns(asked.kind, width)
        self._packed = packed_queries(self._vectors, self._columns)
        self._above, self._level = (np.zeros((parts, len(asked.true)), dtype=np.int32) for _ in range(2))
        self._anew = np.zeros(len(asked.true), dtype=np.int32)

    def count(self, block: Block, interval: Interval, part: int) -> None:
        """Add the candidates of a block to the counts of a part."""
        if self._asked.kind == pairs.DOT:
            self._count_products(block, interval, part)
        else:
            self._count_distances(block, interval, part)

    def discount(self, block: Block, part: int) -> None:
        """Take the known answers among a block's candidates off the counts of a part."""
        asked, rows = self._asked, _array(block.rows)

        def work(first: int, last: int) -> None:
            count_known(
                asked.kind, first, last, asked.offsets, asked.true, self._vectors, asked.known_offsets,
                asked.known_rows, block.first, rows, self._above[part], self._level[part],
            )  # fmt: skip

        _in_threads(work, len(self._packed), _QUERIES)

    def counts(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Candidates above each answer and level with it, int32 `(p, m)`, and the pairs that float32 left open."""
        return self._above, self._level, int(self._anew.sum())

    def _count_products(self, block: Block, interval: Interval, part: int) -> None:
        queries, rows, wide = torch.from_numpy(self._packed), block.rows.float(), _array(block.rows)
        plain = bool((block.weights == 1).all())

        def work(first: int, last: int) -> None:
            buffer = torch.empty((last - first) * _PRODUCT_ROWS)
            for first_row in range(0, len(rows), _PRODUCT_ROWS):
                some = rows[first_row : first_row + _PRODUCT_ROWS].T
                scores = buffer[: (last - first) * some.shape[1]].view(last - first, -1)
                torch.mm(queries[first:last], some, out=scores)
                count_products(
                    scores.numpy(), first, first_row, self._asked.offsets, interval.low, interval.high,
                    interval.exact, self._asked.true, self._vectors, wide, block.weights, plain,
                    self._above[part], self._level[part], self._anew,
                )  # fmt: skip

        _in_threads(work, len(queries), _QUERIES)

    def _count_distances(self, block: Block, interval: Interval, part: int) -> None:
        rows = _array(block.rows)
        tiles = np.empty((-(-len(rows) // LANES), len(self._columns), LANES), dtype=np.float32)
        _in_threads(lambda first, last: pack_tiles(rows, self._columns, first, last, tiles), len(tiles), _TILES)
        weights = np.zeros(len(tiles) * LANES, dtype=np.int32)
        weights[: len(rows)] = block.weights
        plain = bool((block.weights == 1).all())
        reach = np.full(len(self._packed), np.inf, dtype=np.float32)
        if self._early_termination:
            # A distance beyond that of a query's farthest answer matters to none; every query has an answer.
            reach = -np.minimum.reduceat(interval.low, self._asked.offsets[:-1])

        def work(first: int, last: int) -> None:
            count_distances(
                self._asked.kind, tiles, self._packed, first, last, reach, self._asked.offsets, interval.low,
                interval.high, interval.exact, self._asked.true, self._vectors, rows, weights, plain,
                self._above[part], self._level[part], self._anew,
            )  # fmt: skip

        _in_threads(work, len(self._packed), _QUERIES)


def _in_threads(work: Callable[[int, int], None], count: int, size: int) -> None:
    """Call `work(first, last)` for pieces of `range(count)`, on the threads granted, each with torch on its own.

    The threads are Python's: the pools of torch and of numba would wait for each other's turn with all cores busy.
    Pieces write to places of their own, so that results do not depend on who takes which.
    """
    threads = numba.get_num_threads()
    size = max(1, min(size, -(-count // threads)))
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for future in [pool.submit(work, at, min(at + size, count)) for at in range(0, count, size)]:
                future.result()
    finally:
        torch.set_num_threads(before)


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())

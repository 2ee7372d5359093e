"""Counting with torch, where the vectors lie: written for a GPU, runs and gives the same ranks everywhere.

The float64 score of a pair is added in the order of `kernels/pairs.py`, an operation at a time, so that it has the same
bits as there. Counts stay on the device until the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from kelbench.kernels.pairs import DOT, L1, MODULUS, SQUARED_L2
from kelbench.ranking.asked import Asked, Block, Interval
from kelbench.ranking.bounds import Sizes
from kelbench.scoring import halves

# Numbers of a row that one compiled expression takes at a time.
_STEP = 16
# Numbers in a temporary array of float64 rows.
_PAIR_NUMBERS = 1 << 26


def pair_scores(kind: int, vectors: Tensor, query_of: np.ndarray | Tensor, rows: Tensor) -> np.ndarray:
    """Float64 scores `(n,)` of `rows[i]` with `vectors[query_of[i]]`, float64."""
    index = torch.as_tensor(query_of, device=vectors.device)
    return _pair_scores(kind, vectors, index, rows, torch.arange(len(rows), device=rows.device)).cpu().numpy()


def normalized(rows: Tensor) -> Tensor:
    """The rows in float64 with length 1."""
    wide = rows.double()
    squares = torch.zeros(len(wide), dtype=torch.float64, device=wide.device)
    for column in (wide * wide).T:
        squares += column
    return wide / _sqrt(squares).clamp_min(1e-300)[:, None]


def sizes(rows: Tensor) -> Sizes:
    """Norms of each row."""
    l1 = rows.abs().sum(dim=1, dtype=torch.float64)
    l2 = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    return Sizes(l1.cpu().numpy(), l2.cpu().numpy(), bool((rows == rows.round()).all()))


class DeviceCounter:
    """`Counter` on the device of the queries."""

    def __init__(self, asked: Asked, parts: int, block_bytes: int) -> None:
        """Take the queries; `block_bytes` is memory for a block of scores and what is made of it."""
        device = asked.vectors.device
        self._asked, self._block_bytes = asked, block_bytes
        self._packed = asked.vectors.float()
        self._true = torch.from_numpy(asked.true).to(device)
        self._query_of = torch.from_numpy(asked.query_of).to(device)
        self._above, self._level = (
            torch.zeros(parts, len(asked.true), dtype=torch.int32, device=device) for _ in range(2)
        )
        self._anew = torch.zeros((), dtype=torch.int64, device=device)

    def count(self, block: Block, interval: Interval, part: int) -> None:
        """Add the candidates of a block to the counts of a part."""
        device, offsets = self._true.device, self._asked.offsets
        low, high = (torch.from_numpy(side).to(device)[:, None] for side in (interval.low, interval.high))
        rows, weights = block.rows.float(), torch.from_numpy(block.weights).to(device)
        # Scores, those of each answer's query, masks and weights: four arrays of at most 4 bytes.
        size = max(1, self._block_bytes // (16 * len(rows)))
        for begin in range(0, len(self._packed), size):
            scores = _scores(self._asked.kind, self._packed[begin : begin + size], rows)
            last = int(offsets[min(begin + size, len(self._packed))])
            for first in range(int(offsets[begin]), last, size):
                answers = slice(first, min(first + size, last))
                found = scores[self._query_of[answers] - begin]
                self._add(self._above[part, answers], found > high[answers], weights)
                open_ = (found >= low[answers]) & (found <= high[answers])
                if interval.exact:
                    self._add(self._level[part, answers], open_, weights)
                else:
                    self._settle(open_, first, block.rows, weights, part)

    def discount(self, block: Block, part: int) -> None:
        """Take the known answers among a block's candidates off the counts of a part."""
        asked, device = self._asked, self._true.device
        row = asked.known_rows - block.first
        inside = np.flatnonzero((row >= 0) & (row < len(block.rows)))
        query = np.searchsorted(asked.known_offsets, inside, side="right") - 1
        on_device = torch.from_numpy(query).to(device)
        scores = _pair_scores(
            asked.kind, asked.vectors, on_device, block.rows, torch.from_numpy(row[inside]).to(device)
        )
        # Each known answer with each answer of its query.
        times = (asked.offsets[1:] - asked.offsets[:-1])[query]
        place = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        answer = torch.from_numpy(np.repeat(asked.offsets[query], times) + place).to(device)
        scores = scores[torch.from_numpy(np.repeat(np.arange(len(query)), times)).to(device)]
        self._above[part].index_add_(0, answer, -(scores > self._true[answer]).int())
        self._level[part].index_add_(0, answer, -(scores == self._true[answer]).int())

    def counts(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Candidates above each answer and level with it, int32 `(p, m)`, and the pairs that float32 left open."""
        return self._above.cpu().numpy(), self._level.cpu().numpy(), int(self._anew)

    @staticmethod
    def _add(counts: Tensor, mask: Tensor, weights: Tensor) -> None:
        counts += torch.where(mask, weights, 0).sum(dim=1, dtype=torch.int32)

    def _settle(self, open_: Tensor, first: int, rows: Tensor, weights: Tensor, part: int) -> None:
        answer, row = open_.nonzero(as_tuple=True)
        answer = answer + first
        scores = _pair_scores(self._asked.kind, self._asked.vectors, self._query_of[answer], rows, row)
        true = self._true[answer]
        self._above[part].index_add_(0, answer, weights[row] * (scores > true))
        self._level[part].index_add_(0, answer, weights[row] * (scores == true))
        self._anew += len(answer)


def _pair_scores(kind: int, vectors: Tensor, query: Tensor, rows: Tensor, row: Tensor) -> Tensor:
    """Float64 scores of `vectors[query[i]]` with `rows[row[i]]`, added as `kernels.pairs.pair_score` does."""
    size = max(1, _PAIR_NUMBERS // rows.shape[1])
    parts = [
        _added(_terms(kind, vectors[query[begin : begin + size]], rows[row[begin : begin + size]].double()))
        for begin in range(0, len(query), size)
    ]
    total = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64, device=rows.device)
    return total if kind == DOT else -total


def _terms(kind: int, queries: Tensor, rows: Tensor) -> Tensor:
    if kind == DOT:
        return queries * rows
    difference = queries - rows
    if kind == L1:
        return difference.abs()
    if kind == SQUARED_L2:
        return difference * difference
    real, imaginary = halves(difference)
    return _sqrt(real * real + imaginary * imaginary)


def _sqrt(squares: Tensor) -> Tensor:
    """Correctly rounded square roots, which those of torch are on a GPU but not always on the CPU."""
    return torch.from_numpy(np.sqrt(squares.numpy())) if squares.is_cpu else squares.sqrt()


def _added(terms: Tensor) -> Tensor:
    whole = terms.shape[1] // 8 * 8
    sums = torch.zeros(len(terms), 8, dtype=torch.float64, device=terms.device)
    for begin in range(0, whole, 8):
        sums += terms[:, begin : begin + 8]
    for column in range(whole, terms.shape[1]):
        sums[:, 0] += terms[:, column]
    pairs = sums[:, 0::2] + sums[:, 1::2]
    return (pairs[:, 0] + pairs[:, 1]) + (pairs[:, 2] + pairs[:, 3])


def _scores(kind: int, queries: Tensor, rows: Tensor) -> Tensor:
    """Float32 scores `(q, n)`."""
    if kind == DOT:
        return queries @ rows.T
    total = torch.zeros(len(queries), len(rows), device=rows.device)
    left, right = _columns(kind, queries), _columns(kind, rows)
    add = _compiled_add(kind) if rows.is_cuda else _add_of(kind)
    for begin in range(0, left.shape[1], _STEP):
        some = slice(begin, begin + _STEP)
        total = add(total, left[:, some], right[:, some])
    return -total


def _columns(kind: int, rows: Tensor) -> Tensor:
    """Rows as `(parts, columns, n)`: real and imaginary parts for moduli, else one part."""
    parts = halves(rows) if kind == MODULUS else (rows,)
    return torch.stack([part.T for part in parts])


def _add_of(kind: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def add(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
        for column in range(left.shape[1]):
            difference = left[0, column, :, None] - right[0, column]
            if kind == L1:
                total = total + difference.abs()
            elif kind == SQUARED_L2:
                total = total + difference * difference
            else:
                imaginary = left[1, column, :, None] - right[1, column]
                total = total + (difference * difference + imaginary * imaginary).sqrt()
        return total

    return add


@cache
def _compiled_add(kind: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """One kernel instead of several passes over the scores for each number of a row."""
    compiled: Callable[[Tensor, Tensor, Tensor], Tensor] = torch.compile(_add_of(kind), dynamic=True)
    return compiled

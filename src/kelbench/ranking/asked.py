"""The queries that are ranked together, and what both programs that count for them share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """A chunk of distinct queries with their answers, those to be ranked and those already known.

    Attributes:
        kind: what compares a pair, of `kernels.pairs`.
        vectors: float64 `(q, width)`.
        offsets: int64 `(q + 1,)`: query i has the answers `offsets[i]` to `offsets[i + 1]`.
        query_of: int64 `(m,)`: the query of each answer.
        true: float64 `(m,)`: the answers' scores.
        known_offsets: int64 `(q + 1,)`: where in `known_rows` the known answers of each query begin.
        known_rows: int64: their rows, ascending within a query, one for each entity.
    """

    kind: int
    vectors: Tensor
    offsets: np.ndarray
    query_of: np.ndarray
    true: np.ndarray
    known_offsets: np.ndarray
    known_rows: np.ndarray


@dataclass(frozen=True)
class Block:
    """Some candidate rows.

    Attributes:
        rows: `(n, width)`, float32 or float64.
        first: number of the first row.
        weights: int32 `(n,)`: entities behind each row.
    """

    rows: Tensor
    first: int
    weights: np.ndarray


@dataclass(frozen=True)
class Interval:
    """Float32 scores outside [low, high], float32 `(m,)`, settle a comparison; all do where they are `exact`."""

    low: np.ndarray
    high: np.ndarray
    exact: bool


class Counter(Protocol):
    """Counts for one chunk of queries."""

    def count(self, block: Block, interval: Interval, part: int) -> None:
        """Add the candidates of a block to the counts of a part."""

    def discount(self, block: Block, part: int) -> None:
        """Take the known answers among a block's candidates off the counts of a part."""

    def counts(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Candidates above each answer and level with it, int32 `(p, m)`, and the pairs that float32 left open."""


@contextmanager
def full_float32() -> Iterator[None]:
    """Float32 matrix products without TF32 or bfloat16 inside, whatever the process has chosen."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)

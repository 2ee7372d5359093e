"""Metrics of ranks. Realistic rank: the mean of optimistic and pessimistic (Berrendorf et al. 2020, Section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Ties = Literal["realistic", "optimistic", "pessimistic"]
TIES: tuple[Ties, ...] = ("realistic", "optimistic", "pessimistic")
HITS_AT = (1, 3, 10)
# What a validation gives; the first selects models.
VALIDATION_METRICS = ("mrr", "hits@1", "hits@10")


@dataclass(frozen=True)
class Ranks:
    """Ranks under one candidate set and one filter.

    Attributes:
        optimistic: int `(n,)`.
        pessimistic: int `(n,)`.
        candidates: int `(n,)`: how many candidates competed, the true one included.
        query: int `(n,)`: equal numbers for equal queries (side, entity and relation).
    """

    optimistic: np.ndarray
    pessimistic: np.ndarray
    candidates: np.ndarray
    query: np.ndarray

    def __len__(self) -> int:
        return len(self.optimistic)

    def take(self, which: np.ndarray) -> Ranks:
        """The ranks at a mask or at positions."""
        return Ranks(self.optimistic[which], self.pessimistic[which], self.candidates[which], self.query[which])

    def values(self, ties: Ties) -> np.ndarray:
        """Ranks, float64 `(n,)`, by one rule for ties."""
        if ties == "optimistic":
            return self.optimistic.astype(np.float64)
        if ties == "pessimistic":
            return self.pessimistic.astype(np.float64)
        return (self.optimistic + self.pessimistic) / 2.0


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """MRR: the mean of 1 / rank."""
    return float(np.mean(1.0 / ranks))


def hits_at(ranks: np.ndarray, k: int) -> float:
    """Hits@k: the share of ranks not above k."""
    return float(np.mean(ranks <= k))


def adjusted_mean_rank_index(ranks: np.ndarray, candidates: np.ndarray) -> float:
    """AMRI = 1 - (MR - 1) / (E[MR] - 1), with E[MR] = mean of (candidates + 1) / 2.

    1 for a perfect scorer, 0 for a random or constant one (Berrendorf et al. 2020, Eq. 8). 0 by definition where no
    query has a second candidate.
    """
    expected = float(np.mean((candidates + 1) / 2.0))
    return 0.0 if expected == 1.0 else 1.0 - (float(np.mean(ranks)) - 1.0) / (expected - 1.0)


def query_macro_mrr(ranks: np.ndarray, query: np.ndarray) -> float:
    """The mean over distinct queries of each query's mean reciprocal rank, so that repeated queries count once."""
    _, index = np.unique(query, return_inverse=True)
    counts = np.bincount(index)
    return float(np.mean(np.bincount(index, weights=1.0 / ranks) / counts))


def summarize(ranks: Ranks, ties: Ties) -> dict[str, float]:
    """Every metric of a set of ranks; `tie_rate`, the share of ranks that ties touch, under `realistic` only.

    Raises:
        ValueError: there are no ranks.
    """
    if len(ranks) == 0:
        raise ValueError("no ranks to summarize")
    values = ranks.values(ties)
    metrics = {
        "mrr": mean_reciprocal_rank(values),
        **{f"hits@{k}": hits_at(values, k) for k in HITS_AT},
        "mr": float(np.mean(values)),
        "amri": adjusted_mean_rank_index(values, ranks.candidates),
        "mrr_query_macro": query_macro_mrr(values, ranks.query),
    }
    if ties == "realistic":
        metrics["tie_rate"] = float(np.mean(ranks.optimistic != ranks.pessimistic))
    return metrics

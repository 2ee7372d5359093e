"""Means, intervals and tests of the leaderboard. Every random draw has a fixed seed, so that results repeat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
TEST_RESAMPLES = 1000
DIFFERENCE_RESAMPLES = 4999
_SEED = 20240229
_WEIGHTS_IN_MEMORY = 4_000_000

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """The difference between two runs, first minus second: its value, 95 % interval and two-sided p."""

    value: float
    interval: Interval
    p: float


def mean(values: np.ndarray) -> float:
    """Arithmetic mean of `(n,)` values."""
    return float(np.mean(values))


def standard_deviation(values: np.ndarray) -> float | None:
    """Sample standard deviation (denominator n - 1); None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def seed_interval(values: np.ndarray) -> Interval | None:
    """95 % t interval of the mean of `(n,)` values, one a seed; None for a single seed."""
    if len(values) < 2:
        return None
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def resampling_weights(size: int, resamples: int, seed: int = _SEED) -> Iterator[np.ndarray]:
    """How often each of `size` items is drawn when `size` are drawn with replacement, `resamples` times.

    Yields:
        float64 blocks `(block, size)`, whose rows sum to `size`; the blocks together have `resamples` rows.
    """
    generator = np.random.default_rng(seed)
    block = max(1, min(resamples, _WEIGHTS_IN_MEMORY // size))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        draws = generator.integers(size, size=(rows, size))
        draws += np.arange(rows)[:, None] * size
        yield np.bincount(draws.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)


def triple_intervals(sums: np.ndarray, counts: np.ndarray, resamples: int = TEST_RESAMPLES) -> list[Interval]:
    """95 % percentile bootstrap over test triples, for several means at once.

    A triple is drawn with all its ranks: the mean of a resample is the sum of the drawn triples' sums over the sum of
    their counts, so that head and tail side stay together (Efron and Tibshirani 1993, chapter 13).

    Args:
        sums: float64 `(triples, columns)`: sum over a triple's ranks (its sides), averaged over seeds.
        counts: float64 `(triples, columns)`: how many ranks stand in each sum; a column needs at least one.
        resamples: number of bootstrap samples.

    Returns:
        an interval a column.
    """
    means = np.concatenate(
        [(weights @ sums) / np.maximum(weights @ counts, 1.0) for weights in resampling_weights(len(sums), resamples)]
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def paired_differences(
    first: np.ndarray, seconds: np.ndarray, resamples: int = DIFFERENCE_RESAMPLES
) -> list[Difference]:
    """Differences between one run and each of several others by a paired bootstrap.

    Each resample draws seeds, then triples, and gives both runs the same draw. p is twice the smaller share of
    resamples on either side of zero, (count + 1) / (resamples + 1) each (Davison and Hinkley 1997, section 4.4).

    Args:
        first: float64 `(seeds, triples)`: a triple's value, the mean over its sides.
        seconds: float64 `(others, seeds, triples)`: the same of the others, for the same triples.
        resamples: number of bootstrap samples.
    """
    others, seeds, triples = seconds.shape
    gaps = (first[None] - seconds).reshape(others * seeds, triples)
    over_triples = np.concatenate([weights @ gaps.T for weights in resampling_weights(triples, resamples)]) / triples
    seed_weights = np.concatenate(list(resampling_weights(seeds, resamples, _SEED + 1))) / seeds
    drawn = np.einsum("bos,bs->bo", over_triples.reshape(resamples, others, seeds), seed_weights)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    not_above = (np.sum(drawn <= 0, axis=0) + 1) / (resamples + 1)
    not_below = (np.sum(drawn >= 0, axis=0) + 1) / (resamples + 1)
    p = np.minimum(1.0, 2 * np.minimum(not_above, not_below))
    values = gaps.reshape(others, seeds * triples).mean(axis=1)
    return [Difference(float(values[i]), (float(low[i]), float(high[i])), float(p[i])) for i in range(others)]


def holm(p_values: list[float]) -> list[float]:
    """Adjusted p of each test such that the chance of any false rejection stays bounded (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, p_values[index] * (len(p_values) - position)))
        adjusted[index] = running
    return adjusted


def equivalent(values: np.ndarray, target: float, margin: float, level: float = 0.05) -> bool:
    """Whether the mean of `(n,)` values lies within `margin` of `target`, by two one-sided t tests (Schuirmann 1987).

    Both null hypotheses, that the mean is at least `margin` below and at least `margin` above, must be rejected at
    `level`. Needs two values or more.
    """
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    offset = float(np.mean(values)) - target
    if error == 0.0:
        return abs(offset) < margin
    freedom = len(values) - 1
    p_low = stats.t.sf((offset + margin) / error, freedom)
    p_high = stats.t.cdf((offset - margin) / error, freedom)
    return bool(max(p_low, p_high) < level)


Position = Literal["inside", "above", "below", "across"]


def position(interval: Interval, low: float, high: float) -> Position:
    """Where an interval lies relative to the band from `low` to `high`."""
    if interval[0] > high:
        return "above"
    if interval[1] < low:
        return "below"
    return "inside" if low <= interval[0] and interval[1] <= high else "across"

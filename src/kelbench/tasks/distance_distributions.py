"""How far apart right and wrong pairs lie: histograms, overlap and AUC, with intervals over entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

# Unit vectors lie between 0 and 2 apart; the plots of CLEP's slides have as many bins.
FARTHEST = 2.0
BINS = 100
RESAMPLES = 1000
CONFIDENCE = 0.95
# Resampled values are computed from bins this many times finer: an AUC's error is then far below its interval.
_FINER = 10
_SEED = 20240229
_DECIMALS = 6


@dataclass(frozen=True)
class PairDistances:
    """Distances of queries to their right description and to wrong ones.

    Attributes:
        right: float64 `(q,)`, in [0, 2].
        entity: int64 `(q,)`: who asks; all pairs of an entity are resampled together.
        wrong: float64 `(w,)`, in [0, 2].
        query: int64 `(w,)`: the query of each wrong pair.
        equal: bool `(w,)`: whether the wrong one has the text of a right one, so that no encoder can tell them apart.
    """

    right: np.ndarray
    entity: np.ndarray
    wrong: np.ndarray
    query: np.ndarray
    equal: np.ndarray


def describe_distances(distances: PairDistances) -> dict[str, Any] | None:
    """Both distributions and how well they are apart; None where there is no wrong pair with a text of its own.

    `auc` is the share of (right, wrong) pairs in which the right one is nearer, ties counted half: U / (n1 n2) of Mann
    and Whitney (1947). `overlap` is the area that the two histograms share. Both leave out the wrong pairs with an
    equal text; `with_equal_texts` has them among the wrong ones, and `auc_lost` is what that costs. There is no p
    value: with millions of pairs, of which those of an entity depend on each other, any would be 0. Intervals are
    95 % percentile bootstraps over entities. A histogram of few pairs has gaps, which lower the overlap: below some
    hundred queries, and in a bootstrap, which repeats some of them, it is to be read beside another overlap only.

    Returns:
        queries, entities, wrong_pairs, equal_pairs: counts; correct, incorrect: counts a bin `(100,)` of [0, 2];
        mean_correct, mean_incorrect, overlap, auc with their intervals, as above; rounded to six decimals.
    """
    own = ~distances.equal
    if not own.any() or not len(distances.right):
        return None
    entities, place = np.unique(distances.entity, return_inverse=True)
    drawn = _resampled(distances, place, len(entities))
    right, wrong = histogram(distances.right), histogram(distances.wrong[own])
    described = {
        "queries": len(distances.right),
        "entities": len(entities),
        "wrong_pairs": int(own.sum()),
        "equal_pairs": int(distances.equal.sum()),
        "correct": right.tolist(),
        "incorrect": wrong.tolist(),
        "mean_correct": _rounded(distances.right.mean()),
        "mean_incorrect": _rounded(distances.wrong[own].mean()),
    }
    auc, auc_of_all = (area_under_curve(distances.right, part) for part in (distances.wrong[own], distances.wrong))
    return described | {
        **_with_intervals(auc, overlap(right, wrong), drawn["own"]),
        "with_equal_texts": _with_intervals(auc_of_all, overlap(right, histogram(distances.wrong)), drawn["all"]),
        "auc_lost": _rounded(auc - auc_of_all),
        "auc_lost_interval": _interval(drawn["own"][0] - drawn["all"][0]),
    }


def histogram(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Counts int64 `(bins,)` of distances `(n,)` in equal parts of [0, 2]; a bin holds its lower end, the last both."""
    return np.bincount(_bin(values, bins), minlength=bins)


def overlap(first: np.ndarray, second: np.ndarray) -> Any:
    """The area that two densities share, 0 to 1: sums over the last axis of the smaller share of each bin.

    Args:
        first: counts a bin, of any leading shape; each histogram has at least one.
        second: the same of the other.
    """
    shares = [counts / counts.sum(axis=-1, keepdims=True) for counts in (first, second)]
    return np.minimum(*shares).sum(axis=-1)


def area_under_curve(right: np.ndarray, wrong: np.ndarray) -> float:
    """Share of pairs, one of each, in which the distance `right` `(n,)` is smaller than `wrong` `(m,)`; ties half."""
    statistic = mannwhitneyu(wrong, right, method="asymptotic").statistic
    return float(statistic / (len(right) * len(wrong)))


def area_of_histograms(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """`area_under_curve` of distances that are known by their bin, `(..., bins)`: those of one bin tie."""
    nearer = np.cumsum(right, axis=-1) - right / 2
    area: np.ndarray = (nearer * wrong).sum(axis=-1) / (right.sum(axis=-1) * wrong.sum(axis=-1))
    return area


def _bin(values: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((values * (bins / FARTHEST)).astype(np.int64), bins - 1)


def _resampled(distances: PairDistances, place: np.ndarray, entities: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """AUC and overlap `(resamples,)` each, without (`own`) and with (`all`) equal texts; entities drawn with return."""
    fine = BINS * _FINER
    of_wrong = place[distances.query]

    def by_entity(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
        counts = np.bincount(owner * fine + _bin(values, fine), minlength=entities * fine)
        return counts.reshape(entities, fine).astype(np.float64)

    draws = np.random.default_rng(_SEED).integers(entities, size=(RESAMPLES, entities))
    draws += np.arange(RESAMPLES)[:, None] * entities
    weights = np.bincount(draws.ravel(), minlength=RESAMPLES * entities).reshape(RESAMPLES, entities).astype(np.float64)
    own = ~distances.equal
    # Sums of integers: exact, whatever the order in which threads add them.
    right = weights @ by_entity(distances.right, place)
    wrong = weights @ by_entity(distances.wrong[own], of_wrong[own])
    equal = weights @ by_entity(distances.wrong[~own], of_wrong[~own])
    # A draw of entities that all lack wrong pairs says nothing.
    kept = wrong.sum(axis=1) > 0
    right, wrong, equal = right[kept], wrong[kept], equal[kept]
    return {
        name: (area_of_histograms(right, counts), overlap(_coarse(right), _coarse(counts)))
        for name, counts in (("own", wrong), ("all", wrong + equal))
    }


def _coarse(counts: np.ndarray) -> np.ndarray:
    return counts.reshape(*counts.shape[:-1], BINS, _FINER).sum(axis=-1)


def _with_intervals(auc: float, shared: float, drawn: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    return {
        "auc": _rounded(auc),
        "auc_interval": _interval(drawn[0]),
        "overlap": _rounded(shared),
        "overlap_interval": _interval(drawn[1]),
    }


def _interval(values: np.ndarray) -> list[float]:
    tail = (1 - CONFIDENCE) / 2
    return [_rounded(end) for end in np.quantile(values, [tail, 1 - tail])]


def _rounded(value: Any) -> float:
    return round(float(value), _DECIMALS)

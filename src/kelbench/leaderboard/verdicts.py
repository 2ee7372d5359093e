"""When a number found here confirms a published one. The margins were fixed before any run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kelbench.leaderboard.statistics import equivalent, position, seed_interval

Verdict = Literal[
    "reproduced", "within tolerance", "exceeded", "below", "inconclusive", "not comparable", "not run", "mixed"
]

# A pessimistic or rounded rank is compared with our realistic one as long as ties can move our own MRR by less than
# this: a fifth of the smallest margin.
TIE_GAP = 0.001
SEEDS_FOR_TEST = 3
SMALL_TEST = 1000
_WIDER = ("wn18rr", "codex-s", "wikidata5m")


@dataclass(frozen=True)
class Judgement:
    """A verdict and, in words, what it rests on."""

    verdict: Verdict
    reason: str


def margin(dataset: str, metric: str, published: float, decimals: int, n_triples: int) -> float:
    """Half width of the band around a published value that counts as the same result.

    .005 for MRR, Hits@k and other shares; .01 on WN18RR, CoDEx-S and Wikidata5M; .02 where fewer than 1,000 test
    triples are ranked; 5 % of the published value for mean rank; plus half a unit of the last digit printed.
    """
    if metric == "mr":
        return 0.05 * published + 0.5
    if n_triples < SMALL_TEST:
        base = 0.02
    else:
        wider = dataset in _WIDER or dataset.startswith("wikidata5m-")
        base = 0.01 if wider else 0.005
    return base + 0.5 * 10.0**-decimals


def judge_value(values: np.ndarray, published: float, half_width: float, lower_is_better: bool = False) -> Judgement:
    """Compare the metric of each seed with a published value.

    * reproduced: three seeds or more, and the equivalence test passes;
    * exceeded, below: the interval over seeds lies wholly outside the band, on the better or the worse side;
    * within tolerance: the mean is in the band, with too few seeds for the test;
    * inconclusive: anything else.

    Args:
        values: float64 `(seeds,)`.
        published: the value as printed.
        half_width: `margin`.
        lower_is_better: for mean rank.
    """
    low, high = published - half_width, published + half_width
    band = f"band {low:.4g} to {high:.4g}"
    mean = float(np.mean(values))
    interval = seed_interval(values)
    if len(values) >= SEEDS_FOR_TEST and equivalent(values, published, half_width):
        return Judgement("reproduced", f"equivalence test passed at 5 %, {band}")
    if interval is not None and (place := position(interval, low, high)) in ("above", "below"):
        better = (place == "above") != lower_is_better
        return Judgement("exceeded" if better else "below", f"interval over seeds wholly outside the {band}")
    if len(values) < SEEDS_FOR_TEST and low <= mean <= high:
        return Judgement("within tolerance", f"mean inside the {band}; {_seeds(values)}, too few for a test")
    place_of_mean = "inside" if low <= mean <= high else "outside"
    return Judgement("inconclusive", f"mean {place_of_mean} the {band}, {_seeds(values)} do not decide")


def _seeds(values: np.ndarray) -> str:
    return "one seed" if len(values) == 1 else f"{len(values)} seeds"


def together(verdicts: list[Verdict]) -> Verdict | None:
    """The verdict that all of a row's sources share; `mixed` where they differ; None without any."""
    distinct = set(verdicts)
    if len(distinct) > 1:
        return "mixed"
    return verdicts[0] if verdicts else None

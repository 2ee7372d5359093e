import numpy as np
import pytest

from kelbench.leaderboard.verdicts import judge_value, margin, together


@pytest.mark.parametrize(
    ("dataset", "metric", "published", "decimals", "n_triples", "expected"),
    [
        ("fb15k-237", "mrr", 0.348, 3, 20466, 0.0055),
        ("fb15k-237", "hits@10", 0.56, 2, 20466, 0.010),
        ("wn18rr", "mrr", 0.475, 3, 3134, 0.0105),
        ("wn18rr", "mrr", 0.475, 3, 900, 0.0205),
        ("codex-s", "mrr", 0.465, 3, 1828, 0.0105),
        ("wikidata5m-transductive", "mrr", 0.253, 3, 5133, 0.0105),
        ("kinships", "hits@10", 0.978, 3, 1074, 0.0055),
        ("umls", "mrr", 0.9, 1, 661, 0.07),
        ("fb15k-237", "mr", 200, 0, 20466, 10.5),
    ],
)
def test_margins_are_those_fixed_beforehand(dataset, metric, published, decimals, n_triples, expected):
    assert margin(dataset, metric, published, decimals, n_triples) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.348, 0.3485, 0.3475], "reproduced"),
        ([0.346, 0.3465, 0.3455], "reproduced"),
        ([0.340, 0.3405, 0.3395], "below"),
        ([0.360, 0.3605, 0.3595], "exceeded"),
        ([0.340, 0.348, 0.356], "inconclusive"),  # right on average, far too noisy
        ([0.341, 0.343, 0.345], "inconclusive"),  # across the lower end of the band
        ([0.350], "within tolerance"),
        ([0.350, 0.347], "within tolerance"),
        ([0.355], "inconclusive"),  # one seed has no interval
        ([0.35999, 0.36001], "exceeded"),
        ([0.33999, 0.34001], "below"),
        ([0.330, 0.352], "inconclusive"),
    ],
)
def test_verdict_table(values, expected):
    assert judge_value(np.array(values), 0.348, 0.0055).verdict == expected


def test_a_lower_mean_rank_exceeds():
    assert judge_value(np.array([80.0, 81.0, 79.0]), 100.0, 5.5, lower_is_better=True).verdict == "exceeded"
    assert judge_value(np.array([120.0, 121.0, 119.0]), 100.0, 5.5, lower_is_better=True).verdict == "below"
    assert judge_value(np.array([100.0, 101.0, 99.0]), 100.0, 5.5, lower_is_better=True).verdict == "reproduced"


def test_together():
    assert together([]) is None
    assert together(["reproduced", "reproduced"]) == "reproduced"
    assert together(["reproduced", "below"]) == "mixed"

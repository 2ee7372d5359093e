import numpy as np
import pytest
from scipy import stats

from kelbench.leaderboard.statistics import (
    equivalent,
    holm,
    mean,
    paired_differences,
    position,
    resampling_weights,
    seed_interval,
    standard_deviation,
    triple_intervals,
)


def test_mean_and_deviation_by_hand():
    values = np.array([0.1, 0.2, 0.6])
    assert mean(values) == pytest.approx(0.3)
    assert standard_deviation(values) == pytest.approx(np.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert standard_deviation(values[:1]) is None


def test_seed_interval_is_scipys():
    values = np.array([0.31, 0.32, 0.36, 0.33])
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert seed_interval(values) == pytest.approx(expected)
    assert seed_interval(np.array([0.1, 0.3])) == pytest.approx((0.2 - 12.7062 * 0.1, 0.2 + 12.7062 * 0.1), abs=1e-4)
    assert seed_interval(values[:1]) is None


def test_weights_are_multinomial_and_do_not_depend_on_the_block_size(monkeypatch):
    whole = np.concatenate(list(resampling_weights(7, 500)))
    assert whole.shape == (500, 7)
    assert np.all(whole.sum(axis=1) == 7)
    assert whole.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)
    monkeypatch.setattr("kelbench.leaderboard.statistics._WEIGHTS_IN_MEMORY", 70)
    assert np.array_equal(np.concatenate(list(resampling_weights(7, 500))), whole)


def test_triple_interval_agrees_with_scipys_bootstrap():
    values = np.random.default_rng(3).random((300, 1))
    ((low, high),) = triple_intervals(values, np.ones((300, 1)), resamples=4000)
    theirs = stats.bootstrap(
        (values[:, 0],), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=3e-3)


def test_both_sides_of_a_triple_stay_together():
    # The sides of a triple agree: 2n ranks hold no more than n do, so keeping them together gives the wider interval.
    once = np.random.default_rng(4).random((200, 1))
    together = triple_intervals(2 * once, np.full((200, 1), 2.0))[0]
    apart = triple_intervals(np.repeat(once, 2, axis=0), np.ones((400, 1)))[0]
    assert together == triple_intervals(once, np.ones((200, 1)))[0]
    assert together[1] - together[0] > 1.25 * (apart[1] - apart[0])


def test_triples_without_a_rank_on_a_side_do_not_count_there():
    sums = np.array([[1.0], [0.0], [1.0]])
    counts = np.array([[1.0], [0.0], [1.0]])
    assert triple_intervals(np.repeat(sums, 50, axis=0), np.repeat(counts, 50, axis=0)) == [(1.0, 1.0)]


def test_paired_difference_of_a_constant_shift_is_certain():
    second = np.random.default_rng(5).random((3, 80))
    (difference,) = paired_differences(second + 0.1, second[None])
    assert difference.value == pytest.approx(0.1)
    assert difference.interval == pytest.approx((0.1, 0.1))
    assert difference.p == pytest.approx(2 / 5000)


def test_paired_difference_of_equal_runs_is_not_significant():
    run = np.random.default_rng(6).random((2, 50))
    (difference,) = paired_differences(run, run[None])
    assert (difference.value, difference.interval, difference.p) == (0.0, (0.0, 0.0), 1.0)


def test_paired_difference_is_antisymmetric_and_wider_with_seed_noise():
    generator = np.random.default_rng(7)
    triple_noise = generator.normal(0, 0.3, 200)
    first = 0.5 + triple_noise + generator.normal(0, 0.05, (3, 1))
    second = 0.5 + triple_noise + np.zeros((3, 1))
    (forward,), (backward,) = paired_differences(first, second[None]), paired_differences(second, first[None])
    assert forward.value == pytest.approx(-backward.value)
    assert forward.interval == pytest.approx((-backward.interval[1], -backward.interval[0]))
    assert forward.interval[1] - forward.interval[0] > 0.01  # triples cancel, seeds do not


def test_bootstrap_covers_the_truth_about_as_often_as_promised():
    generator = np.random.default_rng(8)
    inside = 0
    for _ in range(100):
        gaps = generator.normal(0.02, 0.2, (1, 150))
        low, high = paired_differences(gaps, np.zeros((1, 1, 150)), resamples=400)[0].interval
        inside += low <= 0.02 <= high
    assert 88 <= inside <= 100


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_equivalence_agrees_with_scipys_one_sided_tests():
    values = np.array([0.348, 0.351, 0.350, 0.349])
    for margin in (0.001, 0.002, 0.003, 0.004, 0.006):
        above = stats.ttest_1samp(values, 0.348 - margin, alternative="greater").pvalue
        below = stats.ttest_1samp(values, 0.348 + margin, alternative="less").pvalue
        assert equivalent(values, 0.348, margin) == (max(above, below) < 0.05)
    assert equivalent(values, 0.348, 0.006)
    assert not equivalent(values, 0.348, 0.001)


def test_equivalence_of_seeds_that_agree_exactly():
    assert equivalent(np.full(3, 0.5), 0.502, 0.005)
    assert not equivalent(np.full(3, 0.5), 0.51, 0.005)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.2, 0.3), "inside"),
        ((0.41, 0.5), "above"),
        ((0.0, 0.05), "below"),
        ((0.3, 0.5), "across"),
        ((0, 1), "across"),
    ],
)
def test_position(interval, expected):
    assert position(interval, 0.1, 0.4) == expected

"""Distributions of distances against loops over all pairs, and against numbers worked out by hand."""

import itertools

import numpy as np
import pytest

from kelbench.tasks.distance_distributions import (
    BINS,
    PairDistances,
    area_of_histograms,
    area_under_curve,
    describe_distances,
    histogram,
    overlap,
)


def pairs(right, wrong, entity=None, query=None, equal=None):
    right, wrong = np.array(right, dtype=float), np.array(wrong, dtype=float)
    return PairDistances(
        right,
        np.arange(len(right)) if entity is None else np.array(entity),
        wrong,
        np.arange(len(wrong)) % len(right) if query is None else np.array(query),
        np.zeros(len(wrong), dtype=bool) if equal is None else np.array(equal),
    )


def test_a_bin_holds_its_lower_end_and_the_last_bin_both():
    counts = histogram(np.array([0.0, 0.019, 0.021, 1.001, 1.999, 2.0]))
    expected = np.zeros(BINS, dtype=int)
    expected[[0, 1, 50, 99]] = [2, 1, 1, 2]
    np.testing.assert_array_equal(counts, expected)
    # Eighths are exact numbers, so that an edge is one.
    np.testing.assert_array_equal(histogram(np.array([0.25, 0.2499, 0.5]), 8), [1, 1, 1, 0, 0, 0, 0, 0])


def test_overlap_is_the_area_under_both():
    assert overlap(np.array([2, 2, 0]), np.array([0, 2, 2])) == pytest.approx(0.5)
    assert overlap(np.array([1, 0]), np.array([0, 7])) == 0
    assert overlap(np.array([1, 3]), np.array([10, 30])) == pytest.approx(1)


def test_area_is_the_share_of_pairs_in_which_the_right_one_is_nearer():
    assert area_under_curve(np.array([0.1, 0.2]), np.array([0.3, 0.4, 0.5])) == 1
    assert area_under_curve(np.array([0.9]), np.array([0.3, 0.4])) == 0
    random = np.random.default_rng(3)
    right, wrong = random.integers(0, 12, 40) / 8, random.integers(2, 16, 70) / 8
    expected = np.mean([(r < w) + (r == w) / 2 for r in right for w in wrong])
    assert area_under_curve(right, wrong) == pytest.approx(expected)
    # Bins as wide as the steps tie what ties.
    counts = [histogram(values, 16) for values in (right, wrong)]
    assert area_of_histograms(*counts) == pytest.approx(expected)


def test_the_description_is_that_of_loops():
    random = np.random.default_rng(5)
    right, wrong = random.uniform(0.2, 1.2, 30), random.uniform(0.6, 1.8, 300)
    equal = random.random(300) < 0.2
    found = describe_distances(pairs(right, wrong, random.integers(0, 9, 30), equal=equal))
    strict = wrong[~equal]
    edges = np.linspace(0, 2, 101)
    for name, values in (("correct", right), ("incorrect", strict)):
        expected = [int(((values >= low) & (values < high)).sum()) for low, high in itertools.pairwise(edges)]
        assert found[name] == expected
        assert found[f"mean_{name}"] == pytest.approx(values.mean(), abs=1e-6)
    assert found["auc"] == pytest.approx(np.mean([r < w for r in right for w in strict]), abs=1e-6)
    all_of_them = np.mean([r < w for r in right for w in wrong])
    assert found["with_equal_texts"]["auc"] == pytest.approx(all_of_them, abs=1e-6)
    assert found["auc_lost"] == pytest.approx(found["auc"] - all_of_them, abs=2e-6)
    assert (found["queries"], found["entities"], found["wrong_pairs"]) == (30, 9, len(strict))
    for part in (found, found["with_equal_texts"]):
        for name in ("auc", "overlap"):
            low, high = part[f"{name}_interval"]
            assert 0 <= low < high <= 1
        assert part["auc_interval"][0] < part["auc"] < part["auc_interval"][1]


def test_pairs_of_an_entity_are_drawn_together():
    # Of two entities one has all near right pairs: a draw of one of them alone has an AUC of 0 or 1.
    distances = pairs([0.5] * 50 + [1.5] * 50, [1.0] * 100, entity=[3] * 50 + [8] * 50)
    found = describe_distances(distances)
    assert found["auc"] == 0.5
    assert found["auc_interval"] == [0.0, 1.0]


def test_an_interval_narrows_with_entities():
    random = np.random.default_rng(1)
    widths = []
    for entities in (10, 200):
        right, wrong = random.normal(0.8, 0.2, 400).clip(0, 2), random.normal(1, 0.2, 400).clip(0, 2)
        low, high = describe_distances(pairs(right, wrong, np.arange(400) % entities))["auc_interval"]
        widths.append(high - low)
    assert widths[0] < 3 * widths[1]  # independent pairs: grouping alone does not widen much
    few = describe_distances(pairs(right[:20], wrong[:20]))["auc_interval"]
    assert few[1] - few[0] > 2 * widths[1]


def test_without_a_wrong_text_there_is_nothing_to_say():
    assert describe_distances(pairs([0.5], [0.5], equal=[True])) is None

"""Metrics against hand-made numbers and against PyKEEN's."""

import numpy as np
import pytest

from kelbench.ranking.metrics import Ranks, adjusted_mean_rank_index, query_macro_mrr, summarize


def test_metrics_by_hand():
    ranks = Ranks(np.array([1, 2, 3, 11]), np.array([1, 4, 3, 11]), np.array([20, 20, 10, 30]), np.array([0, 0, 1, 2]))
    metrics = summarize(ranks, "realistic")
    assert metrics["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 3 + 1 / 11) / 4)
    assert metrics["hits@1"] == 0.25
    assert metrics["hits@3"] == 0.75
    assert metrics["hits@10"] == 0.75
    assert metrics["mr"] == pytest.approx((1 + 3 + 3 + 11) / 4)
    assert metrics["amri"] == pytest.approx(1 - (4.5 - 1) / ((10.5 + 10.5 + 5.5 + 15.5) / 4 - 1))
    assert metrics["mrr_query_macro"] == pytest.approx(((1 + 1 / 3) / 2 + 1 / 3 + 1 / 11) / 3)
    assert metrics["tie_rate"] == 0.25
    assert summarize(ranks, "optimistic")["hits@3"] == 0.75
    assert summarize(ranks, "optimistic")["mr"] == pytest.approx(17 / 4)
    assert summarize(ranks, "pessimistic")["mr"] == pytest.approx(19 / 4)


def test_amri_where_nothing_competes_is_0():
    assert adjusted_mean_rank_index(np.ones(3), np.ones(3)) == 0.0


def test_query_macro_counts_a_repeated_query_once():
    assert query_macro_mrr(np.array([1.0, 1.0, 1.0, 2.0]), np.array([5, 5, 5, 9])) == pytest.approx(0.75)


def test_no_ranks_is_an_error():
    empty = np.array([], dtype=np.int32)
    with pytest.raises(ValueError, match="no ranks"):
        summarize(Ranks(empty, empty, empty, empty), "realistic")

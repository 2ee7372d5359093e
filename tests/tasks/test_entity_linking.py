"""Entity linking: ranks and metrics against counting by hand."""

import json

import numpy as np
import pytest

from kelbench.base.errors import UserError
from kelbench.data.linking import Mentions
from kelbench.tasks import entity_linking
from kelbench.tasks.entity_linking import evaluate_linking, link

SCORES = np.array(
    [
        [0.1, 0.9, 0.5, 0.5, 0.8],  # means 2, ties with 3; 4 is described by the context
        [0.3, 0.3, 0.3, 0.3, 0.3],  # means 0, all tie
        [0.0, 0.1, 0.2, 0.3, 0.4],  # means 4, the best
    ]
)
MENTIONS = Mentions(
    surfaces=["a", "b", "c"],
    contexts=["an a", "a b", "see c"],
    entities=np.array([2, 0, 4]),
    documents=np.array([4, 3, 0]),
    offsets=np.array([0, 2, 5, 7]),
    candidates=np.array([2, 0, 0, 1, 2, 1, 4]),
)


@pytest.mark.parametrize("at_once", [1, 2, 256])
def test_ranks_among_all_and_among_the_given(monkeypatch, at_once):
    monkeypatch.setattr(entity_linking, "MENTIONS_AT_ONCE", at_once)
    arrays = link(MENTIONS, lambda numbers: SCORES[numbers])
    assert arrays["optimistic"].tolist() == [[2, 1], [1, 1], [1, 1]]
    assert arrays["pessimistic"].tolist() == [[3, 1], [4, 3], [1, 1]]
    assert arrays["candidates"].tolist() == [[4, 2], [4, 3], [4, 2]]


def test_metrics_are_those_of_the_ranks_that_are_written(tmp_path):
    evaluate_linking(MENTIONS, lambda numbers: SCORES[numbers], tmp_path)
    records = json.loads((tmp_path / "entity_linking.json").read_text())
    found = {(record["candidates"], record["metric"]): record["value"] for record in records}
    assert found["all", "hits@1"] == pytest.approx(1 / 3)  # realistic ranks 2.5, 2.5 and 1
    assert found["all", "mrr"] == pytest.approx((1 / 2.5 + 1 / 2.5 + 1) / 3)
    assert found["given", "hits@1"] == pytest.approx(2 / 3)  # realistic ranks 1, 2 and 1
    assert found["given", "tie_rate"] == pytest.approx(1 / 3)
    with np.load(tmp_path / "entity_linking.npz") as stored:
        assert sorted(stored.files) == ["candidates", "optimistic", "pessimistic"]


def test_scores_that_differ_by_rounding_alone_tie():
    scores = SCORES.copy()
    scores[0, 3] += 1e-12
    arrays = link(MENTIONS, lambda numbers: scores[numbers])
    assert arrays["pessimistic"][0, 0] - arrays["optimistic"][0, 0] == 1


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(UserError, match="not finite"):
        link(MENTIONS, lambda numbers: np.where(SCORES[numbers] > 0.8, np.nan, SCORES[numbers]))


def test_a_mention_is_described_by_its_words_and_its_context():
    assert MENTIONS.described() == ["a: an a", "b: a b", "c: see c"]

"""Entity linking: ranks and metrics against counting by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kelbench.base.errors import UserError
from kelbench.data.linking import Mentions
from kelbench.tasks import entity_linking
from kelbench.tasks.entity_linking import evaluate_linking, link, linking_records

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
    connected=np.array([True, False, True]),
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
    found = {
        (record["candidates"], record["metric"]): record["value"] for record in records if record["subset"] == "every"
    }
    assert found["all", "hits@1"] == pytest.approx(1 / 3)  # realistic ranks 2.5, 2.5 and 1
    assert found["all", "mrr"] == pytest.approx((1 / 2.5 + 1 / 2.5 + 1) / 3)
    assert found["given", "hits@1"] == pytest.approx(2 / 3)  # realistic ranks 1, 2 and 1
    assert found["given", "tie_rate"] == pytest.approx(1 / 3)
    assert found["given", "accuracy"] == pytest.approx((1 + 1 / 3 + 1) / 3)  # the second of three that all tie
    assert found["all", "accuracy"] == pytest.approx((0 + 1 / 4 + 1) / 3)
    with np.load(tmp_path / "entity_linking.npz") as stored:
        assert sorted(stored.files) == ["candidates", "connected", "optimistic", "pessimistic"]


def test_mentions_of_connected_entities_are_measured_apart(tmp_path):
    evaluate_linking(MENTIONS, lambda numbers: SCORES[numbers], tmp_path)
    records = json.loads((tmp_path / "entity_linking.json").read_text())
    found = {(record["subset"], record["candidates"], record["metric"]): record for record in records}
    assert found["every", "all", "mrr"]["n_examples"] == 3
    assert found["connected", "all", "mrr"]["n_examples"] == 2
    assert found["connected", "all", "mrr"]["value"] == pytest.approx((1 / 2.5 + 1) / 2)


def test_a_mention_without_a_document_competes_with_all_and_one_without_a_choice_is_not_counted(tmp_path):
    alone = replace(MENTIONS, documents=np.array([-1, 3, 0]), offsets=np.array([0, 1, 4, 6]))
    alone = replace(alone, candidates=np.array([2, 0, 1, 2, 1, 4]))
    arrays = link(alone, lambda numbers: SCORES[numbers])
    assert arrays["optimistic"][0].tolist() == [3, 1]  # 4 is above as well
    assert arrays["candidates"].tolist() == [[5, 1], [4, 3], [4, 2]]
    found = {(record["subset"], record["candidates"], record["metric"]): record for record in linking_records(arrays)}
    assert found["every", "given", "hits@1"]["n_examples"] == 2
    assert found["every", "given", "hits@1"]["value"] == pytest.approx(1 / 2)
    assert found["every", "all", "hits@1"]["n_examples"] == 3


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

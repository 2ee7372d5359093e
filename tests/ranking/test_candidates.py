"""Candidates: equal rows are found, parts follow the candidate sets, a hash that fails costs no rank."""

import numpy as np
import torch

from kelbench.ranking import candidates
from kelbench.ranking.candidates import CandidateRows

ROWS = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0], [-0.0, 1.0], [2.0, 1.0], [1.0, 2.0]])


def rows_of(entities):
    return ROWS[entities]


def test_equal_rows_are_one_with_their_number():
    found = CandidateRows.of(rows_of, [np.arange(6)])
    assert found.entities.tolist() == [0, 1, 4]
    assert found.weights.tolist() == [3, 2, 1]
    assert found.rows(np.arange(8)).tolist() == [0, 1, 0, 1, 2, 0, -1, -1]


def test_parts_are_the_entities_of_the_same_sets():
    found = CandidateRows.of(rows_of, [np.array([0, 1, 2, 4, 5]), np.array([0, 4, 5])])
    assert found.parts.tolist() == [0, 2, 4]
    assert found.member.tolist() == [[True, True], [False, True]]
    assert found.totals().tolist() == [2, 3]
    assert found.entities.tolist() == [1, 2, 0, 4]
    assert found.rows(np.arange(6)).tolist() == [2, 0, 1, -1, 3, 2]
    assert list(found.blocks(1)) == [(0, 0, 1), (0, 1, 2), (1, 2, 3), (1, 3, 4)]


def test_rows_that_only_share_a_hash_stay_apart(monkeypatch):
    monkeypatch.setattr(candidates, "_hashes", lambda rows_of, entities: np.zeros(len(entities), dtype=np.uint64))
    found = CandidateRows.of(rows_of, [np.arange(6)])
    assert found.entities.tolist() == [0, 1, 3, 4]
    assert found.weights.sum() == 6

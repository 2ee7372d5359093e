"""Queries of training triples, each once with its answers, and the triples behind them."""

import numpy as np
import pytest

from kelbench.training.queries import Queries, TripleNumbers, both_directions

TRIPLES = np.array([[3, 1, 0], [0, 0, 2], [0, 0, 1], [2, 1, 1], [0, 1, 2]])
REPEATED = np.concatenate([TRIPLES, TRIPLES[[1, 1, 3]]])


@pytest.mark.parametrize("side", ["tail", "head"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_query_has_each_answer_once_however_often_the_triple_is_given(side, dtype):
    given, answer = (0, 2) if side == "tail" else (2, 0)
    expected = {}
    for triple in TRIPLES.tolist():
        expected.setdefault((triple[given], triple[1]), []).append(triple[answer])
    once, repeated = (Queries(triples.astype(dtype), side) for triples in (TRIPLES, REPEATED))
    for queries in (once, repeated):
        answers = np.split(queries.answers, queries.offsets[1:-1])
        found = dict(zip(zip(queries.given.tolist(), queries.relations.tolist(), strict=True), answers, strict=True))
        # In the order of the file.
        assert {query: list(map(int, some)) for query, some in found.items()} == expected


def test_batches_are_whole_queries():
    seen = []
    for batch in Queries(REPEATED, "tail").batches(np.random.default_rng(0), 2):
        for i, (given, relation) in enumerate(zip(batch.given.tolist(), batch.relations.tolist(), strict=True)):
            answers = batch.answers[batch.offsets[i] : batch.offsets[i + 1]]
            seen += [[given, relation, int(answer)] for answer in answers]
    assert sorted(seen) == sorted(TRIPLES.tolist())


def test_all_triples_of_a_query_are_found_repeated_ones_too():
    asked = both_directions(REPEATED, 2)
    numbers = TripleNumbers(asked[:, 0] * 4 + asked[:, 1])
    tails_of_zero, heads_of_one = 0 * 4 + 0, 1 * 4 + (1 + 2)
    assert numbers.of(np.array([tails_of_zero])).tolist() == [1, 2, 5, 6]
    assert numbers.of(np.array([heads_of_one, tails_of_zero])).tolist() == [1, 2, 3, 5, 6, 7]
    assert numbers.of(np.array([0 * 4 + 2])).tolist() == []

"""What a step compares: pairs, masks and whole queries, against sets of triples."""

import numpy as np
import pytest

from kelbench.methods.clep.batch import Batches
from kelbench.training.queries import both_directions

RELATIONS = 2
# Texts: entities 0 and 1 share one, entities 4 and 5 another.
TEXT = np.array([0, 0, 1, 2, 3, 3, 4])
TRIPLES = np.array([[0, 0, 1], [0, 0, 4], [0, 1, 2], [2, 0, 3], [2, 0, 5], [3, 1, 6], [6, 1, 0], [0, 0, 5], [4, 1, 1]])


def batches(options, triples=TRIPLES):
    return Batches(options, triples, RELATIONS, TEXT, seed=3)


def asked_and_answers(options):
    """Every batch of an epoch, and for each query the texts that the triples hold as its answers."""
    known = {}
    for head, relation, tail in both_directions(TRIPLES, RELATIONS).tolist():
        known.setdefault((head, relation), set()).add(int(TEXT[tail]))
    return list(batches(options).of_epoch(1)), known


def pairs(places):
    return set(zip(*(part.tolist() for part in places), strict=True))


@pytest.mark.parametrize("loss", ["diagonal", "masked"])
def test_a_batch_of_pairs_masks_equal_texts_and_known_answers(make_settings, loss):
    made, known = asked_and_answers(make_settings(loss=loss, batch_size=7))
    seen = []
    for batch in made:
        size = len(batch)
        assert pairs(batch.positive) == {(i, i) for i in range(size)}
        queries = list(zip(batch.given.tolist(), batch.relations.tolist(), strict=True))
        expected = {
            (i, j)
            for i in range(size)
            for j in range(size)
            if i == j or (loss == "masked" and int(batch.columns[j]) in known[queries[i]])
        }
        assert pairs(batch.excluded) == expected
        seen += [(*query, int(text)) for query, text in zip(queries, batch.columns, strict=True)]
    every = both_directions(TRIPLES, RELATIONS)
    assert sorted(seen) == sorted(zip(*every[:, :2].T.tolist(), TEXT[every[:, 2]].tolist(), strict=True))


def test_without_shared_texts_and_other_answers_the_masks_are_the_diagonal(make_settings):
    triples = np.array([[0, 0, 2], [3, 1, 4], [6, 0, 3]])
    masked = Batches(make_settings(loss="masked", batch_size=3), triples, RELATIONS, np.arange(7), seed=1)
    plain = Batches(make_settings(loss="diagonal", batch_size=3), triples, RELATIONS, np.arange(7), seed=1)
    for one, other in zip(masked.of_epoch(1), plain.of_epoch(1), strict=True):
        assert pairs(one.excluded) == pairs(other.excluded)
        np.testing.assert_array_equal(one.columns, other.columns)


def test_multihot_marks_known_entities_and_not_equal_texts(make_settings):
    (batch,) = batches(make_settings(loss="multihot", batch_size=100)).of_epoch(1)
    known = {tuple(row) for row in both_directions(TRIPLES, RELATIONS).tolist()}
    every = both_directions(TRIPLES, RELATIONS)
    order = [
        next(row for row in every.tolist() if row[0] == given and row[1] == relation and TEXT[row[2]] == column)
        for given, relation, column in zip(batch.given, batch.relations, batch.columns, strict=True)
    ]
    assert len(order) == len(every)
    marked = pairs(batch.excluded)
    counts = [sum((h, r, t) in known for t in every[:, 2].tolist()) for h, r, _ in order]
    assert len(marked) == sum(counts)
    assert {(i, i) for i in range(len(every))} <= marked


def test_multihot_marks_an_answer_in_the_row_that_asks_for_it(make_settings):
    made = Batches(make_settings(loss="multihot", batch_size=7), TRIPLES, RELATIONS, np.arange(7), seed=3)
    known = {tuple(row) for row in both_directions(TRIPLES, RELATIONS).tolist()}
    for batch in made.of_epoch(1):
        asked = list(zip(batch.given.tolist(), batch.relations.tolist(), strict=True))
        expected = {
            (row, column)
            for row, query in enumerate(asked)
            for column, entity in enumerate(batch.columns.tolist())
            if (*query, entity) in known
        }
        assert pairs(batch.excluded) == expected


def test_all_holds_each_query_once_with_its_distinct_texts(make_settings):
    made, known = asked_and_answers(make_settings(loss="all", batch_size=4))
    seen = {}
    for batch in made:
        np.testing.assert_array_equal(batch.columns, np.arange(5))
        assert pairs(batch.positive) == pairs(batch.excluded)
        for row, text in pairs(batch.positive):
            seen.setdefault((int(batch.given[row]), int(batch.relations[row])), set()).add(text)
    assert len(made) > 2
    assert sum(len(batch.given) for batch in made) == len(seen)
    assert seen == known


@pytest.mark.parametrize("loss", ["masked", "all"])
def test_a_batch_knows_the_triples_that_it_asks_of(make_settings, loss):
    (plain, *_) = batches(make_settings(loss=loss, batch_size=4)).of_epoch(2)
    assert len(plain.triples) == 0  # nobody asks for them
    for batch in batches(make_settings({"drop_batch_edges": True}, loss=loss, batch_size=4)).of_epoch(2):
        queries = set(zip(batch.given.tolist(), batch.relations.tolist(), strict=True))
        inside = [
            number
            for number, (head, relation, tail) in enumerate(TRIPLES.tolist())
            if {(head, relation), (tail, relation + RELATIONS)} & queries
        ]
        if loss == "all":
            assert batch.triples.tolist() == inside
        else:
            assert set(batch.triples.tolist()) <= set(inside)
            assert 1 <= len(batch.triples) <= len(batch)


@pytest.mark.parametrize("loss", ["masked", "all"])
def test_a_triple_that_is_given_twice_is_known_by_both_its_numbers(make_settings, loss):
    repeated = np.concatenate([TRIPLES, TRIPLES[:2]])
    for batch in batches(make_settings({"drop_batch_edges": True}, loss=loss, batch_size=4), repeated).of_epoch(1):
        found = set(batch.triples.tolist())
        assert {(number in found) == (number + len(TRIPLES) in found) for number in (0, 1)} == {True}


def test_a_node_against_its_own_text(make_settings):
    options = make_settings(target="own_description", loss="masked", batch_size=7)
    (batch,) = batches(options).of_epoch(1)
    np.testing.assert_array_equal(batch.columns, TEXT[batch.given])
    assert sorted(batch.given.tolist()) == list(range(7))
    assert len(batch.relations) == len(batch.triples) == 0
    place = {int(node): row for row, node in enumerate(batch.given)}
    extra = {(place[0], place[1]), (place[1], place[0]), (place[4], place[5]), (place[5], place[4])}
    assert pairs(batch.excluded) == {(i, i) for i in range(7)} | extra


def test_epochs_differ_and_repeat(make_settings):
    made = batches(make_settings(batch_size=5))
    one, two, again = ([batch.given.tolist() for batch in made.of_epoch(epoch)] for epoch in (1, 2, 1))
    assert one == again != two

"""Pairs of queries and descriptions: which are right, wrong or neither, and how far apart they lie."""

import numpy as np
import pytest
import torch

from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import AlignedTables, QueryHead
from kelbench.tasks import aligned_space
from kelbench.tasks.aligned_space import AlignedSpace, Asked, pair_distances

ENTITIES, RELATIONS = 12, 2
TRAIN = [[0, 0, 1], [0, 0, 2], [3, 1, 4], [5, 0, 6], [7, 1, 8], [9, 0, 10], [11, 1, 0]]
VALID = [[0, 0, 3], [4, 1, 5], [6, 0, 6]]
# Entities 3 and 9 share a text, as do 1 and 10.
TEXT_OF_ENTITY = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 1, 9])


@pytest.fixture
def dataset(tmp_path, make_prepared):
    splits = {"train": TRAIN, "valid": VALID, "test": [[1, 0, 11]]}
    return PreparedDataset(make_prepared(tmp_path / "small", splits, ENTITIES, RELATIONS))


@pytest.fixture
def tables():
    random = torch.Generator().manual_seed(4)
    return AlignedTables(
        torch.randn(ENTITIES, 5, generator=random),
        torch.randn(2 * RELATIONS, 5, generator=random),
        QueryHead("linear", 5, 4, False, random),
        torch.randn(10, 4, generator=random),
        torch.from_numpy(TEXT_OF_ENTITY),
        {},
        {},
    )


def unit(vector):
    return vector / np.linalg.norm(vector)


def by_hand(tables, given, relation, entity):
    vector = tables.node[given] if relation is None else tables.node[given] + tables.relation[relation]
    query = (vector.double() @ tables.head.weights[0].detach().double() + tables.head.biases[0].double()).detach()
    return float(np.linalg.norm(unit(query.numpy()) - unit(tables.text[TEXT_OF_ENTITY[entity]].double().numpy())))


def test_right_pairs_are_validation_triples_in_both_directions(dataset, tables):
    space = AlignedSpace(dataset)
    distances = pair_distances_of(space, "answers", tables)
    expected = [by_hand(tables, tail, relation + RELATIONS, head) for head, relation, tail in VALID]
    expected += [by_hand(tables, head, relation, tail) for head, relation, tail in VALID]
    np.testing.assert_allclose(distances.right, expected, atol=1e-12)
    np.testing.assert_array_equal(distances.entity, [3, 5, 6, 0, 4, 6])


def pair_distances_of(space, name, tables):
    asked = space._asked[name]
    texts = aligned_space._unit(tables.text)
    return pair_distances(asked, aligned_space._queries(asked, tables), texts, TEXT_OF_ENTITY)


def test_wrong_pairs_are_neither_known_nor_of_an_equal_text(dataset, tables):
    space = AlignedSpace(dataset)
    asked, distances = space._asked["answers"], pair_distances_of(space, "answers", tables)
    asked_by_hand = [(tail, relation + RELATIONS, head) for head, relation, tail in VALID] + [tuple(t) for t in VALID]
    known = {}
    for head, relation, tail in TRAIN + VALID:
        known.setdefault((head, relation), set()).add(tail)
        known.setdefault((tail, relation + RELATIONS), set()).add(head)
    expected = []
    for number, (given, relation, _) in enumerate(asked_by_hand):
        answers = known[given, relation]
        texts = {TEXT_OF_ENTITY[answer] for answer in answers}
        for entity in asked.drawn[number]:
            if entity not in answers:
                row = (number, by_hand(tables, given, relation, entity), TEXT_OF_ENTITY[entity] in texts)
                expected.append(row)
    np.testing.assert_array_equal(distances.query, [row[0] for row in expected])
    np.testing.assert_allclose(distances.wrong, [row[1] for row in expected], atol=1e-12)
    np.testing.assert_array_equal(distances.equal, [row[2] for row in expected])
    # (0, 0, ?) knows 1, 2 and 3, whose texts 10 and 9 have: wrong, but told apart by nothing.
    tails_of_0 = distances.query == 3
    assert (distances.equal & tails_of_0).sum() == np.isin(asked.drawn[3], [9, 10]).sum() > 0
    # The text of the right answer itself ties exactly.
    equal_right = distances.wrong[distances.equal & tails_of_0]
    assert (equal_right == distances.right[3]).sum() == (asked.drawn[3] == 9).sum()


def test_a_node_is_asked_for_its_own_description(dataset, tables):
    space = AlignedSpace(dataset, own_descriptions=True)
    distances = pair_distances_of(space, "own_descriptions", tables)
    expected = [by_hand(tables, node, None, node) for node in range(ENTITIES)]
    np.testing.assert_allclose(distances.right, expected, atol=1e-12)
    drawn = space._asked["own_descriptions"].drawn
    assert len(distances.wrong) == (drawn != np.arange(ENTITIES)[:, None]).sum()
    described = space.describe(tables)
    assert described["own_descriptions"]["queries"] == ENTITIES
    assert (described["candidates"], described["sharing"]) == (12, 4)
    assert "own_descriptions" not in AlignedSpace(dataset).describe(tables)


def test_many_queries_are_sampled_alike_for_every_model(dataset, tables, monkeypatch):
    monkeypatch.setattr(aligned_space, "QUERIES", 4)
    first, again = (AlignedSpace(dataset, own_descriptions=True) for _ in range(2))
    assert first.describe(tables) == again.describe(tables)
    described = first.describe(tables)
    assert described["answers"]["queries"] == described["own_descriptions"]["queries"] == 4
    assert sum(described["answers"]["correct"]) == 4
    np.testing.assert_array_equal(first._asked["answers"].drawn, again._asked["answers"].drawn)


def test_a_text_without_known_words_lies_at_distance_one():
    asked = Asked(np.array([0]), None, np.array([1]), np.array([0]), np.array([[1]]), (np.array([0]), np.array([0])))
    texts = aligned_space._unit(torch.tensor([[0.0, 0.0], [-3.0, 0.0]]))
    distances = pair_distances(asked, np.array([[1.0, 0.0]]), texts, np.array([0, 1]))
    assert (distances.right.tolist(), distances.wrong.tolist()) == ([1.0], [2.0])

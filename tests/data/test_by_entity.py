"""Splits by entity: what is held out, and that nothing is left alone."""

import numpy as np
import pytest

from kelbench.data.by_entity import connected_parts, full_split, semi_split


def graph(seed=0, entities=120, relations=5, count=900):
    rng = np.random.default_rng(seed)
    ends = rng.zipf(1.5, size=(count, 2)) % entities
    triples = np.stack((ends[:, 0], rng.integers(relations, size=count), ends[:, 1]), axis=1)
    everyone = np.stack((np.arange(entities), np.zeros(entities, int), np.roll(np.arange(entities), 1)), axis=1)
    return np.unique(np.concatenate((triples, everyone)), axis=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_semi_split_keeps_the_rules(seed):
    triples = graph(seed)
    split = semi_split(triples, 120, 0.1, seed)
    assert len(split.valid_entities) == len(split.test_entities) == 12
    assert not set(split.valid_entities) & set(split.test_entities)

    def held_out(part, entities):
        return np.isin(part[:, 0], entities) | np.isin(part[:, 2], entities)

    both = np.concatenate((split.valid_entities, split.test_entities))
    assert not held_out(split.train, both).any()
    assert held_out(split.valid, split.valid_entities).all()
    assert not held_out(split.valid, split.test_entities).any()
    assert held_out(split.test, split.test_entities).all()
    assert not held_out(split.test, split.valid_entities).any()
    parts = (split.train, split.valid, split.test, split.dropped)
    assert sorted(map(tuple, np.concatenate(parts).tolist())) == sorted(map(tuple, triples.tolist()))
    between = held_out(triples, split.valid_entities) & held_out(triples, split.test_entities)
    assert len(split.dropped) == between.sum() > 0
    # No other entity and no relation is left without a training triple.
    assert set(split.train[:, [0, 2]].ravel()) == set(range(120)) - set(both)
    assert set(split.train[:, 1]) == set(triples[:, 1])


def test_a_semi_split_depends_on_the_seed_alone():
    triples = graph()
    first, again, other = (semi_split(triples, 120, 0.1, seed) for seed in (3, 3, 4))
    assert first.test.tobytes() == again.test.tobytes()
    assert first.test_entities.tolist() != other.test_entities.tolist()


def test_too_large_a_share_is_refused():
    with pytest.raises(ValueError, match="lower the share"):
        semi_split(np.array([[0, 0, 1], [1, 0, 2], [2, 0, 3]]), 4, 0.5, 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_full_split_ranks_only_what_is_unseen(seed):
    triples = graph(seed)
    split = full_split(triples, 120, 0.15, seed)
    seen = set(split.train[:, [0, 2]].ravel())
    for part, entities in ((split.valid, split.valid_entities), (split.test, split.test_entities)):
        assert len(part) > 5
        assert set(part[:, [0, 2]].ravel()) == set(entities)
        assert not set(entities) & seen
        assert set(part[:, 1]) <= set(split.train[:, 1])
    assert not set(split.valid_entities) & set(split.test_entities)
    parts = (split.train, split.valid, split.test, split.dropped)
    assert sorted(map(tuple, np.concatenate(parts).tolist())) == sorted(map(tuple, triples.tolist()))
    assert len(split.dropped) > 0


def test_held_out_entities_of_a_full_split_are_connected():
    """Two cliques joined by one triple: whatever starts the subgraph, it stays in its clique as long as it can."""
    clique = [(a, 0, b) for base in (0, 50) for a in range(base, base + 50) for b in range(base, base + 50) if a < b]
    parts = connected_parts(np.array([*clique, (0, 0, 50)]), 100, 0.2, 3)
    for part in (1, 2):
        held_out = np.flatnonzero(parts == part)
        assert len(held_out) == 20
        assert len(set(held_out // 50)) == 1


def test_a_full_split_refuses_too_large_a_share():
    with pytest.raises(ValueError, match="lower the share"):
        full_split(graph(), 120, 0.49, 0)


@pytest.mark.parametrize("entities", [390, 400, 410, 411, 420])
def test_a_part_may_end_one_entity_into_a_new_subgraph(entities):
    """Subgraphs have 40 entities at most; whatever is left to take, it is taken."""
    parts = connected_parts(graph(0, entities, 3, 20 * entities), entities, 0.1, 1)
    for part in (1, 2):
        assert 0 <= np.count_nonzero(parts == part) - round(0.1 * entities) <= 1

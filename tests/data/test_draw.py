import numpy as np
import pytest

from kelbench.base.errors import UserError
from kelbench.config.datasets import DrawnInference, SplitFractions
from kelbench.data.draw import draw_inference, split_by_fractions, split_by_pairs


@pytest.fixture
def graph() -> np.ndarray:
    """400 different triples among 40 entities and 5 relations."""
    pairs = np.random.default_rng(0).permutation(40 * 40 * 5)[:400]
    triples = np.stack([pairs // 200, pairs % 5, pairs // 5 % 40], axis=1).astype(np.int32)
    return np.unique(triples, axis=0)


def rows(triples) -> set[tuple[int, ...]]:
    return {tuple(row) for row in triples.tolist()}


def test_splits_have_their_shares_and_lose_nothing(graph):
    train, valid, test = split_by_fractions(graph, SplitFractions(valid=0.1, test=0.2, seed=1))
    assert (len(valid), len(test)) == (round(0.1 * len(graph)), round(0.2 * len(graph)))
    assert len(train) + len(valid) + len(test) == len(graph)
    assert rows(train) | rows(valid) | rows(test) == rows(graph)
    assert train.dtype == np.int32


def test_training_sees_every_entity_and_relation(graph):
    for seed in range(20):
        train, _, _ = split_by_fractions(graph, SplitFractions(valid=0.1, test=0.2, seed=seed))
        assert set(train[:, [0, 2]].ravel()) == set(graph[:, [0, 2]].ravel())
        assert set(train[:, 1]) == set(graph[:, 1])


def test_a_split_depends_on_the_seed_and_on_no_order(graph):
    one = SplitFractions(valid=0.1, test=0.1, seed=1)
    first = split_by_fractions(graph, one)
    shuffled = split_by_fractions(graph[np.random.default_rng(1).permutation(len(graph))], one)
    for left, right in zip(first, shuffled, strict=True):
        assert rows(left) == rows(right)
    assert rows(split_by_fractions(graph, one.model_copy(update={"seed": 2}))[2]) != rows(first[2])


def test_a_graph_of_bridges_cannot_be_split():
    star = np.array([[0, 0, i] for i in range(1, 30)], dtype=np.int32)
    with pytest.raises(UserError, match=r"expected at least 6 triples .* found 0"):
        split_by_fractions(star, SplitFractions(valid=0.1, test=0.1, seed=1))


def test_the_draw_is_what_it_says(graph):
    drawn = draw_inference(np.concatenate([graph, graph[:9]]), 40, DrawnInference(entities=20, valid=5, test=7, seed=3))
    inside = set(drawn.inference_entities.tolist())
    assert len(inside) == 20
    assert (len(drawn.valid), len(drawn.test)) == (5, 7)
    assert rows(drawn.train) == {row for row in rows(graph) if row[0] not in inside and row[2] not in inside}
    inference = rows(drawn.support) | rows(drawn.valid) | rows(drawn.test)
    assert inference == {row for row in rows(graph) if row[0] in inside and row[2] in inside}
    assert len(drawn.support) + 12 == len(inference)
    ranked = np.concatenate([drawn.valid, drawn.test])
    assert set(ranked[:, [0, 2]].ravel()) <= set(drawn.support[:, [0, 2]].ravel())
    assert set(ranked[:, 1]) <= set(drawn.train[:, 1])


def test_a_relation_that_training_lacks_is_not_ranked():
    clique = [[h, 0, t] for h in range(8) for t in range(8) if h != t]
    for seed in range(10):
        probe = draw_inference(
            np.array(clique, dtype=np.int32), 8, DrawnInference(entities=4, valid=1, test=1, seed=seed)
        )
        inside = probe.inference_entities
        # relation 1 is added inside the inference graph only
        odd = [[inside[0], 1, inside[1]], [inside[2], 1, inside[3]], [inside[3], 1, inside[0]]]
        triples = np.array(clique + odd, dtype=np.int32)
        drawn = draw_inference(triples, 8, DrawnInference(entities=4, valid=3, test=3, seed=seed))
        assert set(drawn.valid[:, 1]) | set(drawn.test[:, 1]) == {0}
        assert (drawn.support[:, 1] == 1).sum() == 3


def test_too_much_asked_is_an_error(graph):
    with pytest.raises(UserError, match="expected fewer than the 40 entities"):
        draw_inference(graph, 40, DrawnInference(entities=40, valid=1, test=1, seed=1))
    with pytest.raises(UserError, match=r"draw.test and draw.valid: expected at least 10000"):
        draw_inference(graph, 40, DrawnInference(entities=20, valid=5000, test=5000, seed=1))


def test_the_hash_is_splitmix64():
    """The generator's first outputs from state 0, as its authors publish them."""
    from kelbench.data.draw import _scramble

    gamma = 0x9E3779B97F4A7C15
    states = np.array([0, gamma, 2 * gamma % 2**64], dtype=np.uint64)
    assert [hex(value) for value in _scramble(states)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_pairs_stay_together_and_training_sees_everything(graph):
    for seed in range(5):
        parts = split_by_pairs(graph, SplitFractions(valid=0.1, test=0.1, seed=seed))
        assert sum(map(len, parts)) == len(graph)
        assert rows(parts[0]) | rows(parts[1]) | rows(parts[2]) == rows(graph)
        pairs = [{tuple(sorted((head, tail))) for head, _, tail in part.tolist()} for part in parts]
        assert not pairs[0] & pairs[1]
        assert not pairs[0] & pairs[2]
        assert not pairs[1] & pairs[2]
        assert set(parts[0][:, [0, 2]].ravel()) == set(graph[:, [0, 2]].ravel())
        assert set(parts[0][:, 1]) == set(graph[:, 1])
        assert all(abs(len(part) - 0.1 * len(graph)) <= 2 for part in parts[1:])


def test_too_few_free_pairs_are_refused():
    chain = np.array([[0, 0, 1], [1, 0, 2], [2, 0, 3]])
    with pytest.raises(UserError, match="expected 2 triples that can be taken away"):
        split_by_pairs(chain, SplitFractions(valid=0.3, test=0.3, seed=1))

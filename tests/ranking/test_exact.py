"""Ranks equal a brute-force ranker, whatever the block size and whatever the entities are called."""

import numpy as np
import pytest
import torch

from kelbench.base.errors import UserError
from kelbench.ranking.exact import rank_side
from kelbench.ranking.known_answers import KnownAnswers
from kelbench.ranking.metrics import Ranks, summarize


class Vectors:
    """A predictor with a query vector for each (entity, relation) and side."""

    def __init__(self, similarity, tail, head, candidates):
        self.similarity, self._tables, self._candidates = similarity, {"tail": tail, "head": head}, candidates

    def queries(self, side, entities, relations, dtype=None):
        return self._tables[side][entities, relations].to(dtype)

    def candidates(self, entities):
        return self._candidates[entities]


def brute_force(predictor, triples, side, candidates, known):
    """The definition, one triple at a time, in float64 NumPy."""
    scores = {
        "dot": lambda q, c: (q * c).sum(-1),
        "cosine": lambda q, c: (q * c).sum(-1) / np.linalg.norm(q) / np.linalg.norm(c, axis=-1),
        "l1": lambda q, c: -np.abs(q - c).sum(-1),
        "l2": lambda q, c: -np.sqrt(((q - c) ** 2).sum(-1)),
        "complex_modulus": lambda q, c: (
            -np.abs((q - c)[..., : q.shape[-1] // 2] + 1j * (q - c)[..., q.shape[-1] // 2 :]).sum(-1)
        ),
    }[predictor.similarity]
    result = []
    for h, r, t in triples.tolist():
        given, answer = (h, t) if side == "tail" else (t, h)
        others = {
            (b if side == "tail" else a)
            for a, p, b in known.tolist()
            if p == r and (a if side == "tail" else b) == given
        }
        query = predictor.queries(side, torch.tensor([given]), torch.tensor([r])).double().numpy()[0]
        compete = np.array([e for e in candidates.tolist() if e == answer or e not in others])
        values = scores(query, predictor.candidates(torch.from_numpy(compete)).double().numpy())
        true = values[compete == answer][0]
        result.append(((values > true).sum() + 1, (values >= true).sum(), len(compete)))
    return np.array(result).T


def made_up(similarity, seed=0, entities=30, relations=4, width=6, integers=False):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        values = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return values.mul(1.2).round() if integers else values

    return Vectors(
        similarity, draw(entities, relations, width), draw(entities, relations, width), draw(entities, width)
    )


def graph(seed=0, entities=30, relations=4, count=200):
    rng = np.random.default_rng(seed)
    triples = np.stack(
        [rng.integers(entities, size=count), rng.integers(relations, size=count), rng.integers(entities, size=count)], 1
    )
    return np.unique(triples, axis=0).astype(np.int32)


SIMILARITIES = ["dot", "cosine", "l1", "l2", "complex_modulus"]


@pytest.mark.parametrize("side", ["head", "tail"])
@pytest.mark.parametrize("integers", [False, True], ids=["reals", "many ties"])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_ranks_equal_brute_force(similarity, integers, side):
    if similarity == "cosine" and integers:
        pytest.skip("equal directions of different lengths tie only up to rounding")
    predictor, known = made_up(similarity, integers=integers), graph()
    test = known[::4]
    everyone = np.arange(30)
    ranks = rank_side(predictor, test, side, [everyone], KnownAnswers.build(known, side, 4), 4)
    expected = brute_force(predictor, test, side, everyone, known)
    np.testing.assert_array_equal(ranks.optimistic[0], expected[0])
    np.testing.assert_array_equal(ranks.pessimistic[0], expected[1])
    np.testing.assert_array_equal(ranks.candidates[0], expected[2])
    if integers:
        assert (ranks.optimistic != ranks.pessimistic).any()


def test_a_smaller_candidate_set_is_ranked_in_the_same_pass():
    predictor, known = made_up("dot", integers=True), graph()
    test = known[::4]
    few = np.arange(0, 30, 2)
    ranks = rank_side(predictor, test, "tail", [np.arange(30), few], KnownAnswers.build(known, "tail", 4), 4)
    inside = np.isin(test[:, 2], few)
    expected = brute_force(predictor, test[inside], "tail", few, known)
    np.testing.assert_array_equal(ranks.optimistic[1][inside], expected[0])
    np.testing.assert_array_equal(ranks.pessimistic[1][inside], expected[1])
    np.testing.assert_array_equal(ranks.candidates[1][inside], expected[2])
    with_answer = [
        brute_force(predictor, test[i : i + 1], "tail", np.append(few, test[i, 2]), known)
        for i in np.flatnonzero(~inside)
    ]
    np.testing.assert_array_equal(ranks.pessimistic[1][~inside], np.concatenate(with_answer, axis=1)[1])
    np.testing.assert_array_equal(ranks.candidates[1][~inside], np.concatenate(with_answer, axis=1)[2])


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_block_size_changes_nothing(similarity):
    predictor, known = made_up(similarity), graph()
    index = KnownAnswers.build(known, "tail", 4)
    whole = rank_side(predictor, known, "tail", [np.arange(30)], index, 4)
    for block_bytes in (1, 3 * 30 * 8, 7 * 30 * 8):
        part = rank_side(predictor, known, "tail", [np.arange(30)], index, 4, block_bytes=block_bytes)
        np.testing.assert_array_equal(part.optimistic, whole.optimistic)
        np.testing.assert_array_equal(part.pessimistic, whole.pessimistic)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_names_of_entities_change_nothing(similarity):
    predictor, known = made_up(similarity), graph()
    plain = rank_side(predictor, known, "tail", [np.arange(30)], KnownAnswers.build(known, "tail", 4), 4)
    new_id = np.random.default_rng(5).permutation(30)
    old_id = torch.from_numpy(np.argsort(new_id))
    renamed = Vectors(
        similarity, predictor._tables["tail"][old_id], predictor._tables["head"][old_id], predictor._candidates[old_id]
    )
    moved = np.stack([new_id[known[:, 0]], known[:, 1], new_id[known[:, 2]]], axis=1).astype(np.int32)
    ranks = rank_side(renamed, moved, "tail", [np.arange(30)], KnownAnswers.build(moved, "tail", 4), 4)
    np.testing.assert_array_equal(ranks.optimistic, plain.optimistic)
    np.testing.assert_array_equal(ranks.pessimistic, plain.pessimistic)


def test_equal_vectors_tie_exactly():
    # Widths and positions at which a matrix product may round equal columns differently.
    generator = torch.Generator().manual_seed(1)
    candidates = torch.randn(1, 37, generator=generator).repeat(501, 1)
    candidates[1::2] = torch.randn(1, 37, generator=generator)
    queries = torch.randn(501, 1, 37, generator=generator)
    triples = np.stack([np.arange(501), np.zeros(501), np.arange(501)], axis=1).astype(np.int32)
    ranks = rank_side(
        Vectors("dot", queries, queries, candidates), triples, "tail", [np.arange(501)],
        KnownAnswers.build(triples, "tail", 1), 1,
    )  # fmt: skip
    sizes = ranks.pessimistic[0] - ranks.optimistic[0] + 1
    np.testing.assert_array_equal(sizes, np.where(np.arange(501) % 2 == 0, 251, 250))


def test_perfect_scorer_has_mrr_1_and_constant_scorer_has_amri_0():
    triples = graph(count=60)
    triples = triples[np.unique(triples[:, 0] * 4 + triples[:, 1], return_index=True)[1]]
    identity = torch.eye(30, dtype=torch.float64)
    perfect = torch.zeros(30, 4, 30, dtype=torch.float64)
    perfect[triples[:, 0], triples[:, 1], triples[:, 2]] = 1.0
    index = KnownAnswers.build(triples, "tail", 4)

    def summary(queries, candidates):
        ranks = rank_side(Vectors("dot", queries, queries, candidates), triples, "tail", [np.arange(30)], index, 4)
        return summarize(
            Ranks(ranks.optimistic[0], ranks.pessimistic[0], ranks.candidates[0], triples[:, 0]), "realistic"
        )

    assert summary(perfect, identity)["mrr"] == 1.0
    assert summary(perfect, identity)["amri"] == 1.0
    constant = summary(torch.ones_like(perfect), torch.ones_like(identity))
    assert constant["amri"] == pytest.approx(0.0, abs=1e-12)
    assert constant["tie_rate"] == 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("similarity", ["dot", "l1", "complex_modulus"])
def test_a_score_that_is_not_finite_is_an_error(similarity, value):
    predictor, known = made_up(similarity), graph()
    predictor._candidates[7, 0] = value
    with pytest.raises(UserError, match="not finite"):
        rank_side(predictor, known, "tail", [np.arange(30)], KnownAnswers.build(known, "tail", 4), 4)


def test_an_answer_outside_the_candidates_is_refused():
    known = graph()
    with pytest.raises(ValueError, match="not among the candidates"):
        rank_side(made_up("dot"), known, "tail", [np.arange(5)], KnownAnswers.build(known, "tail", 4), 4)


def test_known_answers_equal_python_sets():
    known = graph(count=400)
    for side, given, answer in (("tail", 0, 2), ("head", 2, 0)):
        index = KnownAnswers.build(np.concatenate([known, known[:50]]), side, 4)
        sets = {}
        for triple in known.tolist():
            sets.setdefault((triple[given], triple[1]), set()).add(triple[answer])
        keys = np.array([e * 4 + r for e in range(30) for r in range(4)])
        for key, start, stop in zip(keys.tolist(), *index.spans(keys), strict=True):
            assert index.answers[start:stop].tolist() == sorted(sets.get((key // 4, key % 4), set()))

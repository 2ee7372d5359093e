"""Scores and gradients equal the papers' formulas, written out slowly in NumPy."""

import numpy as np
import pytest
import torch

from kelbench.encoders.tables import EmbeddingTables
from kelbench.scoring import SCORE_FUNCTIONS, similarity_matrix, similarity_of_drawn, similarity_of_pairs

WIDTH = 6
CASES = [
    ("transe", "l1"),
    ("transe", "l2"),
    ("distmult", "dot"),
    ("complex", "dot"),
    ("rotate", "complex_modulus"),
    ("simple", "dot"),
]


def paper_score(name, similarity, head, relation, tail):
    """The score of one triple by its paper's formula."""
    half = WIDTH // 2
    if name == "transe":
        return -np.linalg.norm(head + relation - tail, ord=1 if similarity == "l1" else 2)
    if name == "distmult":
        return sum(head[i] * relation[i] * tail[i] for i in range(WIDTH))
    if name == "complex":
        h, r, t = (v[:half] + 1j * v[half:] for v in (head, relation, tail))
        return sum((h[i] * r[i] * np.conj(t[i])).real for i in range(half))
    if name == "rotate":
        h, t = (v[:half] + 1j * v[half:] for v in (head, tail))
        return -sum(abs(h[i] * np.exp(1j * relation[i]) - t[i]) for i in range(half))
    if name == "simple":
        # Kazemi and Poole 2018: entity e has h_e and t_e, relation r has v_r and v_r^-1.
        h_head, t_head = head[:half], head[half:]
        h_tail, t_tail = tail[:half], tail[half:]
        v, v_inverse = relation[:half], relation[half:]
        forward = sum(h_head[i] * v[i] * t_tail[i] for i in range(half))
        backward = sum(h_tail[i] * v_inverse[i] * t_head[i] for i in range(half))
        return (forward + backward) / 2
    raise AssertionError(name)


def tables(name, similarity, reciprocal=False, entities=5, relations=3):
    generator = torch.Generator().manual_seed(3)
    function = SCORE_FUNCTIONS[name]
    entity = torch.randn(entities, WIDTH, generator=generator, dtype=torch.float64)
    rows = relations * (2 if reciprocal else 1)
    relation = torch.randn(rows, function.relation_width(WIDTH), generator=generator, dtype=torch.float64)
    return EmbeddingTables(function, similarity, entity, relation, reciprocal)


@pytest.mark.parametrize(("name", "similarity"), CASES)
def test_both_sides_equal_the_paper(name, similarity):
    model = tables(name, similarity)
    h, r, t = torch.tensor([0, 1, 4]), torch.tensor([0, 2, 1]), torch.tensor([3, 1, 0])
    expected = [
        paper_score(name, similarity, model.entity[a].numpy(), model.relation[b].numpy(), model.entity[c].numpy())
        for a, b, c in zip(h, r, t, strict=True)
    ]
    as_tail = similarity_of_pairs(similarity, model.queries("tail", h, r), model.candidates(t))
    as_head = similarity_of_pairs(similarity, model.queries("head", t, r), model.candidates(h))
    np.testing.assert_allclose(as_tail, expected, rtol=1e-12)
    np.testing.assert_allclose(as_head, expected, rtol=1e-12)


@pytest.mark.parametrize(("name", "similarity"), CASES)
def test_reciprocal_heads_are_tails_of_the_inverse(name, similarity):
    model = tables(name, similarity, reciprocal=True)
    assert model.num_relations == 3
    h, r, t = 0, 1, 4
    asked = model.queries("head", torch.tensor([t]), torch.tensor([r]))
    score = similarity_of_pairs(similarity, asked, model.candidates(torch.tensor([h])))
    inverse = model.relation[r + 3].numpy()
    assert score.item() == pytest.approx(
        paper_score(name, similarity, model.entity[t].numpy(), inverse, model.entity[h].numpy())
    )
    forward = model.queries("tail", torch.tensor([h]), torch.tensor([r]))
    other = similarity_of_pairs(similarity, forward, model.candidates(torch.tensor([t])))
    assert other.item() != pytest.approx(score.item())


@pytest.mark.parametrize(("name", "similarity"), CASES)
def test_matrix_equals_pairs(name, similarity):
    model = tables(name, similarity)
    queries = model.queries("tail", torch.tensor([0, 1]), torch.tensor([2, 0]))
    everyone = model.candidates(torch.arange(5))
    matrix = similarity_matrix(similarity, queries, everyone)
    np.testing.assert_allclose(matrix, similarity_of_pairs(similarity, queries[:, None], everyone[None]), atol=1e-12)


@pytest.mark.parametrize(("name", "similarity"), CASES)
@pytest.mark.parametrize("side", ["head", "tail"])
def test_gradients_equal_finite_differences(name, similarity, side):
    model = tables(name, similarity)
    h, r, t = 0, 1, 4

    def score(entity, relation):
        rows = EmbeddingTables(model.score_function, similarity, entity, relation, reciprocal=False)
        given, answer = (h, t) if side == "tail" else (t, h)
        query = rows.queries(side, torch.tensor([given]), torch.tensor([r]))
        return similarity_of_pairs(similarity, query, rows.candidates(torch.tensor([answer]))).sum()

    entity, relation = model.entity.clone().requires_grad_(), model.relation.clone().requires_grad_()
    found = torch.autograd.grad(score(entity, relation), (entity, relation))

    def slow_gradient(which):
        parts = [model.entity.numpy().copy(), model.relation.numpy().copy()]
        gradient = np.zeros_like(parts[which])
        for index in np.ndindex(*gradient.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [part.copy() for part in parts]
                moved[which][index] += step
                values.append(paper_score(name, similarity, moved[0][h], moved[1][r], moved[0][t]))
            gradient[index] = (values[0] - values[1]) / 2e-6
        return gradient

    np.testing.assert_allclose(found[0], slow_gradient(0), atol=1e-7)
    np.testing.assert_allclose(found[1], slow_gradient(1), atol=1e-7)


def test_cosine_ignores_length():
    queries = torch.tensor([[3.0, 4.0]])
    candidates = torch.tensor([[6.0, 8.0], [-1.0, 0.0]])
    np.testing.assert_allclose(similarity_matrix("cosine", queries, candidates), [[1.0, -0.6]], atol=1e-6)
    np.testing.assert_allclose(similarity_of_pairs("cosine", queries, candidates), [1.0, -0.6], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("similarity", ["dot", "l1", "l2", "complex_modulus", "cosine"])
def test_compiled_scores_and_gradients_equal_those_of_torch(similarity, dtype):
    generator = torch.Generator().manual_seed(2)
    queries = torch.randn(7, 10, generator=generator, dtype=dtype, requires_grad=True)
    candidates = torch.randn(90, 10, generator=generator, dtype=dtype)
    candidates[3, :3] = queries.detach()[0, :3]  # numbers that are equal: an absolute difference has no slope there
    candidates.requires_grad_()
    ids = torch.randint(85, (7, 12), generator=generator)
    plain = similarity_of_pairs(similarity, queries[:, None], candidates[None])
    for compiled, expected in (
        (similarity_matrix(similarity, queries, candidates), plain),
        (similarity_of_drawn(similarity, queries, candidates, ids), plain.gather(1, ids)),
    ):
        torch.testing.assert_close(compiled, expected)
        upstream = torch.randn(compiled.shape, generator=generator, dtype=dtype)
        upstream[:, 1::3] = 0.0  # pairs that weigh nothing are passed over
        for found, wanted in zip(
            torch.autograd.grad((compiled * upstream).sum(), (queries, candidates), retain_graph=True),
            torch.autograd.grad((expected * upstream).sum(), (queries, candidates), retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("name", "similarity"), [("transe", "l2"), ("rotate", "complex_modulus")])
def test_gradient_at_distance_zero_is_finite(name, similarity):
    queries = torch.zeros(2, 4, requires_grad=True)
    for score in (
        similarity_of_pairs(similarity, queries, torch.zeros(2, 4)),
        similarity_matrix(similarity, queries, torch.zeros(2, 4)),
        similarity_of_drawn(similarity, queries, torch.zeros(2, 4), torch.tensor([[0, 1], [1, 1]])),
    ):
        (gradient,) = torch.autograd.grad(score.sum(), queries)
        assert torch.isfinite(gradient).all()

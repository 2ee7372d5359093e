"""Ranks are exactly those of float64 scores, although nearly all comparisons are made in float32."""

import numpy as np
import pytest
import torch

from kelbench.base.errors import UserError
from kelbench.encoders.tables import EmbeddingTables
from kelbench.kernels import pairs
from kelbench.ranking import cpu, device, exact
from kelbench.ranking.bounds import Sizes, interval
from kelbench.ranking.exact import rank_side
from kelbench.ranking.known_answers import KnownAnswers
from kelbench.scoring import COMPLEX, DISTMULT, ROTATE, SIMPLE, TRANSE

MODELS = {
    "distmult": (DISTMULT, "dot"),
    "complex": (COMPLEX, "dot"),
    "simple": (SIMPLE, "dot"),
    "cosine": (DISTMULT, "cosine"),
    "transe l1": (TRANSE, "l1"),
    "transe l2": (TRANSE, "l2"),
    "rotate": (ROTATE, "complex_modulus"),
}
ENTITIES, RELATIONS, WIDTH = 300, 5, 36
KINDS = ["spread", "nearly tied", "repeated", "integers"]
PROGRAMS = [{}, {"early_termination": False}, {"with_torch": True}]


def model(name, kind, seed=0):
    """Tables in float32. Nearly tied candidates differ by less than float32 sums can tell."""
    function, similarity = MODELS[name]
    generator = torch.Generator().manual_seed(seed)
    entity = torch.randn(ENTITIES, WIDTH, generator=generator)
    relation = torch.randn(RELATIONS, function.relation_width(WIDTH), generator=generator)
    if kind == "nearly tied":
        entity = entity[:4].repeat(ENTITIES // 4, 1) * (1 + 1e-7 * torch.randn(ENTITIES, WIDTH, generator=generator))
    elif kind == "repeated":
        entity = entity[:40].repeat(8, 1)[:ENTITIES]
    elif kind == "integers":
        entity, relation = entity.round(), relation.round()
    return EmbeddingTables(function, similarity, entity, relation, reciprocal=False)


def triples(count=400, seed=0):
    rng = np.random.default_rng(seed)
    columns = [rng.integers(n, size=count) for n in (ENTITIES, RELATIONS, ENTITIES)]
    columns[0][: count // 2] %= 7  # queries with many answers
    return np.stack(columns, axis=1).astype(np.int32)


def all_float64_scores(tables, asked, side):
    """Scores `(m, entities)` of every candidate, all by the kernel that defines a score."""
    given = torch.from_numpy(asked[:, 0 if side == "tail" else 2]).long()
    queries = tables.queries(side, given, torch.from_numpy(asked[:, 1]).long(), dtype=torch.float64)
    rows = tables.candidates(torch.arange(ENTITIES))
    if tables.similarity == "cosine":
        queries, rows = cpu.normalized(queries), cpu.normalized(rows)
    kind = exact._KINDS[tables.similarity]
    query_of, row_of = (index.ravel() for index in np.indices((len(asked), ENTITIES)))
    return cpu.pair_scores(kind, queries, query_of, rows[torch.from_numpy(row_of)]).reshape(len(asked), ENTITIES)


def brute_force(tables, asked, known, side):
    scores = all_float64_scores(tables, asked, side)
    result = []
    for row, (h, r, t) in zip(scores, asked.tolist(), strict=True):
        given, answer = (h, t) if side == "tail" else (t, h)
        of_query = known[
            (known[:, 1] == r) & (known[:, 0 if side == "tail" else 2] == given), 2 if side == "tail" else 0
        ]
        compete = np.setdiff1d(np.arange(ENTITIES), np.setdiff1d(of_query, [answer]))
        result.append(((row[compete] > row[answer]).sum() + 1, (row[compete] >= row[answer]).sum(), len(compete)))
    return np.array(result).T


@pytest.mark.parametrize("side", ["head", "tail"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_ranks_are_those_of_float64_scores(name, kind, side):
    tables, known = model(name, kind), triples()
    asked = known[::3]
    index = KnownAnswers.build(known, side, RELATIONS)
    expected = brute_force(tables, asked, known, side)
    for program in PROGRAMS:
        ranks = rank_side(tables, asked, side, [np.arange(ENTITIES)], index, RELATIONS, **program)
        np.testing.assert_array_equal(ranks.optimistic[0], expected[0])
        np.testing.assert_array_equal(ranks.pessimistic[0], expected[1])
        np.testing.assert_array_equal(ranks.candidates[0], expected[2])
        if kind == "nearly tied":
            assert ranks.recomputed > len(asked) * ENTITIES / 8
        if kind == "integers" and name in ("distmult", "transe l1", "transe l2"):
            assert ranks.recomputed == 0  # float32 is exact
    if kind in ("repeated", "integers") and name not in ("cosine", "rotate"):
        assert (expected[0] != expected[1]).mean() > 0.5


@pytest.mark.parametrize("program", PROGRAMS, ids=["early", "whole sums", "torch"])
@pytest.mark.parametrize("name", MODELS)
def test_without_recomputation_ranks_would_differ(monkeypatch, name, program):
    def nothing_open(kind, width, true, *_):
        return np.nextafter(true.astype(np.float32), np.float32(np.inf)), true.astype(np.float32)

    monkeypatch.setattr(exact, "interval", nothing_open)
    tables, known = model(name, "nearly tied"), triples()
    index = KnownAnswers.build(known, "tail", RELATIONS)
    ranks = rank_side(tables, known, "tail", [np.arange(ENTITIES)], index, RELATIONS, **program)
    assert ranks.recomputed == 0
    assert (ranks.optimistic[0] != brute_force(tables, known, known, "tail")[0]).any()


@pytest.mark.parametrize("program", PROGRAMS, ids=["early", "whole sums", "torch"])
@pytest.mark.parametrize("name", MODELS)
def test_a_smaller_candidate_set_on_either_program(name, program):
    tables, known = model(name, "repeated"), triples()
    sets = [np.arange(ENTITIES), np.arange(0, ENTITIES, 3)]
    index = KnownAnswers.build(known, "tail", RELATIONS)
    both = rank_side(tables, known, "tail", sets, index, RELATIONS, block_bytes=1 << 16, **program)
    inside = np.isin(known[:, 2], sets[1])
    alone = rank_side(tables, known[inside], "tail", sets[1:], index, RELATIONS)
    for which in ("optimistic", "pessimistic", "candidates"):
        np.testing.assert_array_equal(getattr(both, which)[1][inside], getattr(alone, which)[0])


@pytest.mark.parametrize("width", [1, 7, 8, 24, 30, 101])
@pytest.mark.parametrize("kind", range(4))
def test_both_programs_add_in_the_documented_order(kind, width):
    if kind == pairs.MODULUS:
        width *= 2
    rng = np.random.default_rng(width)
    queries, rows = rng.standard_normal((5, width)), rng.standard_normal((40, width)).astype(np.float32)
    query_of = rng.integers(5, size=40)
    left, right = queries[query_of], rows.astype(np.float64)
    half = width // 2
    terms = {
        pairs.DOT: lambda: left * right,
        pairs.L1: lambda: np.abs(left - right),
        pairs.SQUARED_L2: lambda: (left - right) * (left - right),
        pairs.MODULUS: lambda: np.sqrt(
            (left - right)[:, :half] * (left - right)[:, :half] + (left - right)[:, half:] * (left - right)[:, half:]
        ),
    }[kind]()
    sums = np.zeros((8, 40))
    for i, column in enumerate(terms.T):
        sums[i % 8 if i < terms.shape[1] // 8 * 8 else 0] += column
    expected = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    expected = expected if kind == pairs.DOT else -expected
    for program in (cpu, device):
        found = program.pair_scores(kind, torch.from_numpy(queries), query_of, torch.from_numpy(rows))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-6, 1.0, 1e15])
@pytest.mark.parametrize("kind", range(4))
def test_float32_scores_stay_in_the_interval(kind, scale):
    rng = np.random.default_rng(1)
    queries, rows = (rng.standard_normal((200, 64)) * scale * 2.0 ** rng.integers(-6, 7, size=(200, 64)) for _ in "ab")
    rows[:50] = queries[:50] * (1 + 1e-6 * rng.standard_normal((50, 64)))
    each = np.arange(200)
    true = cpu.pair_scores(kind, torch.from_numpy(queries), each, torch.from_numpy(rows))
    single = device._scores(kind, torch.from_numpy(queries).float(), torch.from_numpy(rows).float()).numpy()[each, each]
    sizes = cpu.sizes(torch.from_numpy(rows))
    low, high = interval(kind, 64, true, cpu.sizes(torch.from_numpy(queries)), sizes, rounded=True)
    assert ((low <= single) & (single <= high)).all()
    if scale == 1.0:
        assert (high - low).max() < 1e-3 * np.abs(true).max()  # narrow enough to be of use


def test_float32_alone_changes_mrr_by_no_more_than_1e_5(prepared_folder):
    from kelbench.data.prepared import PreparedDataset
    from kelbench.tasks.link_prediction import SplitRanker

    dataset = PreparedDataset(prepared_folder / "kinships")
    generator = torch.Generator().manual_seed(3)
    entity = torch.randn(dataset.num_entities, 64, generator=generator)
    relation = torch.randn(dataset.num_relations, 64, generator=generator)
    tables = EmbeddingTables(COMPLEX, "dot", entity, relation, reciprocal=False)
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    reciprocal, differing = [], 0
    for side in ("head", "tail"):
        asked, known = np.array(ranker.triples), ranker.known[side]
        given = torch.from_numpy(asked[:, 0 if side == "tail" else 2]).long()
        answers = asked[:, 2 if side == "tail" else 0]
        scores = (tables.queries(side, given, torch.from_numpy(asked[:, 1]).long()) @ entity.T).numpy()
        true = scores[np.arange(len(asked)), answers]
        keys = given.numpy() * dataset.num_relations + asked[:, 1]
        for row, (start, stop) in enumerate(zip(*known.spans(keys), strict=True)):
            scores[row, known.answers[start:stop]] = -np.inf
        ranks = (scores > true[:, None]).sum(axis=1) + 1
        exactly = ranker.rank(tables, side).optimistic[0]
        differing += (ranks != exactly).sum()
        reciprocal.append((1 / ranks).mean() - (1 / exactly).mean())
    assert abs(np.mean(reciprocal)) <= 1e-5
    assert differing < 10


@pytest.mark.parametrize("name", ["distmult", "transe l2"])
def test_vectors_too_large_for_float32_are_refused(name):
    tables, known = model(name, "spread"), triples()
    tables.entity[11] *= 1e25
    with pytest.raises(UserError, match="norm"):
        rank_side(tables, known, "tail", [np.arange(ENTITIES)], KnownAnswers.build(known, "tail", RELATIONS), RELATIONS)


def test_sizes_agree_on_both_programs():
    rows = model("distmult", "spread").entity
    ours, theirs = cpu.sizes(rows), device.sizes(rows)
    assert isinstance(ours, Sizes)
    np.testing.assert_allclose(ours.l1, theirs.l1)
    np.testing.assert_allclose(ours.l2, theirs.l2)
    assert not ours.whole
    assert cpu.sizes(rows.round()).whole
    assert device.sizes(rows.round()).whole
    assert torch.equal(cpu.normalized(rows), device.normalized(rows))

"""Ranks on real graphs equal brute force in float64 for every model and side; records and rows say what they should."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.tables import EmbeddingTables
from kelbench.ranking.metrics import Ranks, summarize
from kelbench.scoring import SCORE_FUNCTIONS
from kelbench.tasks.breakdowns import breakdown_masks, relation_categories
from kelbench.tasks.link_prediction import SplitRanker, evaluate, rank_split

MODELS = [
    ("transe", "l1"),
    ("transe", "l2"),
    ("distmult", "dot"),
    ("complex", "dot"),
    ("rotate", "complex_modulus"),
    ("simple", "dot"),
]


def random_model(dataset, name, similarity, width=8, ties=False, reciprocal=False):
    generator = torch.Generator().manual_seed(11)
    function = SCORE_FUNCTIONS[name]
    rows = dataset.num_relations * (2 if reciprocal else 1)
    entity = torch.randn(dataset.num_entities, width, generator=generator, dtype=torch.float64)
    relation = torch.randn(rows, function.relation_width(width), generator=generator, dtype=torch.float64)
    if ties and similarity in ("l2", "complex_modulus"):
        # Sums of square roots tie exactly only where rows are equal.
        entity[::2] = entity[::2][:3].repeat(len(entity), 1)[: len(entity[::2])]
    elif ties:
        entity, relation = entity.round(), relation.round()
    return EmbeddingTables(function, similarity, entity, relation, reciprocal)


def brute_force_score(name, similarity, entity, h, r, t):
    """Scores of triples (broadcast rows) by the papers' formulas, in NumPy and float64."""
    half = entity.shape[1] // 2

    def complex_(rows):
        return rows[..., :half] + 1j * rows[..., half:]

    match name:
        case "transe":
            return -np.linalg.norm(h + r - t, ord=1 if similarity == "l1" else 2, axis=-1)
        case "distmult":
            return (h * r * t).sum(-1)
        case "complex":
            return (complex_(h) * complex_(r) * complex_(t).conj()).real.sum(-1)
        case "rotate":
            return -np.abs(complex_(h) * np.exp(1j * r) - complex_(t)).sum(-1)
        case "simple":
            forward = (h[..., :half] * r[..., :half] * t[..., half:]).sum(-1)
            return (forward + (t[..., :half] * r[..., half:] * h[..., half:]).sum(-1)) / 2
    raise AssertionError(name)


def brute_force_ranks(model, dataset, side):
    """Optimistic and pessimistic filtered ranks, one triple at a time. Scores are rounded to 12 digits to tie."""
    triples, known = dataset.triples("test"), np.concatenate([dataset.triples(s) for s in ("train", "valid", "test")])
    entity, relation = model.entity.numpy(), model.relation.numpy()
    result = []
    for h, r, t in triples.tolist():
        answer, rows = (
            (t, (entity[h], relation[r], entity)) if side == "tail" else (h, (entity, relation[r], entity[t]))
        )
        if side == "tail":
            others = known[(known[:, 0] == h) & (known[:, 1] == r) & (known[:, 2] != t), 2]
        else:
            others = known[(known[:, 2] == t) & (known[:, 1] == r) & (known[:, 0] != h), 0]
        scores = np.round(brute_force_score(model.score_function.name, model.similarity, entity, *rows), 9)
        true = scores[answer]
        scores = np.delete(scores, np.unique(others))
        result.append(((scores > true).sum() + 1, (scores >= true).sum()))
    return np.array(result).T


@pytest.mark.parametrize("ties", [False, True], ids=["reals", "many ties"])
@pytest.mark.parametrize(("name", "similarity"), MODELS)
@pytest.mark.parametrize("graph", ["nations", "kinships"])
def test_ranks_equal_brute_force(prepared_folder, graph, name, similarity, ties):
    dataset = PreparedDataset(prepared_folder / graph)
    model = random_model(dataset, name, similarity, ties=ties)
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    for side in ("head", "tail"):
        ranks = ranker.rank(model, side)
        optimistic, pessimistic = brute_force_ranks(model, dataset, side)
        np.testing.assert_array_equal(ranks.optimistic[0], optimistic)
        np.testing.assert_array_equal(ranks.pessimistic[0], pessimistic)
        if ties:
            assert (optimistic != pessimistic).mean() > 0.2


@pytest.mark.parametrize(("name", "similarity"), MODELS)
def test_both_sides_agree_on_a_triple_without_reciprocal_relations(prepared_folder, name, similarity):
    dataset = PreparedDataset(prepared_folder / "nations")
    model = random_model(dataset, name, similarity)
    h, r, t = (torch.from_numpy(dataset.triples("test")[:, i].astype(np.int64)) for i in range(3))
    from kelbench.scoring import similarity_of_pairs

    as_tail = similarity_of_pairs(similarity, model.queries("tail", h, r), model.candidates(t))
    as_head = similarity_of_pairs(similarity, model.queries("head", t, r), model.candidates(h))
    torch.testing.assert_close(as_tail, as_head)


@pytest.mark.parametrize(("name", "similarity"), MODELS)
def test_metrics_equal_pykeen(prepared_folder, name, similarity):
    from pykeen.evaluation import RankBasedEvaluator
    from pykeen.evaluation.evaluator import create_sparse_positive_filter_, filter_scores_

    dataset = PreparedDataset(prepared_folder / "nations")
    model = random_model(dataset, name, similarity)
    test = torch.from_numpy(np.asarray(dataset.triples("test")).astype(np.int64))
    known = torch.from_numpy(dataset.known(dataset.protocols("test")[0]).astype(np.int64))
    evaluator = RankBasedEvaluator(filtered=True, clear_on_finalize=False)
    everyone = model.candidates(torch.arange(dataset.num_entities))
    from kelbench.scoring import similarity_matrix

    for column, target, given in ((2, "tail", 0), (0, "head", 2)):
        scores = similarity_matrix(similarity, model.queries(target, test[:, given], test[:, 1]), everyone)
        true = scores.gather(1, test[:, column, None])
        positive_filter, _ = create_sparse_positive_filter_(
            hrt_batch=test, all_pos_triples=known, relation_filter=None, filter_col=column
        )
        filtered = filter_scores_(scores=scores.clone(), filter_batch=positive_filter)
        filtered.scatter_(1, test[:, column, None], true)
        evaluator.process_scores_(hrt_batch=test, target=target, true_scores=true, scores=filtered)
    theirs = evaluator.finalize()
    table = rank_split(model, dataset, "test")
    ours = Ranks(table.optimistic, table.pessimistic, table.candidates, table.triple)
    for ties in ("realistic", "optimistic", "pessimistic"):
        found = summarize(ours, ties)
        for metric, name_there in (
            ("mrr", "inverse_harmonic_mean_rank"),
            ("hits@1", "hits_at_1"),
            ("hits@10", "hits_at_10"),
            ("mr", "arithmetic_mean_rank"),
        ):
            assert found[metric] == pytest.approx(theirs.get_metric(f"both.{ties}.{name_there}"), abs=1e-6)
    expected = theirs.get_metric("both.realistic.adjusted_arithmetic_mean_rank_index")
    assert summarize(ours, "realistic")["amri"] == pytest.approx(expected, abs=1e-6)


def test_evaluation_writes_ranks_then_metrics_that_follow_from_them(small_graph, tmp_path):
    dataset = PreparedDataset(small_graph)
    evaluate(random_model(dataset, "complex", "dot"), dataset, tmp_path)
    records = json.loads((tmp_path / "metrics.json").read_text())
    table = np.load(tmp_path / "ranks.test.npz", allow_pickle=False)

    def value(**wanted):
        wanted = {
            "split": "test", "metric": "mrr", "side": "both", "ties": "realistic", "unseen": "keep", "breakdown": None,
            **wanted,
        }  # fmt: skip
        (record,) = [r for r in records if all(r[k] == v for k, v in wanted.items())]
        return record

    ranker = SplitRanker(dataset, "valid", dataset.protocols("valid")[0])
    for metric, found in ranker.metrics(random_model(dataset, "complex", "dot")).items():
        assert found == pytest.approx(value(split="valid", metric=metric)["value"])
    keep = table["unseen"] == 0
    realistic = (table["optimistic"][keep] + table["pessimistic"][keep]) / 2
    assert value()["value"] == pytest.approx(np.mean(1 / realistic))
    assert value()["n_triples"] == 31
    assert value()["n_candidates"] == 24
    assert value(unseen="drop")["n_triples"] == 30
    assert value(unseen="drop")["n_candidates"] == 22
    assert value(unseen="drop")["value"] != value()["value"]
    by_relation = [r for r in records if (r["breakdown"] or "").startswith("relation=") and r["metric"] == "mrr"]
    assert sum(r["n_triples"] for r in by_relation) == 31
    assert {r["split"] for r in by_relation} == {"test"}


def test_dropping_unseen_entities_equals_a_graph_without_them(small_graph, make_prepared, tmp_path):
    dataset = PreparedDataset(small_graph)
    model = random_model(dataset, "distmult", "dot")
    table = rank_split(model, dataset, "test")
    without = make_prepared(
        tmp_path / "without",
        {
            "train": dataset.triples("train"),
            "valid": dataset.triples("valid")[:-1],
            "test": dataset.triples("test")[:-1],
        },
        22,
        3,
    )
    expected = rank_split(replace(model, entity=model.entity[:22]), PreparedDataset(without), "test")
    dropped = table.unseen == 1
    np.testing.assert_array_equal(table.optimistic[dropped], expected.optimistic)
    np.testing.assert_array_equal(table.candidates[dropped], expected.candidates)


def test_inductive_candidates_are_those_of_the_inference_graph(prepared_folder):
    dataset = PreparedDataset(prepared_folder / "umls-ind")
    model = random_model(dataset, "distmult", "dot")
    table = rank_split(model, dataset, "test")
    assert table.candidates.max() <= 45
    assert set(np.unique(table.unseen)) == {0}


def test_relation_categories_by_hand():
    graph = np.array(
        [[0, 0, 1], [2, 0, 3], [0, 1, 1], [0, 1, 2], [1, 2, 0], [2, 2, 0], [0, 3, 1], [0, 3, 2], [3, 3, 1], [3, 3, 2]]
    )  # fmt: skip
    assert relation_categories(graph, 5).tolist() == ["1-1", "1-N", "N-1", "N-N", ""]


def test_breakdowns_cover_every_rank_once(small_graph):
    dataset = PreparedDataset(small_graph)
    triples = np.asarray(dataset.triples("test"))
    cover = {}
    for name, mask in breakdown_masks(dataset, triples, np.ones(len(triples), dtype=bool)):
        kind = name.split("=")[0]
        cover[kind] = cover.get(kind, 0) + mask.astype(int)
    assert set(cover) == {"relation", "category", "degree"}
    assert all((counts == 1).all() for counts in cover.values())

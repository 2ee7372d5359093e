"""Exported tables give the scores that PyKEEN's own models give, on both sides."""

import numpy as np
import pytest
import torch

from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods.pykeen_engine.baselines import MODELS, make_model, training_factory
from kelbench.methods.pykeen_engine.export import are_rotations, computes, export_baseline, inverses_last
from kelbench.methods.pykeen_engine.run_loop import run
from kelbench.scoring import similarity_matrix

TOLERANCE = 1e-5
CASES = [
    *[(method, "slcwa", "none", None) for method in MODELS if method != "transe"],
    *[(method, "lcwa", "pykeen", None) for method in MODELS if method != "transe"],
    ("rotate", "lcwa", "none", None),
    ("rotate", "slcwa", "pykeen", None),
    *[("transe", training, "pykeen", norm) for training in ("slcwa", "lcwa") for norm in ("l1", "l2")],
    ("transe", "slcwa", "none", "l1"),
]


def trained(job):
    """PyKEEN's model after two epochs, and its export."""
    settings = job.settings
    factory = training_factory(job, settings)
    model = make_model(job.method, settings, factory, job.seed)
    run(model, factory, job, settings, lambda: export_baseline(model, job.method, settings))
    return model.eval(), export_baseline(model, job.method, settings)


def our_scores(tables: EmbeddingTables, side, entities, relations):
    everyone = torch.arange(tables.num_entities)
    return similarity_matrix(tables.similarity, tables.queries(side, entities, relations), tables.candidates(everyone))


def all_pairs(num_entities, num_relations):
    entity, relation = np.meshgrid(np.arange(num_entities), np.arange(num_relations), indexing="ij")
    return torch.from_numpy(entity.ravel().copy()), torch.from_numpy(relation.ravel().copy())


@pytest.mark.parametrize(("method", "training", "constrainer", "distance"), CASES)
def test_scores_of_both_sides_equal_those_of_pykeen(
    baseline_job, transductive, method, training, constrainer, distance
):
    changes = {"training": training, "constrainer": constrainer, "distance": distance, "epochs": 2}
    model, tables = trained(baseline_job(transductive, method, **changes))
    entities, relations = all_pairs(20, 4)
    with torch.no_grad():
        theirs = {
            "tail": model.predict_t(torch.stack((entities, relations), dim=1)),
            "head": model.predict_h(torch.stack((relations, entities), dim=1)),
        }
        for side, scores in theirs.items():
            ours = our_scores(tables, side, entities, relations)
            assert scores.std() > 1e-3
            torch.testing.assert_close(ours, scores, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize(("method", "distance"), [(m, "l1" if m == "transe" else None) for m in MODELS])
def test_scores_of_single_triples_equal_those_of_pykeen(baseline_job, transductive, method, distance):
    """`score_hrt`, which training uses; without reciprocal relations it equals the scores of both sides."""
    job = baseline_job(transductive, method, distance=distance, constrainer="pykeen", epochs=2)
    model, tables = trained(job)
    triples = torch.from_numpy(np.array(transductive.triples("train"), dtype=np.int64))
    with torch.no_grad():
        single = model.score_hrt(triples).view(-1)
    for side, asked, answer in (("tail", 0, 2), ("head", 2, 0)):
        block = our_scores(tables, side, triples[:, asked], triples[:, 1])
        ours = block[torch.arange(len(triples)), triples[:, answer]]
        torch.testing.assert_close(ours, single, rtol=TOLERANCE, atol=TOLERANCE)


def test_unconstrained_rotate_scores_depend_on_the_side_and_training_uses_that_of_heads(baseline_job, transductive):
    model, tables = trained(baseline_job(transductive, "rotate", constrainer="none", epochs=4))
    assert tables.score_function.name == "complex"
    assert tables.similarity == "l2"
    assert not are_rotations(tables.relation)
    assert "no rotations" in computes("rotate", tables)
    triples = torch.from_numpy(np.array(transductive.triples("train"), dtype=np.int64))
    with torch.no_grad():
        single = model.score_hrt(triples).view(-1)
    rows = torch.arange(len(triples))
    tails = our_scores(tables, "tail", triples[:, 0], triples[:, 1])[rows, triples[:, 2]]
    heads = our_scores(tables, "head", triples[:, 2], triples[:, 1])[rows, triples[:, 0]]
    assert (tails - heads).abs().max() > 1e-3
    torch.testing.assert_close(heads, single, rtol=TOLERANCE, atol=TOLERANCE)


def test_constrained_rotate_has_phases_and_the_l2_norm(baseline_job, transductive):
    _, tables = trained(baseline_job(transductive, "rotate", constrainer="pykeen", epochs=2))
    assert (tables.score_function.name, tables.similarity) == ("rotate", "l2")
    assert tables.relation.shape == (4, 4)
    assert "no rotations" not in computes("rotate", tables)


def test_inverses_move_from_odd_rows_to_the_end():
    rows = torch.tensor([[0.0], [0.5], [1.0], [1.5], [2.0], [2.5]])
    assert inverses_last(rows).view(-1).tolist() == [0.0, 1.0, 2.0, 0.5, 1.5, 2.5]


def test_only_models_that_differ_from_their_papers_are_labelled(baseline_job, transductive):
    labels = {}
    for method in MODELS:
        job = baseline_job(transductive, method, constrainer="pykeen", epochs=2)
        labels[method] = computes(method, trained(job)[1])
    assert {method for method, label in labels.items() if label is None} == {"transe", "distmult", "complex"}
    assert "symmetric" in labels["simple"]

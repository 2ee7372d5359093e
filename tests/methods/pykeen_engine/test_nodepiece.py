"""InductiveNodePiece: our ids, both kinds of validation, entities and relations without triples."""

import numpy as np
import pytest
import torch
from pykeen.typing import TRAINING, VALIDATION

from kelbench.base.errors import UserError
from kelbench.methods import pykeen_engine
from kelbench.methods.pykeen_engine import nodepiece
from kelbench.methods.pykeen_engine.run_loop import run
from kelbench.scoring import similarity_matrix


@pytest.fixture(params=["grail_like", "ilpc_like"])
def inductive(request):
    return request.getfixturevalue(request.param)


def trained(job):
    """PyKEEN's model after training, and its export."""
    dataset, settings = job.dataset, job.settings
    factories = {space: nodepiece._factory(dataset, space) for space in dataset.spaces}
    modes = nodepiece.space_modes(dataset)
    model = nodepiece._make_model(factories, modes, settings, job.seed)
    run(
        model,
        factories["train"],
        job,
        settings,
        lambda: nodepiece.export_nodepiece(model, modes, dataset),
        mode=TRAINING,
    )
    return model.eval(), nodepiece.export_nodepiece(model, modes, dataset)


def test_scores_equal_those_of_pykeen_in_every_graph(nodepiece_job, inductive):
    model, tables = trained(nodepiece_job(inductive))
    for mode, (start, stop) in ((TRAINING, (0, 16)), (VALIDATION, (16, 29))):
        local, relation = np.meshgrid(np.arange(stop - start), np.arange(5), indexing="ij")
        local, relation = torch.from_numpy(local.ravel().copy()), torch.from_numpy(relation.ravel().copy())
        with torch.no_grad():
            theirs = {
                "tail": model.predict_t(torch.stack((local, relation), dim=1), mode=mode),
                "head": model.predict_h(torch.stack((relation, local), dim=1), mode=mode),
            }
        candidates = tables.candidates(torch.arange(start, stop))
        for side, scores in theirs.items():
            ours = similarity_matrix("dot", tables.queries(side, local + start, relation), candidates)
            assert scores.std() > 1e-4
            torch.testing.assert_close(ours, scores, rtol=1e-5, atol=1e-5)


def test_the_export_has_no_dropout(nodepiece_job, ilpc_like):
    model, tables = trained(nodepiece_job(ilpc_like))
    model.train()
    again = nodepiece.export_nodepiece(model, nodepiece.space_modes(ilpc_like), ilpc_like)
    assert torch.equal(again.entity, tables.entity)


def test_every_entity_and_relation_has_a_finite_row(nodepiece_job, inductive):
    """Entity 28 has no support triple, relation 4 no training triple."""
    tables = pykeen_engine.train(nodepiece_job(inductive)).tables
    assert tables.entity.shape == (29, 8)
    assert tables.relation.shape == (10, 8)
    assert tables.reciprocal
    assert torch.isfinite(tables.entity).all()
    assert torch.isfinite(tables.relation).all()
    assert tables.entity[28].abs().sum() > 0


def test_entities_without_triples_share_the_vector_of_padding(nodepiece_job, inductive):
    model, tables = trained(nodepiece_job(inductive))
    (representation,) = model._get_entity_representations_from_inductive_mode(mode=VALIDATION)
    tokens = representation.base[0].assignment
    assert (tokens[28 - 16] == 2 * 5).all()
    assert not torch.equal(tables.entity[28], tables.entity[27])


def test_tokens_come_from_the_support_alone(nodepiece_job, inductive):
    """An inference entity's tokens are the relations of its support triples, r outgoing and r + R incoming."""
    model, _ = trained(nodepiece_job(inductive, tokens=12))
    (representation,) = model._get_entity_representations_from_inductive_mode(mode=VALIDATION)
    for entity, tokens in enumerate(representation.base[0].assignment, start=16):
        support = np.asarray(inductive.support("test"))
        expected = set(support[support[:, 0] == entity, 1]) | set(support[support[:, 2] == entity, 1] + 5)
        assert set(tokens.tolist()) - {10} == expected


def test_tokens_and_relations_number_one_table_differently(nodepiece_job, ilpc_like):
    """The trap that `facts['computes']` names: token r + R is the row in which PyKEEN keeps another relation."""
    model, tables = trained(nodepiece_job(ilpc_like))
    (relations,) = model.relation_representations
    assert relations.base is model.entity_representations[0].base[0].vocabulary
    with torch.no_grad():
        shared = relations.base(torch.arange(10))
    torch.testing.assert_close(tables.relation[1], shared[2])
    torch.testing.assert_close(tables.relation[5 + 1], shared[3])
    facts = pykeen_engine.train(nodepiece_job(ilpc_like)).facts
    assert "2r and 2r + 1" in facts["computes"]


def test_the_test_file_is_never_read(nodepiece_job, inductive):
    before = pykeen_engine.train(nodepiece_job(inductive))
    (inductive.folder / "test" / "triples.npy").unlink()
    after = pykeen_engine.train(nodepiece_job(inductive))
    assert torch.equal(before.tables.entity, after.tables.entity)


def test_a_seed_repeats_bit_by_bit_and_draws_the_tokens(nodepiece_job, inductive):
    first, second, other = (pykeen_engine.train(nodepiece_job(inductive, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first.tables.entity, second.tables.entity)
    assert torch.equal(first.tables.relation, second.tables.relation)
    assert first.curve == second.curve
    assert not torch.equal(first.tables.entity, other.tables.entity)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "cross_entropy", "margin": None},
        {"loss": "self_adversarial", "margin": 3.0, "adversarial_temperature": 1.0},
    ],
)
def test_every_loss_trains(nodepiece_job, ilpc_like, changes):
    curve = pykeen_engine.train(nodepiece_job(ilpc_like, epochs=12, **changes)).curve
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_a_transductive_dataset_is_refused(nodepiece_job, transductive):
    with pytest.raises(UserError, match="choose an inductive dataset"):
        pykeen_engine.train(nodepiece_job(transductive))


def test_an_inference_graph_without_triples_is_refused(nodepiece_job, grail_like):
    np.save(grail_like.folder / "test" / "support.npy", np.zeros((0, 3), dtype=np.int32))
    with pytest.raises(UserError, match="no triple of the test graph"):
        pykeen_engine.train(nodepiece_job(grail_like))


def test_three_graphs_have_three_modes(nodepiece_job, tmp_path, ilpc_like):
    """Validation entities of their own, as in Wikidata5M's inductive split, but with support."""
    manifest = ilpc_like.manifest
    manifest["entity_spaces"] |= {
        "test": {"start": 16, "stop": 25, "file": ""},
        "valid": {"start": 25, "stop": 29, "file": ""},
    }
    manifest["splits"]["valid"]["space"] = "valid"
    manifest["splits"]["valid"]["protocols"][0] |= {"spaces": ["valid"]}
    np.save(ilpc_like.folder / "valid" / "support.npy", np.array([[25, 0, 26], [26, 1, 27]], dtype=np.int32))
    np.save(ilpc_like.folder / "valid" / "triples.npy", np.array([[25, 1, 28]], dtype=np.int32))
    np.save(ilpc_like.folder / "test" / "support.npy", np.array([[16, 0, 17], [18, 1, 24]], dtype=np.int32))
    tables = pykeen_engine.train(nodepiece_job(ilpc_like)).tables
    assert (tables.entity.abs().sum(dim=1) > 0).all()


def test_no_progress_bars(nodepiece_job, ilpc_like, capfd):
    pykeen_engine.train(nodepiece_job(ilpc_like))
    assert capfd.readouterr().err == ""

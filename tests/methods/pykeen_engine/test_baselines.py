"""PyKEEN's traps: dropped entities, constrainers and regularisers that act by default, seeds, unknown names."""

import logging

import numpy as np
import pytest
import torch
from pykeen.models import DistMult

from kelbench.base.errors import UserError
from kelbench.methods import pykeen_engine
from kelbench.methods.pykeen_engine import baselines
from kelbench.training.job import TrainingJob

METHODS = ("transe", "distmult", "complex", "rotate", "simple")


def test_the_list_is_explicit(baseline_job, transductive):
    assert (*METHODS, "nodepiece") == pykeen_engine.METHODS
    job = baseline_job(transductive, "distmult")
    unknown = TrainingJob(job.dataset, "mure", job.settings, job.seed, job.threads, job.folder)
    with pytest.raises(UserError, match=r"transe, distmult, complex, rotate, simple, nodepiece.*'mure'"):
        pykeen_engine.train(unknown)


def test_baselines_refuse_a_dataset_with_new_test_entities(baseline_job, ilpc_like):
    with pytest.raises(UserError, match="ilpc-like are others"):
        pykeen_engine.train(baseline_job(ilpc_like, "distmult"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", ["slcwa", "lcwa"])
def test_every_entity_of_the_official_splits_has_a_row(baseline_job, transductive, method, training):
    model = pykeen_engine.train(baseline_job(transductive, method, training=training, epochs=2))
    assert model.tables.entity.shape == (20, 8)
    assert model.tables.num_relations == 4
    assert model.tables.reciprocal == (training == "lcwa")
    assert torch.isfinite(model.tables.entity).all()


def test_no_training_triple_is_dropped_or_renumbered(baseline_job, transductive):
    job = baseline_job(transductive, "distmult")
    factory = baselines.training_factory(job, job.settings)
    assert np.array_equal(factory.mapped_triples.numpy(), transductive.triples("train"))
    assert (factory.num_entities, factory.num_relations) == (20, 4)


def norms(tables):
    return torch.linalg.vector_norm(tables.entity, dim=1)


@pytest.mark.parametrize("method", ["transe", "distmult"])
def test_constrainers_act_when_kept_and_not_otherwise(baseline_job, transductive, method):
    kept = pykeen_engine.train(baseline_job(transductive, method, constrainer="pykeen"))
    off = pykeen_engine.train(baseline_job(transductive, method, constrainer="none"))
    torch.testing.assert_close(norms(kept.tables), torch.ones(20))
    assert (norms(off.tables) - 1).abs().min() > 1e-4
    assert kept.facts["constrainers"] == ["normalize"]
    assert off.facts["constrainers"] == []


def test_rotate_keeps_its_constrainer_only_when_told(baseline_job, transductive):
    kept = pykeen_engine.train(baseline_job(transductive, "rotate", constrainer="pykeen", epochs=2))
    off = pykeen_engine.train(baseline_job(transductive, "rotate", constrainer="none", epochs=2))
    assert kept.facts["constrainers"] == ["complex_normalize"]
    assert off.facts["constrainers"] == []


@pytest.mark.parametrize("method", METHODS)
def test_regularizers_are_off_unless_kept(baseline_job, transductive, method):
    found = {}
    for choice in ("none", "pykeen"):
        job = baseline_job(transductive, method, regularizer=choice)
        factory = baselines.training_factory(job, job.settings)
        found[choice] = baselines.regularizers(baselines.make_model(method, job.settings, factory, 1))
    assert found["none"] == []
    # SimplE declares a default penalty that PyKEEN never applies.
    assert found["pykeen"] == (["LpRegularizer"] if method in ("distmult", "complex") else [])


def test_pykeen_itself_constrains_and_regularizes_by_default(baseline_job, transductive):
    """If this fails, the trap is gone and `_defaults_turned_off` can be, too."""
    job = baseline_job(transductive, "distmult")
    plain = DistMult(triples_factory=baselines.training_factory(job, job.settings), random_seed=1)
    assert baselines.constrainers(plain) == ["normalize"]
    assert baselines.regularizers(plain) == ["LpRegularizer"]


@pytest.mark.parametrize("training", ["slcwa", "lcwa"])
@pytest.mark.parametrize("method", ["complex", "transe"])
def test_a_seed_repeats_bit_by_bit(baseline_job, transductive, method, training):
    first, second, other = (
        pykeen_engine.train(baseline_job(transductive, method, seed=seed, training=training)) for seed in (3, 3, 4)
    )
    assert torch.equal(first.tables.entity, second.tables.entity)
    assert torch.equal(first.tables.relation, second.tables.relation)
    assert first.curve == second.curve
    assert not torch.equal(first.tables.entity, other.tables.entity)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "self_adversarial", "softplus"])
@pytest.mark.parametrize("training", ["slcwa", "lcwa"])
def test_every_loss_trains(baseline_job, transductive, loss, training):
    changes = {"loss": loss, "training": training, "epochs": 12, "optimizer": "adagrad", "learning_rate": 0.1}
    if loss in ("margin", "self_adversarial"):
        changes["margin"] = 1.0
    if loss == "self_adversarial":
        changes["adversarial_temperature"] = 1.0
    curve = pykeen_engine.train(baseline_job(transductive, "complex", **changes)).curve
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_the_test_file_is_never_read(baseline_job, transductive):
    before = pykeen_engine.train(baseline_job(transductive, "distmult"))
    (transductive.folder / "test" / "triples.npy").unlink()
    after = pykeen_engine.train(baseline_job(transductive, "distmult"))
    assert torch.equal(before.tables.entity, after.tables.entity)


def test_logs_hold_no_progress_bars(baseline_job, transductive, capfd, caplog):
    with caplog.at_level(logging.INFO, logger="kelbench"):
        pykeen_engine.train(baseline_job(transductive, "complex", training="lcwa"))
    assert capfd.readouterr().err == ""
    assert any("best validation MRR" in record.message for record in caplog.records)

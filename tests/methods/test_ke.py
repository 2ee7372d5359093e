"""Training: gradients, resumption, determinism, no look at the test file; and it learns."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.methods import ke
from kelbench.tasks.link_prediction import SplitRanker
from kelbench.training import loop
from kelbench.training.job import TrainingJob

METHODS = ("transe", "distmult", "complex", "rotate", "simple")
ONE_VS_ALL = {"training": "1vsall", "loss": "cross_entropy"}
SAMPLED = {
    "per triple": {"training": "negative_sampling", "negatives": {"per_positive": 5}, "loss": "margin", "margin": 2.0},
    "shared": {
        "training": "negative_sampling",
        "negatives": {"per_positive": 7, "shared": True},
        "loss": "self_adversarial",
        "margin": 3.0,
        "adversarial_temperature": 1.0,
    },
}
WAYS = {"1vsall": ONE_VS_ALL, **SAMPLED}


def settings(method, way=ONE_VS_ALL, **changes):
    values = {
        "dimension": 8,
        "distance": "l2" if method == "transe" else None,
        "reciprocal": True,
        "regularizer": {"kind": "n3", "weight": 0.01},
        "optimizer": "adagrad",
        "learning_rate": 0.1,
        "batch_size": 32,
        "epochs": 6,
        "initial_scale": 0.1,
        "early_stopping": {"every": 2, "patience": 3},
        **way,
        **changes,
    }
    return KnowledgeEmbeddingSettings(**values)


def job(folder, method, options, seed=1):
    return TrainingJob(PreparedDataset(folder), method, options, seed, 1, folder.parent / "work")


def digest(model):
    return hashlib.sha256(model.tables.entity.numpy().tobytes() + model.tables.relation.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("reciprocal", [True, False])
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_on_touched_rows_equals_a_step_on_the_whole_table(method, way, reciprocal):
    options = settings(method, WAYS[way], reciprocal=reciprocal)
    batch = torch.tensor([[0, 0, 1], [2, 1, 0], [3, 0, 4]])
    tables = ke.initial_tables(method, options, 12, 2, seed=1)
    tables = replace(tables, entity=tables.entity.double(), relation=tables.relation.double())
    whole = replace(tables, entity=tables.entity.clone(), relation=tables.relation.clone())
    embedding = ke.KnowledgeEmbedding(tables, options, seed=1)
    negatives = embedding._draw(batch, 1, 0)
    loss = embedding.step(batch, 1, 0)
    parts = [whole.entity.requires_grad_(), whole.relation.requires_grad_()]
    expected = ke.batch_loss(replace(whole, entity=parts[0], relation=parts[1]), batch, negatives, options)
    optimizer = torch.optim.Adagrad(parts, lr=0.1)
    expected.backward()
    optimizer.step()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(tables.entity, whole.entity.detach())
    torch.testing.assert_close(tables.relation, whole.relation.detach())


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_training_learns_and_repeats_bit_by_bit(small_graph, method, way):
    options = settings(method, WAYS[way], epochs=20, early_stopping={"every": 5, "patience": 9})
    first = ke.train(job(small_graph, method, options))
    second = ke.train(job(small_graph, method, options))
    assert digest(first) == digest(second)
    assert first.curve == second.curve
    assert digest(ke.train(job(small_graph, method, options, seed=2))) != digest(first)
    losses = [record["loss"] for record in first.curve]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_a_resumed_run_ends_with_the_same_bits(small_graph, monkeypatch, optimizer):
    options = settings("complex", SAMPLED["per triple"], epochs=10, optimizer=optimizer)
    undisturbed = ke.train(job(small_graph, "complex", options))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    class Killed(Exception):
        pass

    original = ke.KnowledgeEmbedding.step

    def step(self, batch, epoch, number):
        if epoch == 7 and number == 2:
            raise Killed
        return original(self, batch, epoch, number)

    monkeypatch.setattr(ke.KnowledgeEmbedding, "step", step)
    with pytest.raises(Killed):
        ke.train(job(small_graph, "complex", options))
    checkpoint = small_graph.parent / "work" / "checkpoint.pt"
    assert checkpoint.is_file()
    seen = []
    monkeypatch.setattr(
        ke.KnowledgeEmbedding, "step", lambda self, *a: (seen.append(a[1]), original(self, *a))[1]
    )  # fmt: skip
    resumed = ke.train(job(small_graph, "complex", options))
    assert min(seen) == 7
    assert digest(resumed) == digest(undisturbed)
    assert resumed.curve == undisturbed.curve
    assert not checkpoint.exists()


def test_a_damaged_or_foreign_checkpoint_is_not_used(small_graph, monkeypatch):
    from kelbench.training.checkpoints import load_checkpoint, save_checkpoint

    path = small_graph.parent / "checkpoint.pt"
    save_checkpoint(path, "mine", {"epoch": 3})
    assert load_checkpoint(path, "mine") == {"epoch": 3}
    assert load_checkpoint(path, "other") is None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert load_checkpoint(path, "mine") is None


def test_no_test_triple_reaches_training(small_graph):
    options = settings("complex")
    before = digest(ke.train(job(small_graph, "complex", options)))
    triples = np.load(small_graph / "test" / "triples.npy")
    np.save(small_graph / "test" / "triples.npy", triples[::-1])
    assert digest(ke.train(job(small_graph, "complex", options))) == before
    np.save(small_graph / "test" / "triples.npy", triples[:0])
    assert digest(ke.train(job(small_graph, "complex", options))) == before
    (small_graph / "test" / "triples.npy").unlink()
    assert digest(ke.train(job(small_graph, "complex", options))) == before


def test_the_weights_kept_are_those_of_the_best_validation(small_graph):
    options = settings("complex", epochs=40, early_stopping={"every": 1, "patience": 4})
    model = ke.train(job(small_graph, "complex", options))
    dataset = PreparedDataset(small_graph)
    mrr = SplitRanker(dataset, "valid", dataset.protocols("valid")[0]).mrr(model.tables)
    assert mrr == model.facts["best_validation_mrr"] == max(record["validation_mrr"] for record in model.curve)
    assert model.facts["ended_by"] == "patience"
    assert model.facts["epochs"] < 40


def test_the_clock_ends_training_and_says_so(small_graph):
    options = settings("complex", epochs=10**6, max_minutes=1e-4, early_stopping={"every": 10**5, "patience": 9})
    model = ke.train(job(small_graph, "complex", options))
    assert model.facts["ended_by"] == "time"
    assert model.facts["converged"] is False


def test_reduced_precision_changes_mrr_by_no_more_than_1e_5(prepared_folder):
    options = settings("complex", dimension=64, batch_size=256, epochs=15)
    dataset = PreparedDataset(prepared_folder / "kinships")
    model = ke.train(TrainingJob(dataset, "complex", options, 1, 1, prepared_folder / "work"))
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    assert ranker.mrr(model.tables) == pytest.approx(ranker.mrr(model.tables.double()), abs=1e-5)
    assert ranker.mrr(model.tables) > 0.5

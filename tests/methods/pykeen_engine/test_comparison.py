"""At the same vectors and negatives our formulas give PyKEEN's losses and gradients, where the papers are followed."""

import pytest
import torch

from kelbench.methods import pykeen_engine
from kelbench.methods.pykeen_engine.baselines import make_model, training_factory
from kelbench.methods.pykeen_engine.comparison import compare

LOSSES = {
    "cross_entropy": {},
    "margin": {"margin": 1.0},
    "self_adversarial": {"margin": 3.0, "adversarial_temperature": 0.5},
}


def same_vectors(job):
    return pykeen_engine.train(job).facts["same_vectors"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("training", ["slcwa", "lcwa"])
@pytest.mark.parametrize(
    ("method", "distance"), [("transe", "l1"), ("transe", "l2"), ("distmult", None), ("complex", None)]
)
def test_equal_where_pykeen_follows_the_paper(baseline_job, transductive, method, distance, training, loss):
    changes = {"distance": distance, "training": training, "loss": loss, **LOSSES[loss]}
    found = same_vectors(baseline_job(transductive, method, **changes))
    assert found["loss"] == loss
    assert found["loss_pykeen"] > 0
    assert found["score_max_difference"] <= 1e-5
    assert abs(found["loss_ours"] - found["loss_pykeen"]) <= 1e-5
    assert found["gradient_max_relative_difference"] <= 1e-5


@pytest.mark.parametrize("method", ["simple", "rotate"])
def test_different_where_it_does_not(baseline_job, transductive, method):
    found = same_vectors(baseline_job(transductive, method, constrainer="pykeen"))
    assert found["score_max_difference"] > 0.01
    assert abs(found["loss_ours"] - found["loss_pykeen"]) > 1e-4
    assert found["gradient_max_relative_difference"] > 0.01


def test_rotate_differs_in_nothing_but_the_norm(baseline_job, transductive):
    """With one complex number a vector the sum of moduli is the L2 norm: then even gradients by phases are equal."""
    found = same_vectors(baseline_job(transductive, "rotate", dimension=2, constrainer="pykeen"))
    assert found["score_max_difference"] <= 1e-5
    assert found["gradient_max_relative_difference"] <= 1e-5


def test_softplus_is_compared_by_cross_entropy(baseline_job, transductive):
    found = same_vectors(baseline_job(transductive, "complex", loss="softplus"))
    assert found["loss"] == "cross_entropy"
    assert found["gradient_max_relative_difference"] <= 1e-5


def test_comparison_repeats_and_leaves_random_numbers_and_weights_alone(baseline_job, transductive):
    job = baseline_job(transductive, "distmult")
    model = make_model("distmult", job.settings, training_factory(job, job.settings), 1)
    weights = [parameter.clone() for parameter in model.parameters()]
    state = torch.get_rng_state()
    first = compare(model, job, job.settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert compare(model, job, job.settings) == first
    assert all(torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True))
    assert all(parameter.dtype == torch.float32 and parameter.grad is None for parameter in model.parameters())

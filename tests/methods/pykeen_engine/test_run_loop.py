"""Early stopping by our validation MRR, the wall-clock limit, divergence."""

import pytest
import torch

from kelbench.base.errors import UserError
from kelbench.config.methods import EarlyStopping
from kelbench.methods import pykeen_engine
from kelbench.methods.pykeen_engine import run_loop


class ScriptedRanker:
    """Returns MRRs from a list, and remembers the tables that it saw."""

    def __init__(self, values):
        self.values = list(values)
        self.seen = []

    def metrics(self, tables):
        self.seen.append(tables)
        mrr = self.values[len(self.seen) - 1]
        return {"mrr": mrr, "hits@1": mrr / 2, "hits@10": (1 + mrr) / 2}


@pytest.fixture
def script(monkeypatch):
    def install(*values):
        ranker = ScriptedRanker(values)
        monkeypatch.setattr(run_loop, "validation_ranker", lambda dataset: ranker)
        return ranker

    return install


def test_patience_ends_training_and_the_best_tables_are_kept(baseline_job, transductive, script):
    ranker = script(0.1, 0.3, 0.2, 0.3, 0.9)
    stopping = EarlyStopping(every=2, patience=2)
    model = pykeen_engine.train(baseline_job(transductive, "distmult", epochs=50, early_stopping=stopping))
    assert model.facts["ended_by"] == "patience"
    assert model.facts["epochs"] == 8
    assert (model.facts["best_epoch"], model.facts["best_validation_mrr"]) == (4, 0.3)
    assert model.facts["converged"]
    assert torch.equal(model.tables.entity, ranker.seen[1].entity)
    assert not torch.equal(ranker.seen[1].entity, ranker.seen[3].entity)
    assert [record["validation_mrr"] for record in model.curve] == [None, 0.1, None, 0.3, None, 0.2, None, 0.3]
    assert [record["validation_hits@10"] for record in model.curve][:4] == [None, 0.55, None, 0.65]
    assert [record["epoch"] for record in model.timing] == list(range(1, 9))


def test_a_gain_below_the_minimum_is_kept_but_does_not_reset_patience(baseline_job, transductive, script):
    script(0.1, 0.15, 0.17, 0.9)
    stopping = EarlyStopping(every=1, patience=2, minimal_gain=0.1)
    model = pykeen_engine.train(baseline_job(transductive, "distmult", epochs=50, early_stopping=stopping))
    assert model.facts["epochs"] == 3
    assert model.facts["best_validation_mrr"] == 0.17


def test_the_last_epoch_is_validated(baseline_job, transductive, script):
    script(0.1, 0.2)
    stopping = EarlyStopping(every=3, patience=9)
    model = pykeen_engine.train(baseline_job(transductive, "distmult", epochs=5, early_stopping=stopping))
    assert model.facts["ended_by"] == "epochs"
    assert [record["validation_mrr"] for record in model.curve] == [None, None, 0.1, None, 0.2]


@pytest.mark.parametrize("batch_size", [4, 1000])
def test_time_ends_training_within_an_epoch(baseline_job, transductive, script, batch_size):
    """With many batches the first epoch is cut after one of them; with a single batch it is whole."""
    script(0.1)
    changes = {"epochs": 50, "batch_size": batch_size, "max_minutes": 1e-9}
    model = pykeen_engine.train(baseline_job(transductive, "distmult", **changes))
    assert model.facts["ended_by"] == "time"
    assert model.facts["converged"] is False
    assert model.facts["epochs"] == 1
    assert model.curve[0]["validation_mrr"] == 0.1
    script(0.1)
    changes |= {"max_minutes": None, "epochs": 1}
    whole = pykeen_engine.train(baseline_job(transductive, "distmult", **changes))
    assert (model.curve[0]["loss"] == whole.curve[0]["loss"]) == (batch_size == 1000)


def test_training_that_diverges_is_an_error_to_mend(baseline_job, transductive):
    with pytest.raises(UserError, match="lower the learning rate"):
        pykeen_engine.train(baseline_job(transductive, "complex", loss="softplus", learning_rate=1e30, epochs=20))


def test_validation_improves_on_a_pattern_that_can_be_learned(baseline_job, transductive):
    changes = {"epochs": 60, "dimension": 32, "training": "lcwa", "learning_rate": 0.02}
    model = pykeen_engine.train(baseline_job(transductive, "complex", **changes))
    values = [record["validation_mrr"] for record in model.curve if record["validation_mrr"] is not None]
    assert max(values) > values[0]
    assert model.facts["best_validation_mrr"] == max(values)

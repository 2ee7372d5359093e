"""Two processes that train together: the weights of one, and one that writes."""

from pathlib import Path

import numpy as np
import pytest

from kelbench.methods.kepler import train

SCRIPT = Path(__file__).parent / "train_together.py"
IN_BATCH = {"loss": "cross_entropy", "temperature": 0.2, "score": "cosine", "negatives": {"mode": "in_batch"}}
LANGUAGE = {"masked_language_modelling": {"corpus": "descriptions", "batch_size": 10}}


def test_two_processes_give_the_weights_of_one_and_the_first_alone_writes(
    described, make_settings, make_job, tmp_path, train_together
):
    tiny = make_settings("tiny").encoder.model_dump() | {"dropout": 0.1}
    jobs = {
        "in_batch": make_settings("bow", texts_per_pass=5, gradient_norm=1.0, **IN_BATCH),
        "language": make_settings(tiny, texts_per_pass=7, **LANGUAGE),
        "on_disk": make_settings("bow", texts_per_pass=5),
    }
    options = {
        name: {"settings": settings.model_dump(mode="json"), "on disk": name == "on_disk"}
        for name, settings in jobs.items()
    }
    train_together(SCRIPT, options)
    for name, settings in jobs.items():
        alone = train(make_job(described, settings, folder=f"alone {name}"))
        first, second = (np.load(tmp_path / f"{name}.{rank}.npz") for rank in (0, 1))
        assert first["processes"] == 2
        np.testing.assert_array_equal(first["curve"], second["curve"])
        assert "entity" not in second
        np.testing.assert_allclose(first["entity"], alone.tables.entity.numpy(), atol=1e-5)
        np.testing.assert_allclose(first["relation"], alone.tables.relation.numpy(), atol=1e-5)
        losses = [record["loss"] for record in alone.curve]
        assert first["curve"][:, 0].tolist() == pytest.approx(losses, abs=1e-5)
        assert len(first["written"])
        assert not len(second["written"])

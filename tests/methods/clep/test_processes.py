"""Two processes that train together see the negatives of the whole batch: the losses and vectors of one."""

from pathlib import Path

import numpy as np
import pytest

from kelbench.methods.clep import train

SCRIPT = Path(__file__).parent / "train_together.py"
TINY = {"kind": "tiny", "width": 16, "layers": 1, "heads": 2, "vocabulary": 60, "max_tokens": 12, "dropout": 0.1}


def test_the_gathered_loss_of_two_processes_is_that_of_one(closed, make_settings, make_job, tmp_path, train_together):
    # One validation, so that rounding errors do not decide which epoch is the best.
    once = {"early_stopping": {"every": 3, "patience": 1}}
    jobs = {
        "transformer": make_settings(encoder=TINY, texts_per_pass=3, gradient_norm=1.0, **once),
        "features": make_settings({"features": "text"}, encoder=TINY, texts_per_pass=3, loss="multihot", **once),
        "words": make_settings(loss="all", **once),
    }
    options = {name: settings.model_dump(mode="json") for name, settings in jobs.items()}
    train_together(SCRIPT, options)
    for name, settings in jobs.items():
        alone = train(make_job(closed, settings, folder=f"alone {name}"))
        first, second = (np.load(tmp_path / f"{name}.{rank}.npz") for rank in (0, 1))
        assert first["processes"] == 2
        np.testing.assert_array_equal(first["curve"], second["curve"])
        np.testing.assert_array_equal(first["weights"], second["weights"])
        assert "node" not in second
        losses = [record["loss"] for record in alone.curve]
        assert first["curve"][:, 0].tolist() == pytest.approx(losses, abs=1e-5)
        # What batch normalisation takes away again has gradients of rounding errors, which Adam makes steps of.
        np.testing.assert_allclose(first["node"], alone.tables.node.numpy(), atol=0.03)
        np.testing.assert_allclose(first["text"], alone.tables.text.numpy(), atol=0.03)

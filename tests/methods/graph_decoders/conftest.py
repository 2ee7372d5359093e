"""Settings that train on a small graph in a second."""

import hashlib

import pytest

from kelbench.config.graph_decoders import GraphDecoderSettings
from kelbench.training.job import TrainingJob

GRAPH = {"kind": "compgcn", "composition": "sub", "layers": 2, "width": 8, "features": "free"}
CONVOLUTION = {"kernel": 3, "filters": 5, "rows": 2, "columns": 4}


def settings(decoder="distmult", graph=None, **changes):
    """Settings with a decoder; `graph` and other keys replace what stands here."""
    values = {
        "graph": GRAPH | (graph or {}),
        "decoder": decoder,
        "mapping": True,
        "loss": "cross_entropy",
        "learning_rate": 0.01,
        "batch_size": 40,
        "epochs": 3,
        "early_stopping": {"every": 1, "patience": 9},
    }
    if decoder == "conve":
        values["convolution"] = CONVOLUTION
    return GraphDecoderSettings(**values | changes)


@pytest.fixture
def make_settings():
    """The function that makes settings, by their differences from the ones above."""
    return settings


@pytest.fixture
def make_job(tmp_path):
    """The function that makes a job in a folder of its own name."""

    def job(dataset, options, seed=1, folder="work", start=None):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        method = f"{'clep' if options.start else 'compgcn'}_{options.decoder}"
        return TrainingJob(dataset, method, options, seed, 1, place, started_from=start)

    return job


@pytest.fixture
def digest():
    """The function that digests the file of what was trained."""

    def of(job, trained):
        trained.tables.save(job.folder / "model.safetensors")
        return hashlib.sha256((job.folder / "model.safetensors").read_bytes()).hexdigest()

    return of

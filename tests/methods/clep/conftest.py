"""Settings that pre-train on a small graph in a second, and the graph with free vectors for all its nodes."""

import hashlib

import pytest

from kelbench.config.clep import ContrastiveSettings
from kelbench.training.job import TrainingJob

GRAPH = {"kind": "compgcn", "composition": "sub", "layers": 2, "width": 8, "features": "free"}


def settings(graph=None, **changes):
    """Settings with a bag of words; `graph` and other keys replace what stands here."""
    values = {
        "graph": GRAPH | (graph or {}),
        "encoder": {"kind": "bow", "width": 8, "max_tokens": 12},
        "frozen": False,
        "head": "linear",
        "width": 6,
        "target": "tail_description",
        "loss": "masked",
        "learning_rate": 0.01,
        "text_learning_rate": 0.01,
        "batch_size": 16,
        "epochs": 3,
        "early_stopping": {"every": 1, "patience": 9},
    }
    return ContrastiveSettings(**values | changes)


@pytest.fixture
def make_settings():
    """The function that makes settings, by their differences from the ones above."""
    return settings


@pytest.fixture
def make_job(tmp_path):
    """The function that makes a job in a folder of its own name."""

    def job(dataset, options, seed=1, folder="work"):
        return TrainingJob(dataset, "clep", options, seed, 1, tmp_path / folder)

    return job


@pytest.fixture
def digest():
    """The function that digests the file of what was trained."""

    def of(job, trained):
        trained.tables.save(job.folder / "model.safetensors")
        return hashlib.sha256((job.folder / "model.safetensors").read_bytes()).hexdigest()

    return of

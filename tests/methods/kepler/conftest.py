"""Settings that train on a small graph in a second."""

import hashlib

import pytest

from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.training.job import TrainingJob

ENCODERS = {
    "bow": {"kind": "bow", "width": 8, "max_tokens": 12},
    "cnn": {"kind": "cnn", "width": 8, "max_tokens": 12},
    "tiny": {"kind": "tiny", "width": 16, "layers": 1, "heads": 2, "vocabulary": 60, "max_tokens": 12},
}


def settings(encoder="bow", **changes):
    """Settings of KEPLER-KE with the paper's loss; `encoder` is bow, cnn, tiny or a dict."""
    values = {
        "encoder": ENCODERS[encoder] if isinstance(encoder, str) else encoder,
        "relation": "table",
        "score": "transe_l2",
        "loss": "kepler",
        "margin": 2.0,
        "negatives": {"mode": "uniform", "per_positive": 3},
        "learning_rate": 0.01,
        "relation_learning_rate": 0.02,
        "batch_size": 16,
        "epochs": 3,
        "early_stopping": {"every": 1, "patience": 9},
    }
    if changes.get("loss", "kepler") is None:
        values["negatives"] = None
    return TextKnowledgeEmbeddingSettings(**values | changes)


@pytest.fixture
def make_settings():
    """The function that makes settings, by their differences from KEPLER-KE's."""
    return settings


@pytest.fixture
def make_job(tmp_path):
    """The function that makes a job in a folder of its own name."""

    def job(dataset, options, seed=1, folder="work", method="kepler_ke"):
        return TrainingJob(dataset, method, options, seed, 1, tmp_path / folder)

    return job


@pytest.fixture
def digest():
    """The function that digests all that a job left: tables, encoder, relation vectors."""

    def of(job, trained):
        tables = getattr(trained.tables, "tables", trained.tables)
        parts = [tables.entity.numpy().tobytes(), tables.relation.numpy().tobytes()]
        parts += [path.read_bytes() for path in sorted((job.folder / "encoder").glob("*.safetensors"))]
        assert len(parts) == 4
        return hashlib.sha256(b"".join(parts)).hexdigest()

    return of

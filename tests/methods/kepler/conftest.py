"""A small graph whose entities and relations have texts, and settings that train on it in a second."""

import hashlib
import json

import numba
import numpy as np
import pytest
import torch

from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.training.job import TrainingJob


@pytest.fixture(autouse=True)
def one_thread():
    """Graphs this small are not worth a second one."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])


ENCODERS = {
    "bow": {"kind": "bow", "width": 8, "max_tokens": 12},
    "cnn": {"kind": "cnn", "width": 8, "max_tokens": 12},
    "tiny": {"kind": "tiny", "width": 16, "layers": 1, "heads": 2, "vocabulary": 60, "max_tokens": 12},
}


@pytest.fixture
def described(tmp_path, make_prepared):
    """20 entities of a training graph and 6 of an inference graph, in 3 relations, every one with a text.

    Entities 1 and 2 share a text, that of 3 is empty, and those of the inference graph have words of their own.
    """
    rng = np.random.default_rng(11)
    triples = np.unique(np.stack([rng.integers(n, size=200) for n in (20, 3, 20)], axis=1), axis=0)
    rng.shuffle(triples)
    splits = {"train": triples[:60], "valid": triples[60:75], "test": [[20, 0, 21], [22, 1, 23], [24, 2, 25]]}
    folder = make_prepared(tmp_path / "described", splits, 26, 3)
    vocabulary = ["red", "blue", "house", "sea", "car", "tall", "old", "river", "stone", "wind"]
    texts = [" ".join(rng.choice(vocabulary, size=int(rng.integers(1, 8)))) for _ in range(26)]
    texts[2], texts[3] = texts[1], ""
    texts[20:] = [f"{text} strange" for text in texts[20:]]
    rows = [f"{number}\te{number}\t{text}\n" for number, text in enumerate(texts)]
    (folder / "train/entities.tsv").write_text("".join(rows[:20]))
    (folder / "test/entities.tsv").write_text("".join(rows[20:]))
    (folder / "relations.tsv").write_text("0\tr0\tstands near the sea\n1\tr1\tis old\n2\tr2\tred wind\n")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["text_sources"] = ["description"]
    manifest["entity_spaces"] = {
        "train": {"start": 0, "stop": 20, "file": "train/entities.tsv"},
        "test": {"start": 20, "stop": 26, "file": "test/entities.tsv"},
    }
    filters = ["test/triples.npy", "test/known.npy"]
    manifest["splits"]["test"] = {
        "space": "test",
        "protocols": [{"candidates": "split", "spaces": ["test"], "filter": filters}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return PreparedDataset(folder)


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

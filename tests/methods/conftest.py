"""A small graph whose entities and relations have texts, and how training on it is run."""

import json
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch

from kelbench.base.files import sha256_file
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.text_encoder import make_encoder


@pytest.fixture(autouse=True)
def one_thread():
    """Graphs this small are not worth a second one."""
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])


@pytest.fixture
def train_together(tmp_path):
    """The function that trains jobs (name -> what the script reads of each) in two processes, by a script."""

    def run(script, jobs):
        (tmp_path / "jobs.json").write_text(json.dumps(jobs))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        finished = subprocess.run(
            [*command, str(script), str(tmp_path)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
            timeout=300,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr[-3000:]

    return run


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


@pytest.fixture
def closed(described):
    """The graph `described` without its inference graph: test triples are of entities that training knows."""
    manifest = json.loads((described.folder / "manifest.json").read_text())
    manifest["entity_spaces"].pop("test")
    filters = ["train/triples.npy", "valid/triples.npy", "test/triples.npy"]
    manifest["splits"]["test"] = {
        "space": "train",
        "protocols": [{"candidates": "all", "spaces": ["train"], "filter": filters}],
    }
    (described.folder / "manifest.json").write_text(json.dumps(manifest))
    np.save(described.folder / "test/triples.npy", np.array([[0, 0, 1], [4, 1, 5]], dtype=np.int32))
    return PreparedDataset(described.folder)


@pytest.fixture
def tiny_checkpoint(tmp_path):
    """Settings of a small pre-trained encoder in a folder of its own."""
    options = {"kind": "tiny", "width": 16, "layers": 1, "heads": 2, "vocabulary": 60, "max_tokens": 12}
    texts = ["red blue house sea car", "tall old river stone wind strange"]
    encoder = make_encoder(TextEncoderSettings(**options), texts, torch.Generator().manual_seed(5))
    encoder.save(tmp_path / "checkpoint")
    weights = sha256_file(tmp_path / "checkpoint/model.safetensors")
    return {"kind": f"hf:{tmp_path / 'checkpoint'}@{weights}", "max_tokens": 12, "pooling": "mean"}

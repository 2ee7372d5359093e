"""Prepared datasets small enough to train on in a second, written in the form of `kelbench.data.prepared`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kelbench.base.files import write_array, write_json
from kelbench.config.methods import EarlyStopping, NodePieceSettings, PykeenSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.training.job import TrainingJob

RELATIONS = 4


def write_dataset(
    folder: Path,
    spaces: dict[str, tuple[int, int]],
    split_spaces: dict[str, str],
    arrays: dict[str, np.ndarray],
    num_relations: int = RELATIONS,
) -> PreparedDataset:
    """Write triples, support and known arrays and a manifest; each split is ranked among the entities of its space."""
    for file, array in arrays.items():
        write_array(folder / file, array.astype(np.int32).reshape(-1, 3))
    splits: dict[str, Any] = {"train": {"space": "train"}}
    for split in ("valid", "test"):
        for part in ("support", "known"):
            if f"{split}/{part}.npy" not in arrays:
                write_array(folder / split / f"{part}.npy", np.zeros((0, 3), dtype=np.int32))
        filters = ["train/triples.npy"] if split_spaces[split] == "train" else [f"{split}/support.npy"]
        protocol = {
            "candidates": "all",
            "spaces": [split_spaces[split]],
            "filter": [*filters, f"{split}/triples.npy"],
        }
        splits[split] = {"space": split_spaces[split], "protocols": [protocol]}
    manifest = {
        "format": 1,
        "dataset": folder.name,
        "version": "made up",
        "num_relations": num_relations,
        "entity_spaces": {
            space: {"start": start, "stop": stop, "file": f"{space}/entities.tsv"}
            for space, (start, stop) in spaces.items()
        },
        "splits": splits,
    }
    write_json(folder / "manifest.json", manifest)
    return PreparedDataset(folder)


def ring_triples(start: int, stop: int, relations: int = RELATIONS) -> np.ndarray:
    """A graph with a pattern to learn: relation r leads r + 1 steps round a ring, for three entities of four."""
    size = stop - start
    head, relation = np.meshgrid(np.arange(size), np.arange(relations), indexing="ij")
    triples = np.stack((head, relation, (head + relation + 1) % size), axis=-1).reshape(-1, 3)
    triples = triples[(triples[:, 0] + triples[:, 1]) % 4 != 3]
    return triples + [start, 0, start]


@pytest.fixture
def transductive(tmp_path: Path) -> PreparedDataset:
    """Twenty entities; number 19 stands in no training triple, number 18 in a test triple only as well."""
    triples = ring_triples(0, 18)
    shuffled = triples[np.random.default_rng(5).permutation(len(triples))]
    unseen = np.array([[19, 0, 1], [2, 1, 19]])
    return write_dataset(
        tmp_path / "ring",
        {"train": (0, 20)},
        {"valid": "train", "test": "train"},
        {
            "train/triples.npy": shuffled[:40],
            "valid/triples.npy": np.concatenate((shuffled[40:47], unseen[:1])),
            "test/triples.npy": np.concatenate((shuffled[47:], unseen, [[18, 2, 3]])),
        },
    )


def _inductive(folder: Path, valid_space: str, layout_relations: int = RELATIONS) -> PreparedDataset:
    training, inference = ring_triples(0, 16), ring_triples(16, 28)
    order = np.random.default_rng(7).permutation(len(inference))
    support, rest = inference[order[:24]], inference[order[24:]]
    # Entity 28 has no support triple, and relation 4 no training triple.
    test = np.concatenate((rest[4:], [[28, 4, 17]]))
    arrays = {"train/triples.npy": training, "test/triples.npy": test, "test/support.npy": support}
    if valid_space == "train":
        arrays |= {"train/triples.npy": training[:-8], "valid/triples.npy": training[-8:]}
    else:
        arrays |= {"valid/triples.npy": rest[:4], "valid/support.npy": support}
    return write_dataset(
        folder,
        {"train": (0, 16), "test": (16, 29)},
        {"valid": valid_space, "test": "test"},
        arrays,
        layout_relations + 1,
    )


@pytest.fixture
def grail_like(tmp_path: Path) -> PreparedDataset:
    """An inference graph of its own; validation triples belong to the training graph."""
    return _inductive(tmp_path / "grail-like", "train")


@pytest.fixture
def ilpc_like(tmp_path: Path) -> PreparedDataset:
    """An inference graph of its own; validation triples belong to it."""
    return _inductive(tmp_path / "ilpc-like", "test")


BASELINE_DEFAULTS: dict[str, Any] = {
    "dimension": 8,
    "training": "slcwa",
    "negatives_per_positive": 3,
    "loss": "cross_entropy",
    "optimizer": "adam",
    "learning_rate": 0.05,
    "batch_size": 16,
    "epochs": 4,
    "early_stopping": EarlyStopping(every=2, patience=5),
}
NODEPIECE_DEFAULTS: dict[str, Any] = {
    "dimension": 8,
    "tokens": 3,
    "negatives_per_positive": 3,
    "loss": "margin",
    "margin": 2.0,
    "learning_rate": 0.01,
    "batch_size": 32,
    "epochs": 4,
    "early_stopping": EarlyStopping(every=2, patience=5),
}


@pytest.fixture
def baseline_job(tmp_path: Path) -> Callable[..., TrainingJob]:
    """A job of one of the five baselines; keywords replace settings."""

    def make(dataset: PreparedDataset, method: str, seed: int = 1, **changes: Any) -> TrainingJob:
        values = BASELINE_DEFAULTS | ({"distance": "l1"} if method == "transe" else {}) | changes
        if values["training"] == "lcwa":
            values = values | {"negatives_per_positive": None}
        return TrainingJob(dataset, method, PykeenSettings(**values), seed, 1, tmp_path)

    return make


@pytest.fixture
def nodepiece_job(tmp_path: Path) -> Callable[..., TrainingJob]:
    """A NodePiece job; keywords replace settings."""

    def make(dataset: PreparedDataset, seed: int = 1, **changes: Any) -> TrainingJob:
        return TrainingJob(dataset, "nodepiece", NodePieceSettings(**NODEPIECE_DEFAULTS | changes), seed, 1, tmp_path)

    return make

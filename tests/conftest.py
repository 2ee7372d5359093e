"""Fixtures shared by all tests: small graphs made by hand or read from the packages that carry them."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def run_from_the_repository(tmp_path_factory):
    """Registry paths are relative to the repository; tests must not depend on where pytest was started."""
    patch = pytest.MonkeyPatch()
    patch.chdir(REPOSITORY)
    patch.setenv("KELBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """A command starts logging to a standard error that pytest closes behind the test."""
    logger = logging.getLogger("kelbench")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before[0], before[1], before[2]


def write_prepared(folder, splits, num_entities, num_relations, entity_label="e{}", relation_label="r{}"):
    """A transductive dataset from arrays, in the layout that prepare writes."""
    for split, triples in splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        np.save(folder / split / "triples.npy", np.asarray(triples, dtype=np.int32))
        if split != "train":
            np.save(folder / split / "support.npy", np.zeros((0, 3), dtype=np.int32))
            np.save(folder / split / "known.npy", np.zeros((0, 3), dtype=np.int32))
    entities = "".join(f"{i}\t{entity_label.format(i)}\t\n" for i in range(num_entities))
    (folder / "train" / "entities.tsv").write_text(entities)
    relations = "".join(f"{i}\t{relation_label.format(i)}\t\n" for i in range(num_relations))
    (folder / "relations.tsv").write_text(relations)

    def protocols(*filter_splits):
        return [{"candidates": "all", "spaces": ["train"], "filter": [f"{s}/triples.npy" for s in filter_splits]}]

    manifest = {
        "format": 1,
        "dataset": folder.name,
        "version": "made up",
        "num_relations": num_relations,
        "entity_spaces": {"train": {"start": 0, "stop": num_entities, "file": "train/entities.tsv"}},
        "splits": {
            "train": {"space": "train"},
            "valid": {"space": "train", "protocols": protocols("train", "valid")},
            "test": {"space": "train", "protocols": protocols("train", "valid", "test")},
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def make_prepared():
    """The function that writes a transductive dataset from arrays."""
    return write_prepared


@pytest.fixture
def small_graph(tmp_path):
    """A random graph of 24 entities and 3 relations; one entity occurs in test alone, one in valid alone."""
    rng = np.random.default_rng(7)
    triples = np.unique(
        np.stack([rng.integers(22, size=300), rng.integers(3, size=300), rng.integers(22, size=300)], axis=1), axis=0
    )
    rng.shuffle(triples)
    splits = {
        "train": triples[:180],
        "valid": np.concatenate([triples[180:210], [[22, 0, 1]]]),
        "test": np.concatenate([triples[210:240], [[2, 1, 23]]]),
    }
    return write_prepared(tmp_path / "small", splits, num_entities=24, num_relations=3)


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory):
    """Folder with nations, kinships and umls-ind, prepared from the files that the pykeen package carries."""
    from kelbench.config.datasets import load_dataset
    from kelbench.data.fetch import fetch_dataset
    from kelbench.data.prepare import prepare_dataset

    folder = tmp_path_factory.mktemp("prepared")
    for name in ("nations", "kinships", "umls", "umls-ind"):
        fetch_dataset(load_dataset(name), folder / f"{name}.json")
        prepare_dataset(load_dataset(name), folder / name)
    return folder


@pytest.fixture
def workspace(tmp_path, monkeypatch, prepared_folder):
    """An empty working directory with the registry and prepared datasets, for commands run by hand."""
    for name in ("config",):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "prepared").symlink_to(prepared_folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path

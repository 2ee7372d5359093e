"""Embedding tables survive the disk bit by bit, and a file that is something else is refused."""

import pytest
import torch

from kelbench.base.errors import UserError
from kelbench.encoders.load import load_model
from kelbench.encoders.tables import EmbeddingTables
from kelbench.scoring import COMPLEX


def example():
    return EmbeddingTables(COMPLEX, "dot", torch.randn(4, 6), torch.randn(4, 6), reciprocal=True)


def test_round_trip(tmp_path):
    tables = example()
    tables.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", dataset=None)
    assert torch.equal(loaded.entity, tables.entity)
    assert torch.equal(loaded.relation, tables.relation)
    assert (loaded.score_function, loaded.similarity, loaded.reciprocal) == (COMPLEX, "dot", True)


def test_equal_tables_give_equal_bytes(tmp_path):
    tables = example()
    for name in ("a", "b"):
        tables.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="train the run first"):
        load_model(tmp_path / "model.safetensors", dataset=None)
    (tmp_path / "model.safetensors").write_bytes(b"not a model at all")
    with pytest.raises(UserError, match="expected a model written by kelbench"):
        load_model(tmp_path / "model.safetensors", dataset=None)

"""Sparse tables on disk."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from kelbench.base.errors import UserError
from kelbench.encoders.load import load_model
from kelbench.encoders.sparse import SparseTables


@pytest.fixture
def tables():
    entity = csr_array(np.array([[0, 1, 0], [2, 0, 0]], dtype=np.float32))
    candidate = csr_array(np.array([[0, 1, 1], [2, 0, 3]], dtype=np.float32))
    return SparseTables(entity, csr_array((1, 3), dtype=np.float32), candidate)


def test_what_is_saved_is_loaded_and_equal_tables_give_equal_bytes(tables, tmp_path):
    tables.save(tmp_path / "a.safetensors")
    tables.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_model(tmp_path / "a.safetensors", dataset=None)
    assert isinstance(loaded, SparseTables)
    for name in ("entity", "relation", "candidate"):
        np.testing.assert_array_equal(getattr(loaded, name).toarray(), getattr(tables, name).toarray())
    assert (loaded.num_entities, loaded.num_relations) == (2, 1)


def test_equal_tables_of_queries_and_candidates_are_stored_once(tables, tmp_path):
    tables.candidate = tables.entity
    tables.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", dataset=None)
    assert loaded.entity is loaded.candidate


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected a trained model here, found none"):
        load_model(tmp_path / "none.safetensors", dataset=None)
    (tmp_path / "other.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="expected a model written by kelbench"):
        load_model(tmp_path / "other.safetensors", dataset=None)

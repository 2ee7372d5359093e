"""A trained model from its file, whichever kind of tables it holds."""

from __future__ import annotations

from pathlib import Path

from kelbench.encoders.sparse import SparseTables, is_sparse
from kelbench.encoders.tables import EmbeddingTables


def load_model(path: Path) -> EmbeddingTables | SparseTables:
    """Read `model.safetensors`.

    Raises:
        UserError: the file is missing, or kelbench did not write it.
    """
    return SparseTables.load(path) if is_sparse(path) else EmbeddingTables.load(path)

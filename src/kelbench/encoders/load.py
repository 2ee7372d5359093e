"""A trained model from its file, whichever kind of vectors it has."""

from __future__ import annotations

from pathlib import Path

from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import AlignedTables
from kelbench.encoders.conditioned import ConditionedTables
from kelbench.encoders.decoded import DecodedTables
from kelbench.encoders.model_file import read_model_file
from kelbench.encoders.sparse import SparseTables
from kelbench.encoders.tables import EmbeddingTables

Model = EmbeddingTables | SparseTables | ConditionedTables | AlignedTables | DecodedTables


def load_model(path: Path, dataset: PreparedDataset) -> Model:
    """Read `model.safetensors`, and the encoder beside it where queries are encoded when they are asked.

    Args:
        path: the file.
        dataset: that of the run; texts of queries are read from it.

    Raises:
        UserError: the file is missing, or kelbench did not write it.
    """
    description, tensors = read_model_file(path)
    if "sparse" in description:
        return SparseTables.restored(path, description, tensors)
    if "aligned" in description:
        return AlignedTables.restored(path, description, tensors)
    if "decoded" in description:
        return DecodedTables.restored(path, description, tensors)
    tables = EmbeddingTables.restored(path, description, tensors)
    if "conditioned" in description:
        return ConditionedTables.restored(path, tables, description["conditioned"], dataset)
    return tables

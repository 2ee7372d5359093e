"""Write a model's embeddings for use elsewhere: arrays as safetensors, the same with labels as TSV."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.files import write_text
from kelbench.config.experiment import Run
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.conditioned import ConditionedTables
from kelbench.encoders.load import load_model
from kelbench.encoders.tables import EmbeddingTables


def export_embeddings(run: Run, seed: int | None, prepared: Path, results: Path, out: Path) -> list[Path]:
    """Write `model.safetensors`, `entities.tsv` and `relations.tsv` into `out`; a TSV line is a label and its numbers.

    Returns:
        the three paths.

    Raises:
        UserError: the seed or the model is unknown, or its vectors are sparse.
    """
    dataset = PreparedDataset(prepared / run.dataset)
    tables = load_model(run.seed_folder(results, run.chosen_seed(seed)) / "model.safetensors", dataset)
    if isinstance(tables, ConditionedTables):
        tables = tables.tables
    if not isinstance(tables, EmbeddingTables):
        raise UserError(f"{run.name} has sparse vectors over words or entities, which export cannot write as tables")
    relations = dataset.relation_labels()
    if tables.reciprocal:
        relations = [*relations, *(f"inverse of {label}" for label in relations)]
    paths = [out / "model.safetensors", out / "entities.tsv", out / "relations.tsv"]
    tables.save(paths[0])
    write_text(paths[1], _lines(dataset.entity_labels(), tables.entity))
    write_text(paths[2], _lines(relations, tables.relation))
    return paths


def _lines(labels: list[str], vectors: Tensor) -> str:
    buffer = io.StringIO()
    np.savetxt(buffer, vectors.numpy(), fmt="%.9g", delimiter="\t")
    numbers = buffer.getvalue().splitlines()
    return "".join(f"{label}\t{row}\n" for label, row in zip(labels, numbers, strict=True))

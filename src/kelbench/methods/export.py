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
from kelbench.encoders.aligned import AlignedTables
from kelbench.encoders.conditioned import ConditionedTables
from kelbench.encoders.decoded import DecodedTables
from kelbench.encoders.load import load_model
from kelbench.encoders.sparse import SparseTables


def export_embeddings(run: Run, seed: int | None, prepared: Path, results: Path, out: Path) -> list[Path]:
    """Write `model.safetensors`, `entities.tsv` and `relations.tsv` into `out`; a TSV line is a label and its numbers.

    Of a graph encoder these are its vectors; of CLEP's, `descriptions.tsv` has those of the entities' texts in the
    shared space.

    Returns:
        the paths.

    Raises:
        UserError: the seed or the model is unknown, or its vectors are sparse.
    """
    dataset = PreparedDataset(prepared / run.dataset)
    tables = load_model(run.seed_folder(results, run.chosen_seed(seed)) / "model.safetensors", dataset)
    if isinstance(tables, ConditionedTables):
        tables = tables.tables
    if isinstance(tables, SparseTables):
        raise UserError(f"{run.name} has sparse vectors over words or entities, which export cannot write as tables")
    relations, entities = dataset.relation_labels(), dataset.entity_labels()
    nodes = tables.node if isinstance(tables, AlignedTables | DecodedTables) else tables.entity
    if isinstance(tables, AlignedTables | DecodedTables) or tables.reciprocal:
        relations = [*relations, *(f"inverse of {label}" for label in relations)]
    parts = {"entities": (entities, nodes), "relations": (relations, tables.relation)}
    if isinstance(tables, AlignedTables):
        parts["descriptions"] = (entities, tables.text[tables.text_of_entity])
    paths = [out / "model.safetensors", *(out / f"{name}.tsv" for name in parts)]
    tables.save(paths[0])
    for path, (labels, vectors) in zip(paths[1:], parts.values(), strict=True):
        write_text(path, _lines(labels, vectors))
    return paths


def _lines(labels: list[str], vectors: Tensor) -> str:
    buffer = io.StringIO()
    np.savetxt(buffer, vectors.numpy(), fmt="%.9g", delimiter="\t")
    numbers = buffer.getvalue().splitlines()
    return "".join(f"{label}\t{row}\n" for label, row in zip(labels, numbers, strict=True))

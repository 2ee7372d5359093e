"""Sparse tables: vectors over words, or over entities, of which nearly all numbers are 0."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from kelbench.encoders.model_file import understood, write_model_file
from kelbench.ranking.known_answers import Side


@dataclass
class SparseTables:
    """A link predictor whose query is the known entity's row plus the relation's; the score is the dot product.

    Attributes:
        entity: rows of the known ends, float32 `(entities, width)`.
        relation: float32 `(relations, width)`.
        candidate: rows of the answers, float32 `(entities, width)`; the same object as `entity` where they are equal.
    """

    entity: csr_array
    relation: csr_array
    candidate: csr_array

    @property
    def num_entities(self) -> int:
        """Rows of the entity table."""
        return int(self.entity.shape[0])

    @property
    def num_relations(self) -> int:
        """Rows of the relation table."""
        return int(self.relation.shape[0])

    def sparse_queries(self, side: Side, entities: np.ndarray, relations: np.ndarray) -> csr_array:
        """Queries float64 `(n, width)` of (h, r, ?) or (?, r, t): the same from either side."""
        rows: csr_array = (self.entity[entities].astype(np.float64) + self.relation[relations]).tocsr()
        rows.sort_indices()
        return rows

    def sparse_candidates(self, entities: np.ndarray) -> csr_array:
        """Candidate rows float64 `(n, width)`."""
        return self.candidate[entities].astype(np.float64)

    def save(self, path: Path) -> None:
        """Write the tables as one safetensors file; equal tables give equal bytes."""
        tables = {"relation": self.relation, "candidate": self.candidate}
        if self.entity is not self.candidate:
            tables["entity"] = self.entity
        tensors = {}
        for name, table in tables.items():
            table.sort_indices()
            parts = {"data": np.float32, "indices": np.int32, "indptr": np.int64}
            for part, dtype in parts.items():
                tensors[f"{name}.{part}"] = torch.from_numpy(getattr(table, part).astype(dtype))
        write_model_file(path, tensors, {"sparse": {name: list(table.shape) for name, table in tables.items()}})

    @classmethod
    def restored(cls, path: Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> SparseTables:
        """The tables of a file that has been read.

        Raises:
            UserError: it holds something else.
        """
        with understood(path):
            tables = {
                name: csr_array(
                    tuple(tensors[f"{name}.{part}"].numpy() for part in ("data", "indices", "indptr")),
                    shape=tuple(shape),
                )
                for name, shape in description["sparse"].items()
            }
            return cls(tables.get("entity", tables["candidate"]), tables["relation"], tables["candidate"])

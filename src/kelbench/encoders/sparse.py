"""Sparse tables: vectors over words, or over entities, of which nearly all numbers are 0."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy.sparse import csr_array

from kelbench.base.errors import UserError
from kelbench.base.files import canonical_json, write_bytes

Side = Literal["head", "tail"]


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
            tensors[f"{name}.data"] = table.data.astype(np.float32)
            tensors[f"{name}.indices"] = table.indices.astype(np.int32)
            tensors[f"{name}.indptr"] = table.indptr.astype(np.int64)
        description = {"sparse": {name: list(table.shape) for name, table in tables.items()}}
        write_bytes(path, save(tensors, metadata={"kelbench": canonical_json(description)}))

    @classmethod
    def load(cls, path: Path) -> SparseTables:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing, or is not such a file.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                shapes = json.loads((file.metadata() or {})["kelbench"])["sparse"]
                tables = {
                    name: csr_array(
                        tuple(file.get_tensor(f"{name}.{part}") for part in ("data", "indices", "indptr")),
                        shape=tuple(shape),
                    )
                    for name, shape in shapes.items()
                }
            return cls(tables.get("entity", tables["candidate"]), tables["relation"], tables["candidate"])
        except FileNotFoundError:
            raise UserError(f"{path}: expected a trained model here, found none; train the run first") from None
        except (SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{path}: expected a model written by kelbench, found something else ({error})") from None


def is_sparse(path: Path) -> bool:
    """Whether a model file holds sparse tables; False for one that cannot be read, which its loader will say."""
    try:
        with safe_open(path, framework="numpy") as file:
            return "sparse" in json.loads((file.metadata() or {}).get("kelbench", "{}"))
    except (FileNotFoundError, SafetensorError, ValueError):
        return False

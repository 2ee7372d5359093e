"""Embedding tables: the encoder that looks a vector up. The file format of every graph-only link predictor."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.files import canonical_json, write_bytes
from kelbench.scoring import SCORE_FUNCTIONS, SIMILARITIES, ScoreFunction, Similarity

Side = Literal["head", "tail"]


@dataclass
class EmbeddingTables:
    """A link predictor made of an entity table and a relation table.

    Attributes:
        score_function: how rows become queries and candidates.
        similarity: what compares them.
        entity: `(entities, width)`; rows by the dataset's entity ids.
        relation: `(relations, width)`, or twice as many rows with `reciprocal`: those of the inverses follow.
        reciprocal: whether (?, r, t) is asked as (t, r + relations, ?).
    """

    score_function: ScoreFunction
    similarity: Similarity
    entity: Tensor
    relation: Tensor
    reciprocal: bool

    @property
    def num_entities(self) -> int:
        """Rows of the entity table."""
        return self.entity.shape[0]

    @property
    def num_relations(self) -> int:
        """Relations, inverses not counted."""
        return self.relation.shape[0] // (2 if self.reciprocal else 1)

    def queries(self, side: Side, entities: Tensor, relations: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Query vectors `(n, width)` that ask for the `side` of triples whose other end is `entities`.

        Args:
            side: which end is asked for.
            entities: ids `(n,)` of the given ends.
            relations: ids `(n,)`, below `num_relations`.
            dtype: what to compute in; that of the tables unless given.
        """
        rows = self.entity[entities].to(dtype)
        inverse = side == "head" and self.reciprocal
        relation_rows = self.relation[relations + self.num_relations if inverse else relations].to(dtype)
        if side == "tail" or inverse:
            return self.score_function.tail_query(rows, relation_rows)
        return self.score_function.head_query(relation_rows, rows)

    def candidates(self, entities: Tensor) -> Tensor:
        """Candidate rows `(n, width)` of the given entities; consecutive ids are not copied where the row is theirs."""
        first, last = int(entities[0]) if len(entities) else 0, int(entities[-1]) if len(entities) else -1
        if last - first == len(entities) - 1 and bool((entities[1:] - entities[:-1] == 1).all()):
            return self.score_function.candidate(self.entity[first : last + 1])
        return self.score_function.candidate(self.entity[entities])

    def to(self, device: str) -> EmbeddingTables:
        """The same tables on a device."""
        return replace(self, entity=self.entity.to(device), relation=self.relation.to(device))

    def save(self, path: Path) -> None:
        """Write the tables and what they mean as one safetensors file; equal tables give equal bytes."""
        description = {
            "score_function": self.score_function.name,
            "similarity": self.similarity,
            "reciprocal": self.reciprocal,
        }
        tensors = {
            "entity": self.entity.detach().cpu().contiguous(),
            "relation": self.relation.detach().cpu().contiguous(),
        }
        # One metadata key: safetensors writes several in no fixed order.
        write_bytes(path, save(tensors, metadata={"kelbench": canonical_json(description)}))

    @classmethod
    def load(cls, path: Path) -> EmbeddingTables:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing, or is not such a file.
        """
        try:
            with safe_open(path, framework="pt") as file:
                description = json.loads((file.metadata() or {})["kelbench"])
                entity, relation = file.get_tensor("entity"), file.get_tensor("relation")
            function = SCORE_FUNCTIONS[description["score_function"]]
            similarity = description["similarity"]
            reciprocal = bool(description["reciprocal"])
        except FileNotFoundError:
            raise UserError(f"{path}: expected a trained model here, found none; train the run first") from None
        except (SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{path}: expected a model written by kelbench, found something else ({error})") from None
        if similarity not in SIMILARITIES:
            raise UserError(f"{path}: unknown similarity {similarity!r}")
        return cls(function, similarity, entity, relation, reciprocal)

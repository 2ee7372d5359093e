"""Embedding tables: the encoder that looks a vector up. The file format of every graph-only link predictor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kelbench.encoders.model_file import understood, write_model_file
from kelbench.ranking.known_answers import Side
from kelbench.scoring import SCORE_FUNCTIONS, SIMILARITIES, ScoreFunction, Similarity


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

    def save(self, path: Path, **notes: Any) -> None:
        """Write the tables and what they mean; `notes` join the description."""
        description = {
            "score_function": self.score_function.name,
            "similarity": self.similarity,
            "reciprocal": self.reciprocal,
        }
        tensors = {
            "entity": self.entity.detach().cpu().contiguous(),
            "relation": self.relation.detach().cpu().contiguous(),
        }
        write_model_file(path, tensors, description | notes)

    @classmethod
    def restored(cls, path: Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> EmbeddingTables:
        """The tables of a file that has been read.

        Raises:
            UserError: it holds something else.
        """
        with understood(path):
            function = SCORE_FUNCTIONS[description["score_function"]]
            similarity = description["similarity"]
            if similarity not in SIMILARITIES:
                raise ValueError(f"unknown similarity {similarity!r}")
            return cls(function, similarity, tensors["entity"], tensors["relation"], bool(description["reciprocal"]))

"""The tables of a knowledge embedding, how they start, and one step of learning."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods.ke.one_vs_all import OneVsAll
from kelbench.methods.ke.sampled import Sampled
from kelbench.scoring import SCORE_FUNCTIONS
from kelbench.training.optimizers import row_optimizer
from kelbench.training.randomness import generator


def initial_tables(
    method: str, settings: KnowledgeEmbeddingSettings, num_entities: int, num_relations: int, seed: int
) -> EmbeddingTables:
    """Normal vectors of the configured scale; RotatE's phases are uniform (Sun et al. 2019, Section 4.1)."""
    function = SCORE_FUNCTIONS[method]
    rows = num_relations * (2 if settings.reciprocal else 1)
    entity = torch.randn(num_entities, settings.dimension, generator=generator(seed, "entity table"))
    shape = (rows, function.relation_width(settings.dimension))
    if method == "rotate":
        relation = (torch.rand(shape, generator=generator(seed, "relation table")) * 2 - 1) * math.pi
    else:
        relation = torch.randn(shape, generator=generator(seed, "relation table")) * settings.initial_scale
    similarity = settings.distance or function.similarity
    return EmbeddingTables(function, similarity, entity.mul_(settings.initial_scale), relation, settings.reciprocal)


class KnowledgeEmbedding:
    """The tables, their optimizers and one step of learning, on the device where the tables lie."""

    def __init__(self, tables: EmbeddingTables, settings: KnowledgeEmbeddingSettings, seed: int) -> None:
        self.tables = tables
        self._optimizers = {
            "entity": row_optimizer(settings.optimizer, tables.entity, settings.learning_rate),
            "relation": row_optimizer(settings.optimizer, tables.relation, settings.learning_rate),
        }
        way = OneVsAll if settings.training == "1vsall" else Sampled
        self._way: OneVsAll | Sampled = way(tables, settings, seed)

    def weights(self) -> dict[str, Tensor]:
        """The two tables."""
        return {"entity": self.tables.entity, "relation": self.tables.relation}

    def optimizer_state(self) -> dict[str, Tensor]:
        """What the optimizers remember of each table."""
        return {
            f"{table}.{name}": tensor
            for table, optimizer in self._optimizers.items()
            for name, tensor in optimizer.state.items()
        }

    def batches(self, triples: np.ndarray, epoch: int) -> Iterator[Any]:
        """The batches of one epoch over triples int `(n, 3)`; their `len` is how many triples each stands for."""
        return self._way.batches(triples, epoch)

    def step(self, batch: Any, epoch: int, step: int) -> Tensor:
        """Learn from one batch: gradients and updates for the rows that it uses, and no others. Returns its loss."""
        loss, gradients = self._way.gradients(batch, epoch, step)
        for table, (rows, gradient) in gradients.items():
            self._optimizers[table].step(rows, gradient)
        return loss

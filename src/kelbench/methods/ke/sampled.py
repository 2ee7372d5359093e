"""Negative sampling: each positive against drawn entities, its own or those of the whole batch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.encoders.tables import EmbeddingTables
from kelbench.kernels.rows import group_by_entity
from kelbench.ranking.known_answers import Side
from kelbench.scoring import (
    ScoreFunction,
    Similarity,
    similarity_matrix,
    similarity_of_drawn,
    similarity_of_pairs,
)
from kelbench.training.losses import cross_entropy_loss, margin_loss, self_adversarial_loss
from kelbench.training.negatives import draw_negatives, draw_shared_negatives
from kelbench.training.randomness import counter_generator
from kelbench.training.regularizers import cubic_penalty

SIDES: tuple[Side, ...] = ("tail", "head")
Gradients = dict[str, tuple[Tensor, Tensor]]


class Sampled:
    """Batches, loss and gradients of negative sampling."""

    def __init__(self, tables: EmbeddingTables, settings: KnowledgeEmbeddingSettings, seed: int) -> None:
        if settings.negatives is None:
            raise ValueError("negative sampling needs the key negatives")
        self.tables, self.settings, self.negatives, self.seed = tables, settings, settings.negatives, seed

    def batches(self, triples: np.ndarray, epoch: int) -> Iterator[Tensor]:
        """The triples int `(n, 3)` in a new order, int64 `(batch, 3)` at a time."""
        order = counter_generator(self.seed, "order", epoch).permutation(len(triples))
        for begin in range(0, len(order), self.settings.batch_size):
            yield torch.from_numpy(triples[order[begin : begin + self.settings.batch_size]].astype(np.int64))

    def gradients(self, batch: Tensor, epoch: int, step: int) -> tuple[Tensor, Gradients]:
        """The loss of triples int64 `(batch, 3)`, and for each table the rows used, none twice, and their gradients.

        Ids are worked out on the host and sent to where the tables lie, so that a step never waits for a device.
        """
        drawn = self.draw(batch, epoch, step)
        used, local, drawn = _local_ids(batch, drawn, self.tables.num_entities)
        relations, relation_of = torch.unique(batch[:, 1], return_inverse=True)
        local[:, 1] = relation_of
        if self.tables.reciprocal:
            relations = torch.cat((relations, relations + self.tables.num_relations))
        device = self.tables.entity.device
        used, relations, local = (ids.to(device, non_blocking=True) for ids in (used, relations, local))
        negatives = {side: ids.to(device, non_blocking=True) for side, ids in drawn.items()}
        entity_rows = self.tables.entity[used].requires_grad_()
        relation_rows = self.tables.relation[relations].requires_grad_()
        loss = sampled_loss(self.tables, entity_rows, relation_rows, local, negatives, self.settings)
        entity_gradient, relation_gradient = torch.autograd.grad(loss, (entity_rows, relation_rows))
        return loss.detach(), {"entity": (used, entity_gradient), "relation": (relations, relation_gradient)}

    def draw(self, batch: Tensor, epoch: int, step: int) -> dict[Side, Tensor]:
        """Negatives of each side: int64 `(batch, k)`, or `(k,)` where shared."""
        count, entities = self.negatives.per_positive, self.tables.num_entities
        drawn: dict[Side, Tensor] = {}
        for side in SIDES:
            source = counter_generator(self.seed, f"negative {side}s", epoch, step)
            if self.negatives.shared:
                drawn[side] = draw_shared_negatives(count, entities, source)
            else:
                drawn[side] = draw_negatives(batch[:, 2 if side == "tail" else 0], count, entities, source)
        return drawn


def _local_ids(
    batch: Tensor, negatives: dict[Side, Tensor], num_entities: int
) -> tuple[Tensor, Tensor, dict[Side, Tensor]]:
    """The entities of a batch, each once, and the batch and its negatives in terms of positions among them."""
    parts = [batch[:, 0], batch[:, 2], *(negatives[side].reshape(-1) for side in SIDES)]
    ids = torch.cat(parts).numpy()
    used, positions = (torch.from_numpy(array) for array in group_by_entity(ids, num_entities)[:2])
    head, tail, *drawn = positions.split([len(part) for part in parts])
    local = torch.stack((head, batch[:, 1], tail), dim=1)
    return used, local, {side: ids.reshape(negatives[side].shape) for side, ids in zip(SIDES, drawn, strict=True)}


def sampled_loss(
    tables: EmbeddingTables,
    entity: Tensor,
    relation: Tensor,
    batch: Tensor,
    negatives: dict[Side, Tensor],
    settings: KnowledgeEmbeddingSettings,
) -> Tensor:
    """The loss of a batch: the mean of its two sides, and the penalty.

    Args:
        tables: says how rows become scores; its own rows are not read.
        entity: `(u, width)`, rows that the entity ids below name.
        relation: `(v, width)`, rows that the relation ids name; with reciprocal relations the inverses are its second
            half.
        batch: int64 `(batch, 3)`.
        negatives: for each side int64 `(batch, k)`, or `(k,)` where shared.
        settings: the loss and its constants.
    """
    function, similarity = tables.score_function, tables.similarity
    heads, tails, relations = entity[batch[:, 0]], entity[batch[:, 2]], relation[batch[:, 1]]
    inverses = relation[batch[:, 1] + len(relation) // 2] if tables.reciprocal else None
    tail_queries = function.tail_query(heads, relations)
    head_queries = function.head_query(relations, tails) if inverses is None else function.tail_query(tails, inverses)
    candidates = function.candidate(entity)
    loss = (
        _side_loss(function, similarity, tail_queries, tails, batch[:, 2], candidates, negatives["tail"], settings)
        + _side_loss(function, similarity, head_queries, heads, batch[:, 0], candidates, negatives["head"], settings)
    ) / 2
    if settings.regularizer is None or settings.regularizer.weight == 0:
        return loss
    is_complex = function.name in ("complex", "rotate")
    weights = heads.new_full((len(batch),), 1 / len(batch))
    factors = [(heads, is_complex, weights), (tails, is_complex, weights)]
    if function.name != "rotate":  # its relations have modulus 1 by construction
        directions = [relations] if inverses is None else [relations, inverses]
        factors += [(direction, is_complex, weights / len(directions)) for direction in directions]
    return loss + settings.regularizer.weight * cubic_penalty(settings.regularizer.kind, factors)


def _side_loss(
    function: ScoreFunction,
    similarity: Similarity,
    queries: Tensor,
    answer_rows: Tensor,
    answers: Tensor,
    candidates: Tensor,
    drawn: Tensor,
    settings: KnowledgeEmbeddingSettings,
) -> Tensor:
    positive = similarity_of_pairs(similarity, queries, function.candidate(answer_rows))
    if drawn.dim() == 1:
        negative = similarity_matrix(similarity, queries, candidates[drawn])
        negative = negative.masked_fill(drawn[None, :] == answers[:, None], -math.inf)
    else:
        negative = similarity_of_drawn(similarity, queries, candidates, drawn)
    match settings.loss:
        case "cross_entropy":
            return cross_entropy_loss(positive, negative)
        case "margin":
            return margin_loss(positive, negative, settings.margin or 0.0)
        case "self_adversarial":
            return self_adversarial_loss(
                positive, negative, settings.margin or 0.0, settings.adversarial_temperature or 0.0
            )

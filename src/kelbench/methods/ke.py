"""TransE, DistMult, ComplEx, RotatE and SimplE, trained by kelbench's own engine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from kelbench.base.code_digest import code_digest
from kelbench.base.files import digest_of, sha256_file
from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.encoders.tables import EmbeddingTables, Side
from kelbench.scoring import SCORE_FUNCTIONS, ScoreFunction, Similarity, similarity_matrix, similarity_of_pairs
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob
from kelbench.training.loop import Schedule, run_epochs
from kelbench.training.losses import (
    cross_entropy_loss,
    cross_entropy_over_all,
    margin_loss,
    self_adversarial_loss,
)
from kelbench.training.negatives import draw_negatives, draw_shared_negatives
from kelbench.training.optimizers import row_optimizer
from kelbench.training.randomness import generator
from kelbench.training.regularizers import cubic_penalty

SIDES: tuple[Side, ...] = ("tail", "head")


def train(job: TrainingJob) -> TrainedModel:
    """Train one knowledge embedding.

    Raises:
        UserError: training diverged.
    """
    settings = job.settings
    if not isinstance(settings, KnowledgeEmbeddingSettings):
        raise TypeError(f"expected KnowledgeEmbeddingSettings, got {type(settings).__name__}")
    start, stop = job.dataset.spaces["train"]
    tables = initial_tables(job.method, settings, stop - start, job.dataset.num_relations, job.seed)
    trainable = KnowledgeEmbedding(tables, settings, job.seed)
    ranker = validation_ranker(job.dataset)
    course = run_epochs(
        trainable,
        job.dataset.triples("train"),
        Schedule(job.seed, settings.batch_size, settings.epochs, settings.early_stopping, settings.max_minutes),
        validate=lambda: ranker.mrr(tables),
        checkpoint=job.folder / "checkpoint.pt",
        key=_job_key(job),
    )
    best = replace(tables, entity=course.best_weights["entity"], relation=course.best_weights["relation"])
    facts = {
        "best_epoch": course.best_epoch,
        "best_validation_mrr": course.best_mrr,
        "computes": None,
        "converged": course.converged,
        "ended_by": course.ended_by,
        "epochs": course.epoch,
        "parameters": best.entity.numel() + best.relation.numel(),
    }
    return TrainedModel(best, course.curve, course.timing, facts)


def _job_key(job: TrainingJob) -> str:
    """Identifies a job for its checkpoint: settings, seed, and the digests of the code and of what is learned from."""
    files = ("train/triples.npy", "valid/triples.npy")
    return digest_of(
        {
            "method": job.method,
            "settings": job.settings.model_dump(mode="json"),
            "seed": job.seed,
            "threads": job.threads,
            "torch": torch.__version__,
            "code": code_digest(__name__),
            "data": [sha256_file(job.dataset.folder / file) for file in files],
        }
    )


def similarity_of(function: ScoreFunction, settings: KnowledgeEmbeddingSettings) -> Similarity:
    """The similarity that the settings choose: TransE's norm, or the score function's own."""
    return settings.distance or function.similarity


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
    similarity = similarity_of(function, settings)
    return EmbeddingTables(function, similarity, entity * settings.initial_scale, relation, settings.reciprocal)


class KnowledgeEmbedding:
    """The tables, their optimizers and one step of learning."""

    def __init__(self, tables: EmbeddingTables, settings: KnowledgeEmbeddingSettings, seed: int) -> None:
        self.tables, self.settings, self.seed = tables, settings, seed
        self._optimizers = {
            "entity": row_optimizer(settings.optimizer, tables.entity, settings.learning_rate),
            "relation": row_optimizer(settings.optimizer, tables.relation, settings.learning_rate),
        }

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

    def step(self, batch: Tensor, epoch: int, step: int) -> Tensor:
        """One step on triples int64 `(batch, 3)`: gradients and updates for the rows that it uses, and no others."""
        negatives = self._draw(batch, epoch, step)
        if negatives is None:
            used, local = None, batch
        else:
            used, local, negatives = _local_ids(batch, negatives)
        entity = (self.tables.entity if used is None else self.tables.entity[used]).detach().requires_grad_()
        relation = self.tables.relation.detach().requires_grad_()
        rows = replace(self.tables, entity=entity, relation=relation)
        loss = batch_loss(rows, local, negatives, self.settings)
        entity_gradient, relation_gradient = torch.autograd.grad(loss, (entity, relation))
        everyone = torch.arange(self.tables.num_entities) if used is None else used
        self._optimizers["entity"].step(everyone, entity_gradient)
        relations = torch.unique(batch[:, 1])
        if self.settings.reciprocal:
            relations = torch.cat((relations, relations + self.tables.num_relations))
        self._optimizers["relation"].step(relations, relation_gradient[relations])
        return loss.detach()

    def _draw(self, batch: Tensor, epoch: int, step: int) -> dict[Side, Tensor] | None:
        if self.settings.negatives is None:
            return None
        count, entities = self.settings.negatives.per_positive, self.tables.num_entities
        drawn: dict[Side, Tensor] = {}
        for side in SIDES:
            source = generator(self.seed, f"negative {side}s", epoch, step)
            if self.settings.negatives.shared:
                drawn[side] = draw_shared_negatives(count, entities, source)
            else:
                drawn[side] = draw_negatives(_answers(batch, side), count, entities, source)
        return drawn


def _answers(batch: Tensor, side: Side) -> Tensor:
    return batch[:, 2 if side == "tail" else 0]


def _local_ids(batch: Tensor, negatives: dict[Side, Tensor]) -> tuple[Tensor, Tensor, dict[Side, Tensor]]:
    """The entities of a batch, each once, and the batch and its negatives in terms of positions among them."""
    parts = [batch[:, 0], batch[:, 2], *(negatives[side].reshape(-1) for side in SIDES)]
    used, positions = torch.unique(torch.cat(parts), return_inverse=True)
    head, tail, *drawn = positions.split([len(part) for part in parts])
    local = torch.stack((head, batch[:, 1], tail), dim=1)
    return used, local, {side: ids.reshape(negatives[side].shape) for side, ids in zip(SIDES, drawn, strict=True)}


def batch_loss(
    tables: EmbeddingTables,
    batch: Tensor,
    negatives: dict[Side, Tensor] | None,
    settings: KnowledgeEmbeddingSettings,
) -> Tensor:
    """The loss of a batch: the mean of its two sides, and the penalty.

    Args:
        tables: rows that the ids below name.
        batch: int64 `(batch, 3)`.
        negatives: for each side int64 `(batch, k)`, or `(k,)` where shared; None for 1vsAll.
        settings: the loss and its constants.
    """
    losses = [_side_loss(tables, batch, side, negatives, settings) for side in SIDES]
    loss = (losses[0] + losses[1]) / 2
    if settings.regularizer is None or settings.regularizer.weight == 0:
        return loss
    return loss + settings.regularizer.weight * cubic_penalty(settings.regularizer.kind, _factors(tables, batch))


def _side_loss(
    tables: EmbeddingTables,
    batch: Tensor,
    side: Side,
    negatives: dict[Side, Tensor] | None,
    settings: KnowledgeEmbeddingSettings,
) -> Tensor:
    answers = _answers(batch, side)
    queries = tables.queries(side, batch[:, 0 if side == "tail" else 2], batch[:, 1])
    if negatives is None:
        everyone = tables.score_function.candidate(tables.entity)
        return cross_entropy_over_all(similarity_matrix(tables.similarity, queries, everyone), answers)
    positive = similarity_of_pairs(tables.similarity, queries, tables.candidates(answers))
    drawn = negatives[side]
    if drawn.dim() == 1:
        negative = similarity_matrix(tables.similarity, queries, tables.candidates(drawn))
        negative = negative.masked_fill(drawn[None, :] == answers[:, None], -math.inf)
    else:
        negative = similarity_of_pairs(tables.similarity, queries[:, None, :], tables.candidates(drawn))
    match settings.loss:
        case "cross_entropy":
            return cross_entropy_loss(positive, negative)
        case "margin":
            return margin_loss(positive, negative, settings.margin or 0.0)
        case "self_adversarial":
            return self_adversarial_loss(
                positive, negative, settings.margin or 0.0, settings.adversarial_temperature or 0.0
            )


def _factors(tables: EmbeddingTables, batch: Tensor) -> Iterator[tuple[Tensor, bool]]:
    """The vectors of a batch that are penalized: heads, tails and relations, the two directions averaged.

    RotatE's relations have modulus 1 by construction and are left out.
    """
    is_complex = tables.score_function.name in ("complex", "rotate")
    yield tables.entity[batch[:, 0]], is_complex
    yield tables.entity[batch[:, 2]], is_complex
    if tables.score_function.name == "rotate":
        return
    relations = batch[:, 1]
    if tables.reciprocal:
        relations = torch.cat((relations, relations + tables.num_relations))
    yield tables.relation[relations], is_complex

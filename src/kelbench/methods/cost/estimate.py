"""The cost of one run of a text method, from its settings and the counts of its dataset.

An upper bound: every text is as long as `max_tokens`, every epoch is trained, and the texts of a batch are all
different. Scores, losses, relation vectors and the optimizer's arithmetic are left out: beside a transformer they are
below 1 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kelbench.config.datasets import Counts
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.methods.cost.shapes import ASKED, TOKENS_AT_ONCE, TransformerShape, WordsShape, shape_of


@dataclass(frozen=True)
class Estimate:
    """What one seed costs.

    Attributes:
        parameters: that are trained, relation vectors and projection among them.
        open_ended: what is not among them, being known only when the texts are read; empty if nothing.
        steps: of training.
        texts: of a step, those of masked language modelling among them; each counts once, however often it is encoded.
        tokens: of these texts.
        parts: passes over the texts of triples in a step, the most GPUs that can share them; 0 without any.
        training_flops: of all steps.
        busiest_flops: those of the GPU that has most of them, as a step is shared a pass or a bucket at a time.
        encoding_flops: of all entities' texts, at each validation and at the end.
        encoded: tokens of these texts, all times together.
        state_bytes: weights, gradient, AdamW's two moments, and with bfloat16 the weights' copy.
        pass_bytes: what a pass keeps until its way back, and the vectors of a step with their gradient.
        bytes_per_text: of `pass_bytes`, what each text of a pass adds.
        entity_bytes: the matrix of all entities' vectors, on the GPU while a validation ranks; no pass is held then.
    """

    parameters: int
    open_ended: str
    steps: int
    texts: int
    tokens: int
    parts: int
    training_flops: float
    busiest_flops: float
    encoding_flops: float
    encoded: int
    state_bytes: float
    pass_bytes: float
    bytes_per_text: float
    entity_bytes: float

    @property
    def peak_bytes(self) -> float:
        """The state, and the larger one of a pass and the matrix of entities."""
        return self.state_bytes + max(self.pass_bytes, self.entity_bytes)


def estimate(settings: TextKnowledgeEmbeddingSettings, counts: Counts, gpus: int = 1) -> Estimate:
    """The cost of training one seed.

    Args:
        settings: of the run.
        counts: of its dataset, as the registry has them.
        gpus: that share a step; more than one encode the texts of triples twice (methods/kepler/training.py).

    Raises:
        UserError: the encoder is a model whose shape is not known here.
    """
    shape, length = shape_of(settings.encoder), settings.encoder.max_tokens
    language = settings.masked_language_modelling
    steps = min(math.ceil(counts.train / settings.batch_size), settings.steps_per_epoch or counts.train)
    steps *= settings.epochs
    texts = texts_of_a_step(settings, counts)
    asked = language.batch_size if language is not None else 0
    parts = math.ceil(texts / max(1, min(settings.texts_per_pass, math.ceil(texts / gpus))))
    readings = 2 if parts > 1 or gpus > 1 else 1
    way_back = shape.backward_flops(length) + shape.repeated_flops(length)
    a_step = texts * length * (readings * shape.forward_flops(length) + way_back)
    a_language_step = 0.0
    if language is not None and isinstance(shape, TransformerShape):
        of_words = ASKED * 3 * shape.output_flops()
        a_language_step = asked * length * (shape.forward_flops(length) + way_back + of_words)
    buckets = math.ceil(asked / max(1, TOKENS_AT_ONCE // length))
    # Of the checkpoints that are known here, minilm alone comes without an output layer.
    heads = language.head_warmup_steps if language is not None and settings.encoder.kind == "minilm" else 0
    # Tables of all spaces are ranked with: those of graphs of their own stand behind the training graph's.
    entities = counts.entities + (counts.inference_entities or 0) + (counts.validation_entities or 0)
    validations = math.ceil(settings.epochs / settings.early_stopping.every)
    encoded = entities * length * (validations + 1)
    width = settings.encoder.projection or shape.width
    own = _own_parameters(settings, counts, shape)
    bytes_per_text = length * shape.kept_bytes(length)
    return Estimate(
        parameters=shape.trained(language is not None) + own,
        open_ended=shape.open_ended,
        steps=steps,
        texts=texts + asked,
        tokens=(texts + asked) * length,
        parts=parts,
        training_flops=steps * a_step + (steps + heads) * a_language_step,
        busiest_flops=steps * a_step * _busiest(parts, gpus)
        + (steps + heads) * a_language_step * _busiest(buckets, gpus),
        encoding_flops=encoded * shape.forward_flops(length),
        encoded=encoded,
        state_bytes=_state_bytes(settings, shape, own),
        pass_bytes=_pass_bytes(settings, shape, texts, width),
        bytes_per_text=bytes_per_text,
        entity_bytes=4.0 * entities * width,
    )


def _busiest(parts: int, gpus: int) -> float:
    """The share of the GPU that takes most of so many equal parts."""
    return math.ceil(parts / gpus) / parts if parts else 0.0


def texts_of_a_step(settings: TextKnowledgeEmbeddingSettings, counts: Counts) -> int:
    """The texts that a step on triples encodes, at most (methods/kepler/batch.py).

    Both ends of each triple and the negatives of both sides, no more than the graph has entities; with `conditioned`
    two queries a triple; the relations' texts where they are encoded.
    """
    if settings.loss is None:
        return 0
    batch, negatives = settings.batch_size, settings.negatives
    drawn = 0
    if negatives is not None and negatives.per_positive is not None:
        drawn = 2 * negatives.per_positive * (1 if negatives.shared else batch)
    texts = min(2 * batch + drawn, counts.entities)
    if settings.conditioned:
        texts += 2 * batch
    if settings.relation == "text":
        texts += min(batch, counts.relations)
    return texts


def _own_parameters(
    settings: TextKnowledgeEmbeddingSettings, counts: Counts, shape: TransformerShape | WordsShape
) -> int:
    """Projection, relation vectors (half as wide for rotations) and temperature."""
    width = settings.encoder.projection or shape.width
    own = width * shape.width if settings.encoder.projection is not None else 0
    if settings.relation == "table" and settings.loss is not None:
        own += counts.relations * (width // 2 if settings.score == "rotate" else width)
    return own + (settings.temperature is not None)


def _state_bytes(settings: TextKnowledgeEmbeddingSettings, shape: TransformerShape | WordsShape, own: int) -> float:
    """4 bytes a weight; 4 of gradient and 8 of AdamW's moments a trained one; 2 of autocast's copy with bfloat16."""
    language = settings.masked_language_modelling is not None
    every, trained = shape.parameters(language), shape.trained(language)
    copy = 2 * every if settings.encoder.precision == "bfloat16" else 0
    return 4.0 * (every + own) + 12.0 * (trained + own) + copy


def _pass_bytes(
    settings: TextKnowledgeEmbeddingSettings, shape: TransformerShape | WordsShape, texts: int, width: int
) -> float:
    """The larger one of a pass over texts of triples and of a bucket of masked language modelling."""
    length = settings.encoder.max_tokens
    of_triples = of_language = 0.0
    if texts:
        rows = min(texts, settings.texts_per_pass)
        of_triples = rows * length * shape.kept_bytes(length) + shape.bucket_bytes(length) + 8.0 * texts * width
    if settings.masked_language_modelling is not None and isinstance(shape, TransformerShape):
        of_language = shape.language_bytes(length)
    return max(of_triples, of_language)

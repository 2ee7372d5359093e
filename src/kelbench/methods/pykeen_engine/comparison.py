"""Our score functions and losses against PyKEEN's, at the same vectors and on the same negatives."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from pykeen.losses import CrossEntropyLoss
from pykeen.models import ERModel
from pykeen.nn import Embedding
from pykeen.sampling import BasicNegativeSampler
from torch import Tensor

from kelbench.config.methods import PykeenSettings
from kelbench.methods.pykeen_engine.export import parameter_tables, phases_of
from kelbench.methods.pykeen_engine.run_loop import make_loss
from kelbench.scoring import SCORE_FUNCTIONS, halves, similarity_of_pairs
from kelbench.training.job import TrainingJob
from kelbench.training.losses import cross_entropy_loss, margin_loss, self_adversarial_loss

POSITIVES = 256
NEGATIVES_PER_POSITIVE = 16


def compare(model: ERModel, job: TrainingJob, settings: PykeenSettings) -> dict[str, Any]:
    """Compare scores, loss and gradients on a batch of training triples, in float64, so that only formulas differ.

    The vectors are PyKEEN's, ours the formula of the paper. Where the settings train with softplus, which our engine
    does not have, the cross-entropy is compared.

    Returns:
        loss: the name of the loss.
        positives, negatives_per_positive: sizes of the batch.
        score_max_difference: largest absolute difference of a score.
        loss_ours, loss_pykeen: the loss of the batch.
        gradient_max_relative_difference: largest absolute difference of an entry of the gradient with respect to
            entity and relation tables, divided by PyKEEN's largest entry.
    """
    double = copy.deepcopy(model).double().eval()
    positive, negative = _batch(job, model)
    theirs = _pykeen(double, positive, negative, settings, job.method)
    ours = _ours(double, positive, negative, settings, job.method)
    scale = max(float(gradient.abs().max()) for gradient in theirs["gradients"])
    difference = max(
        float((mine - other).abs().max()) for mine, other in zip(ours["gradients"], theirs["gradients"], strict=True)
    )
    return {
        "loss": _loss_name(settings),
        "positives": len(positive),
        "negatives_per_positive": NEGATIVES_PER_POSITIVE,
        "score_max_difference": float((ours["scores"] - theirs["scores"]).abs().max()),
        "loss_ours": float(ours["loss"]),
        "loss_pykeen": float(theirs["loss"]),
        "gradient_max_relative_difference": difference / scale if scale > 0 else difference,
    }


def _batch(job: TrainingJob, model: ERModel) -> tuple[Tensor, Tensor]:
    """Training triples int64 `(b, 3)`, evenly spread, and PyKEEN's negatives `(b, k, 3)`; relations not doubled."""
    triples = np.asarray(job.dataset.triples("train"), dtype=np.int64)
    chosen = np.linspace(0, len(triples) - 1, min(POSITIVES, len(triples)), dtype=np.int64)
    positive = torch.from_numpy(triples[chosen])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        sampler = BasicNegativeSampler(
            mapped_triples=positive,
            num_entities=model.num_entities,
            num_relations=model.num_real_relations,
            num_negs_per_pos=NEGATIVES_PER_POSITIVE,
        )
        return positive, sampler.corrupt_batch(positive)


def _loss_name(settings: PykeenSettings) -> str:
    return "cross_entropy" if settings.loss == "softplus" else settings.loss


def _pykeen(
    model: ERModel, positive: Tensor, negative: Tensor, settings: PykeenSettings, method: str
) -> dict[str, Any]:
    """PyKEEN's scores, loss and gradients, the last in the layout of our tables."""
    loss_function = CrossEntropyLoss() if settings.loss == "softplus" else make_loss(settings)
    shape = negative.shape[:2]
    flat = torch.cat((positive, negative.reshape(-1, 3)))
    if model.use_inverse_triples:
        flat = model.relation_inverter.map(flat)
    model.zero_grad(set_to_none=True)
    scores = model.score_hrt(flat)
    positive_scores, negative_scores = scores[: len(positive)], scores[len(positive) :].view(shape)
    loss = loss_function.process_slcwa_scores(positive_scores=positive_scores, negative_scores=negative_scores)
    loss.backward()
    entity = torch.cat([_gradient(part) for part in model.entity_representations], dim=-1)
    relation = torch.cat([_gradient(part) for part in model.relation_representations], dim=-1)
    if model.use_inverse_triples:
        relation = relation[0::2]
    if method == "rotate":
        relation = _gradient_of_phases(relation, _relation_rows(model))
    return {"scores": scores.detach().view(-1), "loss": loss.detach(), "gradients": (entity, relation)}


def _gradient(embedding: Embedding) -> Tensor:
    """Gradient of an embedding's rows; PyKEEN stores complex numbers as pairs, which become two halves."""
    gradient = embedding._embeddings.weight.grad
    if not embedding.is_complex:
        return gradient
    pairs = gradient.view(len(gradient), -1, 2)
    return torch.cat((pairs[..., 0], pairs[..., 1]), dim=-1)


def _gradient_of_phases(gradient: Tensor, relation: Tensor) -> Tensor:
    """Chain rule from real and imaginary parts to the phase: dL/dphi = -Im(r) dL/dRe + Re(r) dL/dIm."""
    real, imaginary = halves(relation)
    by_real, by_imaginary = halves(gradient)
    return real * by_imaginary - imaginary * by_real


def _relation_rows(model: ERModel) -> Tensor:
    """Rows of the relations themselves, those of inverses left out."""
    return parameter_tables(model)[1][: model.num_real_relations]


def _ours(model: ERModel, positive: Tensor, negative: Tensor, settings: PykeenSettings, method: str) -> dict[str, Any]:
    """Scores, loss and gradients of the paper's formula at PyKEEN's vectors."""
    function = SCORE_FUNCTIONS[method]
    entity = parameter_tables(model)[0].requires_grad_()
    relation = _relation_rows(model)
    relation = (phases_of(relation) if method == "rotate" else relation).requires_grad_()
    flat = torch.cat((positive, negative.reshape(-1, 3)))
    queries = function.tail_query(entity[flat[:, 0]], relation[flat[:, 1]])
    candidates = function.candidate(entity[flat[:, 2]])
    scores = similarity_of_pairs(settings.distance or function.similarity, queries, candidates)
    loss = _our_loss(scores[: len(positive)], scores[len(positive) :].view(negative.shape[:2]), settings)
    gradients = torch.autograd.grad(loss, (entity, relation))
    return {"scores": scores.detach(), "loss": loss.detach(), "gradients": gradients}


def _our_loss(positive: Tensor, negative: Tensor, settings: PykeenSettings) -> Tensor:
    match settings.loss:
        case "margin":
            return margin_loss(positive, negative, settings.margin or 0.0)
        case "self_adversarial":
            return self_adversarial_loss(
                positive, negative, settings.margin or 0.0, settings.adversarial_temperature or 0.0
            )
        case _:
            return cross_entropy_loss(positive, negative)

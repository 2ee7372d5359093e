"""The losses of a knowledge embedding on encoded texts."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from kelbench.encoders.text_model import TextModel, score_of
from kelbench.methods.kepler.batch import SIDES, Plan
from kelbench.ranking.known_answers import Side
from kelbench.scoring import similarity_matrix, similarity_of_drawn, similarity_of_pairs
from kelbench.training.losses import cross_entropy_loss

BySide = dict[Side, Tensor]


def knowledge_embedding_loss(model: TextModel, plan: Plan, vectors: Tensor) -> Tensor:
    """The loss of a planned batch.

    Args:
        model: gives relation vectors and temperature.
        plan: who is compared with whom.
        vectors: float32 `(u, width)` of the plan's inputs.
    """
    settings = model.settings
    positive, negative = scores(model, plan, vectors)
    if settings.loss == "kepler":
        return kepler_loss(positive, negative, settings.margin, settings.halved)
    return torch.stack([cross_entropy_loss(positive[side], negative[side]) for side in SIDES]).mean()


def scores(model: TextModel, plan: Plan, vectors: Tensor) -> tuple[BySide, BySide]:
    """Scores of the right answers, `(batch,)` a side, and of the wrong ones, `(batch, k)`, -inf for those not wrong.

    For cross_entropy they are as the softmax takes them: margin subtracted, divided by the temperature, corrected for
    the frequency of entities (Yi et al. 2019, Sampling-bias-corrected neural modeling, Section 3).
    """
    function, similarity = score_of(model.settings)
    place = torch.from_numpy(plan.relation).to(vectors.device)
    relation = vectors[place] if model.relation is None else model.relation[place]
    rows = {side: vectors[torch.from_numpy(plan.query[side]).to(vectors.device)] for side in SIDES}
    query = {"tail": function.tail_query(rows["tail"], relation), "head": function.head_query(relation, rows["head"])}
    answer = {"tail": plan.tail, "head": plan.head}
    margin = model.settings.margin if model.settings.loss == "cross_entropy" else 0.0
    scale = torch.ones((), device=vectors.device) if model.log_scale is None else model.log_scale.exp()
    positive: BySide = {}
    negative: BySide = {}
    for side in SIDES:
        right = function.candidate(vectors[torch.from_numpy(answer[side]).to(vectors.device)])
        positive[side] = (similarity_of_pairs(similarity, query[side], right) - margin) * scale
        places = torch.from_numpy(plan.negatives[side]).to(vectors.device)
        if places.dim() == 1:
            against = similarity_matrix(similarity, query[side], function.candidate(vectors[places]))
        else:
            against = similarity_of_drawn(similarity, query[side], function.candidate(vectors), places)
        # Masked last: the gradient by the scale would be 0 times infinity.
        against = against * scale
        if plan.bias:
            of_right, of_wrong = (torch.from_numpy(bias).to(vectors.device) for bias in plan.bias[side])
            positive[side], against = positive[side] - of_right, against - of_wrong
        negative[side] = against.masked_fill(torch.from_numpy(plan.right[side]).to(vectors.device), -math.inf)
    return positive, negative


def kepler_loss(positive: BySide, negative: BySide, margin: float, halved: bool = False) -> Tensor:
    """Wang et al. 2021, Eq. 2: -log s(gamma - d(h, t)) - sum over i of 1/n log s(d(h'_i, t'_i) - gamma).

    The n negatives are corrupted heads and corrupted tails, averaged per side. Where the two sides score the positive
    differently (KEPLER-Cond), its score is their mean, as the released code has it. A positive all of whose negatives
    on a side are masked has no negative term there.

    Args:
        positive: for each side `(batch,)`, negated distances.
        negative: for each side `(batch, k)`; -inf for one that does not count.
        margin: gamma.
        halved: multiply by 1/2, as the released code does.
    """
    loss = -F.logsigmoid(margin + (positive["tail"] + positive["head"]) / 2).mean()
    for scores_of_side in negative.values():
        counts = torch.isfinite(scores_of_side).sum(1).clamp_min(1)
        terms = F.logsigmoid(-margin - scores_of_side).sum(1) / counts
        loss = loss - terms.mean() / len(negative)
    return loss / 2 if halved else loss

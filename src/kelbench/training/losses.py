"""Losses over scores, where a higher score means a better answer. Each is a mean, so that batch sizes compare."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def cross_entropy_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Mean over the batch of -log softmax of the positive among it and its negatives (Ruffinelli et al. 2020, "kl").

    Args:
        positive: `(batch,)`.
        negative: `(batch, negatives)`; -inf for a negative that does not count.
    """
    return (torch.logsumexp(torch.cat((positive[:, None], negative), dim=1), dim=1) - positive).mean()


def margin_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean over all (positive, negative) pairs of max(0, margin - positive + negative) (Bordes et al. 2013, Eq. 1).

    Args:
        positive: `(batch,)`.
        negative: `(batch, negatives)`; -inf for a negative that does not count.
        margin: gamma.
    """
    return torch.relu(margin - positive[:, None] + negative).mean()


def self_adversarial_loss(positive: Tensor, negative: Tensor, margin: float, temperature: float) -> Tensor:
    """Self-adversarial negative sampling (Sun et al. 2019, Eq. 5 and 6), its two terms averaged as in their code.

    -1/2 log sigmoid(margin + positive) - 1/2 sum over negatives of p log sigmoid(-negative - margin), where p is the
    softmax of temperature * negative, taken as a constant. Scores are negated distances.

    Args:
        positive: `(batch,)`.
        negative: `(batch, negatives)`; -inf for a negative that does not count.
        margin: gamma.
        temperature: alpha.
    """
    weight = torch.softmax(temperature * negative, dim=1).detach()
    negative_term = (weight * F.logsigmoid(-negative - margin)).sum(dim=1)
    return -(F.logsigmoid(margin + positive) + negative_term).mean() / 2

"""Negative samples: answers drawn uniformly from the entities of the training graph."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_negatives(answers: Tensor, per_positive: int, num_entities: int, generator: torch.Generator) -> Tensor:
    """Negatives of its own for each positive, none equal to its answer.

    Args:
        answers: int64 `(batch,)`: the true answers.
        per_positive: negatives for each.
        num_entities: ids are drawn from `0 .. num_entities - 1`; at least 2.
        generator: decides the draw.

    Returns:
        int64 `(batch, per_positive)`.
    """
    drawn = torch.randint(num_entities - 1, (len(answers), per_positive), generator=generator)
    return drawn + (drawn >= answers[:, None])


def draw_shared_negatives(per_positive: int, num_entities: int, generator: torch.Generator) -> Tensor:
    """One set of negatives for a whole batch, int64 `(per_positive,)`; it may hold answers, which are to be masked."""
    return torch.randint(num_entities, (per_positive,), generator=generator)

"""Negative samples: answers drawn uniformly from the entities of the training graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def draw_negatives(answers: Tensor, per_positive: int, num_entities: int, generator: np.random.Generator) -> Tensor:
    """Negatives of its own for each positive, none equal to its answer.

    Args:
        answers: int64 `(batch,)`: the true answers.
        per_positive: negatives for each.
        num_entities: ids are drawn from `0 .. num_entities - 1`; at least 2.
        generator: decides the draw.

    Returns:
        int64 `(batch, per_positive)`.
    """
    # 32 bits cost half as much to draw, and every id fits.
    drawn = generator.integers(num_entities - 1, size=(len(answers), per_positive), dtype=np.int32)
    negatives = torch.from_numpy(drawn).long()
    return negatives.add_(negatives >= answers[:, None])


def draw_shared_negatives(per_positive: int, num_entities: int, generator: np.random.Generator) -> Tensor:
    """One set of negatives for a whole batch, int64 `(per_positive,)`; it may hold answers, which are to be masked."""
    return torch.from_numpy(generator.integers(num_entities, size=per_positive, dtype=np.int64))

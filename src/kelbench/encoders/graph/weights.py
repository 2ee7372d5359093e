"""Initial weights of graph encoders."""

from __future__ import annotations

import torch
from torch import nn


def xavier(*shape: int, generator: torch.Generator | None) -> nn.Parameter:
    """Normal weights of variance 2 / (fan in + fan out) (Glorot and Bengio 2010, Equation 12), fans the last two sizes.

    Leading sizes count matrices, each of which is drawn so.
    """
    return nn.Parameter(torch.randn(*shape, generator=generator) * (2 / (shape[-2] + shape[-1])) ** 0.5)

"""Dropout (Srivastava et al. 2014) of large tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from kelbench.kernels.dropout import LEVELS, drop


def dropout(values: Tensor, probability: float, training: bool) -> Tensor:
    """The values, in training each 0 with a probability and divided by that of being kept otherwise.

    torch's global generator decides. On the CPU one draw of it becomes the key of a compiled loop, since torch's own
    draws, a number at a time in one thread, take as long there as the products around them; probabilities are
    rounded to multiples of 2^-32.

    Args:
        values: float32 of any shape.
        probability: from 0 to 1.
        training: False for the values as they are.
    """
    if not training or probability == 0:
        return values
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return F.dropout(values, probability)
    return _Dropout.apply(values, round(probability * LEVELS), int(torch.randint(2**63 - 1, ())))  # type: ignore[no-any-return, no-untyped-call]


class _Dropout(torch.autograd.Function):
    """The gradient drops the same numbers; the key says which, so that no mask is kept."""

    @staticmethod
    def forward(context: Any, values: Tensor, dropped: int, key: int) -> Tensor:  # type: ignore[override]
        context.dropped, context.key = dropped, key
        return _kept(values, dropped, key)

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _kept(upstream, context.dropped, context.key), None, None


def _kept(values: Tensor, dropped: int, key: int) -> Tensor:
    values = values.detach().contiguous()
    kept = torch.empty_like(values)
    scale = np.float32(LEVELS / (LEVELS - dropped)) if dropped < LEVELS else np.float32(0)
    drop(values.view(-1).numpy(), np.uint64(key), np.uint64(dropped), scale, kept.view(-1).numpy())
    return kept

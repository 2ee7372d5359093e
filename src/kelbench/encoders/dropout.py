"""Dropout (Srivastava et al. 2014) of large tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from kelbench.kernels.dropout import LEVELS, drop, drop_unscaled


def dropout(values: Tensor, probability: float, training: bool) -> Tensor:
    """The values, in training each 0 with a probability and divided by that of being kept otherwise.

    torch's global generator decides. On the CPU one draw of it becomes the key of a compiled loop, since torch's own
    draws, a number at a time in one thread, take as long there as the products around them; probabilities are
    rounded to multiples of 2^-32.

    Args:
        values: of any shape; float32 or bfloat16 for the compiled loop.
        probability: from 0 to 1.
        training: False for the values as they are.
    """
    if not training or probability == 0:
        return values
    if values.device.type != "cpu" or values.dtype not in (torch.float32, torch.bfloat16):
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
    scale = LEVELS / (LEVELS - dropped) if dropped < LEVELS else 0.0
    if values.dtype == torch.bfloat16:
        bits = values.view(-1).view(torch.int16).numpy(), kept.view(-1).view(torch.int16).numpy()
        drop_unscaled(bits[0], np.uint64(key), np.uint64(dropped), bits[1])
        return kept.mul_(scale)
    drop(values.view(-1).numpy(), np.uint64(key), np.uint64(dropped), np.float32(scale), kept.view(-1).numpy())
    return kept

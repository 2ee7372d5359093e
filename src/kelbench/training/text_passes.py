"""A loss over many encoded texts, in several passes or processes, with the gradient of the whole batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kelbench.encoders.tokens import Tokens
from kelbench.training.processes import Processes


def learn_from_texts(
    encode: Callable[[Tokens, int], Tensor],
    inputs: Tokens,
    loss_of: Callable[[Tensor], Tensor],
    texts_per_pass: int,
    width: int,
    device: torch.device,
    processes: Processes,
) -> Tensor:
    """Compute a loss of the vectors of all inputs and add its gradients to those of the parameters.

    Where the texts are more than `texts_per_pass`, or shared by processes, they are encoded twice: first without
    gradient, to know the gradient of the loss by each vector, then a pass at a time with it (Gao et al. 2021,
    "GradCache"). Each process encodes its share of the texts and sees the vectors of all, so its gradients of the
    encoder are a part of the whole, to be summed over processes, and all others are whole already.

    Args:
        encode: vectors `(texts, width)` of inputs; the number of the pass decides their dropout.
        inputs: texts with their special tokens.
        loss_of: a scalar of the vectors `(texts, width)` of all inputs, in their order.
        texts_per_pass: texts encoded with gradient at once.
        width: numbers in a vector.
        device: where vectors are.
        processes: those that train together.

    Returns:
        the loss, without gradient.
    """
    order = np.argsort(inputs.lengths, kind="stable")
    # Each process has a part, whatever a pass may hold.
    size = min(texts_per_pass, math.ceil(len(order) / processes.count))
    passes = [order[begin : begin + size] for begin in range(0, len(order), size)]
    if len(passes) == 1 and processes.count == 1:
        loss = loss_of(encode(inputs, 0))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()
    mine = list(enumerate(passes))[processes.rank :: processes.count]
    cached = torch.zeros(len(order), width, device=device)
    with torch.no_grad():
        for number, rows in mine:
            cached[torch.from_numpy(rows)] = encode(inputs.take(rows), number)
    processes.sum_tensor(cached)
    cached.requires_grad_()
    loss = loss_of(cached)
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = torch.zeros_like(cached) if cached.grad is None else cached.grad
    for number, rows in mine:
        encode(inputs.take(rows), number).backward(gradient[torch.from_numpy(rows)])  # type: ignore[no-untyped-call]
    return loss.detach()

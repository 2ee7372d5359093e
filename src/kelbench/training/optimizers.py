"""Optimizers that touch only the rows that a batch used: compiled loops on the CPU, torch elsewhere."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kelbench.kernels.rows import adagrad_rows, adam_rows, row_adagrad_rows


class RowAdagrad:
    """Adagrad (Duchi et al. 2011) on rows of a table.

    Rows without a gradient would not change under dense Adagrad either, so this equals it, at the cost of the touched
    rows alone.
    """

    def __init__(self, table: Tensor, learning_rate: float, epsilon: float = 1e-10) -> None:
        self.table, self.learning_rate, self.epsilon = table, learning_rate, epsilon
        self.state = {"sum_of_squares": torch.zeros_like(table)}

    def step(self, rows: Tensor, gradient: Tensor) -> None:
        """Update `table[rows]`; `rows` int64 `(k,)` names none twice, `gradient` is `(k, width)`."""
        if self.table.is_cpu:
            arrays = _arrays(self.table, self.state["sum_of_squares"], rows, gradient)
            adagrad_rows(*arrays, self.learning_rate, self.epsilon)
        else:
            self._step_in_torch(rows, gradient)

    def _step_in_torch(self, rows: Tensor, gradient: Tensor) -> None:
        sums = self.state["sum_of_squares"]
        total = sums[rows].addcmul_(gradient, gradient)
        sums[rows] = total
        self.table[rows] -= self.learning_rate * gradient / (total.sqrt_() + self.epsilon)


class RowAdagradOfMeans:
    """Adagrad with one number a row, the sum of its mean squared gradients (Lerer et al. 2019, Section 3.1).

    Its state is a column instead of a second table.
    """

    def __init__(self, table: Tensor, learning_rate: float, epsilon: float = 1e-10) -> None:
        self.table, self.learning_rate, self.epsilon = table, learning_rate, epsilon
        self.state = {"sum_of_mean_squares": torch.zeros(len(table), dtype=table.dtype, device=table.device)}

    def step(self, rows: Tensor, gradient: Tensor) -> None:
        """Update `table[rows]`; `rows` int64 `(k,)` names none twice, `gradient` is `(k, width)`."""
        if self.table.is_cpu:
            arrays = _arrays(self.table, self.state["sum_of_mean_squares"], rows, gradient)
            row_adagrad_rows(*arrays, self.learning_rate, self.epsilon)
        else:
            self._step_in_torch(rows, gradient)

    def _step_in_torch(self, rows: Tensor, gradient: Tensor) -> None:
        sums = self.state["sum_of_mean_squares"]
        total = sums[rows] + gradient.square().mean(dim=1)
        sums[rows] = total
        self.table[rows] -= self.learning_rate * gradient / (total.sqrt_() + self.epsilon)[:, None]


class RowAdam:
    """Adam (Kingma and Ba 2015, Algorithm 1) on rows of a table, as torch's SparseAdam: moments decay when touched."""

    def __init__(self, table: Tensor, learning_rate: float, epsilon: float = 1e-8) -> None:
        self.table, self.learning_rate, self.epsilon = table, learning_rate, epsilon
        self.beta_1, self.beta_2 = 0.9, 0.999
        self.state = {
            "first_moment": torch.zeros_like(table),
            "second_moment": torch.zeros_like(table),
            "steps": torch.zeros((), dtype=torch.int64),  # on the CPU, where reading it waits for nothing
        }

    def step(self, rows: Tensor, gradient: Tensor) -> None:
        """Update `table[rows]`; `rows` int64 `(k,)` names none twice, `gradient` is `(k, width)`."""
        self.state["steps"] += 1
        steps = int(self.state["steps"])
        step_size, correction = self.learning_rate / (1 - self.beta_1**steps), 1 - self.beta_2**steps
        if self.table.is_cpu:
            arrays = _arrays(self.table, self.state["first_moment"], self.state["second_moment"], rows, gradient)
            adam_rows(*arrays, step_size, correction, (self.beta_1, self.beta_2), self.epsilon)
        else:
            self._step_in_torch(rows, gradient, step_size, correction)

    def _step_in_torch(self, rows: Tensor, gradient: Tensor, step_size: float, correction: float) -> None:
        first, second = self.state["first_moment"], self.state["second_moment"]
        m = first[rows].lerp_(gradient, 1 - self.beta_1)
        v = second[rows].mul_(self.beta_2).addcmul_(gradient, gradient, value=1 - self.beta_2)
        first[rows], second[rows] = m, v
        self.table[rows] -= step_size * m / (v / correction).sqrt_().add_(self.epsilon)


RowOptimizer = RowAdagrad | RowAdagradOfMeans | RowAdam
_KINDS: dict[str, type[RowOptimizer]] = {"adagrad": RowAdagrad, "row_adagrad": RowAdagradOfMeans, "adam": RowAdam}


def row_optimizer(kind: Literal["adagrad", "row_adagrad", "adam"], table: Tensor, learning_rate: float) -> RowOptimizer:
    """The optimizer of that name for a table, which it changes in place."""
    return _KINDS[kind](table, learning_rate)


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    """The tensors' own memory, where they are contiguous as tables are; a gradient may be copied."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]

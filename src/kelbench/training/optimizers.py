"""Optimizers that touch only the rows that a batch used."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


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
        total = self.state["sum_of_squares"][rows].addcmul_(gradient, gradient)
        self.state["sum_of_squares"][rows] = total
        self.table[rows] -= self.learning_rate * gradient / (total.sqrt_() + self.epsilon)


class RowAdam:
    """Adam (Kingma and Ba 2015, Algorithm 1) on rows of a table, as torch's SparseAdam: moments decay when touched."""

    def __init__(self, table: Tensor, learning_rate: float, epsilon: float = 1e-8) -> None:
        self.table, self.learning_rate, self.epsilon = table, learning_rate, epsilon
        self.beta_1, self.beta_2 = 0.9, 0.999
        self.state = {
            "first_moment": torch.zeros_like(table),
            "second_moment": torch.zeros_like(table),
            "steps": torch.zeros((), dtype=torch.int64),
        }

    def step(self, rows: Tensor, gradient: Tensor) -> None:
        """Update `table[rows]`; `rows` int64 `(k,)` names none twice, `gradient` is `(k, width)`."""
        self.state["steps"] += 1
        steps = int(self.state["steps"])
        first = self.state["first_moment"][rows].lerp_(gradient, 1 - self.beta_1)
        second = self.state["second_moment"][rows].mul_(self.beta_2).addcmul_(gradient, gradient, value=1 - self.beta_2)
        self.state["first_moment"][rows] = first
        self.state["second_moment"][rows] = second
        step_size = self.learning_rate / (1 - self.beta_1**steps)
        scale = (second / (1 - self.beta_2**steps)).sqrt_().add_(self.epsilon)
        self.table[rows] -= step_size * first / scale


RowOptimizer = RowAdagrad | RowAdam


def row_optimizer(kind: Literal["adagrad", "adam"], table: Tensor, learning_rate: float) -> RowOptimizer:
    """The optimizer of that name for a table, which it changes in place."""
    return RowAdagrad(table, learning_rate) if kind == "adagrad" else RowAdam(table, learning_rate)

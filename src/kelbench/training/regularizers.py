"""Penalties on the vectors that a batch uses, hence weighted by frequency (Lacroix et al. 2018, Section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from kelbench.scoring import halves


def cubic_penalty(kind: Literal["n3", "l3"], rows: Iterable[tuple[Tensor, bool]]) -> Tensor:
    """The mean over the batch of the summed cubes of the rows' numbers.

    Args:
        kind: `n3` cubes the moduli of rows that hold complex numbers (Lacroix et al. 2018, Eq. 5); `l3` the absolute
            values of all reals.
        rows: `(rows (batch, width), whether they hold complex numbers as two halves)`.
    """
    total = None
    for values, is_complex in rows:
        sizes = torch.complex(*halves(values)).abs() if kind == "n3" and is_complex else values.abs()
        penalty = (sizes**3).sum(dim=-1).mean()
        total = penalty if total is None else total + penalty
    if total is None:
        raise ValueError("no rows to penalize")
    return total

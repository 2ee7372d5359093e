"""Penalties on the vectors that a batch uses, hence weighted by frequency (Lacroix et al. 2018, Section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from kelbench.scoring import halves


def cubic_penalty(kind: Literal["n3", "l3"], rows: Iterable[tuple[Tensor, bool, Tensor]]) -> Tensor:
    """The weighted sum over rows of the summed cubes of their numbers.

    Args:
        kind: `n3` cubes the moduli of rows that hold complex numbers (Lacroix et al. 2018, Eq. 5); `l3` the absolute
            values of all reals.
        rows: `(rows (n, width), whether they hold complex numbers as two halves, weights (n,))`. With a weight of
            1 / batch for each factor of each triple the penalty is a mean over the batch.
    """
    total = None
    for values, is_complex, weights in rows:
        if kind == "n3" and is_complex:
            real, imaginary = halves(values)
            squares = real * real + imaginary * imaginary
        else:
            squares = values * values
        # The bound keeps the root's gradient finite where all is 0.
        penalty = ((squares * squares.clamp_min(1e-30).sqrt()).sum(dim=-1) * weights).sum()
        total = penalty if total is None else total + penalty
    if total is None:
        raise ValueError("no rows to penalize")
    return total

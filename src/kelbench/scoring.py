"""The score functions and similarities: no I/O, no state.

Every link predictor here is three things: query vectors, a candidate matrix and a similarity. A score function says how
the rows of an entity table and of a relation table become query vectors and candidate rows; the similarity compares
them. Training, ranking, prediction and export are written once, against this.

Complex numbers are stored as two halves of a row: real parts, then imaginary parts. SimplE's rows are two halves as
well: the vector of an entity as a head, then as a tail; of a relation, then of its inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kelbench.kernels.autograd import DrawnScores, TableScores

Similarity = Literal["dot", "l1", "l2", "complex_modulus", "cosine"]
SIMILARITIES: tuple[Similarity, ...] = ("dot", "l1", "l2", "complex_modulus", "cosine")


@dataclass(frozen=True)
class ScoreFunction:
    """How table rows become query vectors and candidate rows.

    Attributes:
        name: the lower-case name used in configs.
        similarity: what compares a query with a candidate, unless the settings choose another.
        tail_query: `(head rows, relation rows) -> (..., width)`, the query of (head, relation, ?).
        head_query: `(relation rows, tail rows) -> (..., width)`, the query of (?, relation, tail).
        candidate: `entity rows -> (..., width)`.
        relation_width: numbers in a relation's row, given those in an entity's row.
    """

    name: str
    similarity: Similarity
    tail_query: Callable[[Tensor, Tensor], Tensor]
    head_query: Callable[[Tensor, Tensor], Tensor]
    candidate: Callable[[Tensor], Tensor]
    relation_width: Callable[[int], int]


def halves(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Split the last axis in two equal parts."""
    width = rows.shape[-1] // 2
    return rows[..., :width], rows[..., width:]


def complex_product(left: Tensor, right: Tensor) -> Tensor:
    """Product of complex numbers stored as halves."""
    left_re, left_im = halves(left)
    right_re, right_im = halves(right)
    return torch.cat((left_re * right_re - left_im * right_im, left_re * right_im + left_im * right_re), dim=-1)


def conjugate(rows: Tensor) -> Tensor:
    """Complex conjugate of numbers stored as halves."""
    real, imaginary = halves(rows)
    return torch.cat((real, -imaginary), dim=-1)


def rotation(phases: Tensor) -> Tensor:
    """Complex numbers of modulus 1 from phases in radians."""
    return torch.cat((torch.cos(phases), torch.sin(phases)), dim=-1)


def _same(rows: Tensor) -> Tensor:
    return rows


def _full(width: int) -> int:
    return width


def _half(width: int) -> int:
    return width // 2


def _simple_tail_query(head: Tensor, relation: Tensor) -> Tensor:
    head_as_head, head_as_tail = halves(head)
    forward, inverse = halves(relation)
    return torch.cat((head_as_head * forward, head_as_tail * inverse), dim=-1) / 2


def _simple_head_query(relation: Tensor, tail: Tensor) -> Tensor:
    tail_as_head, tail_as_tail = halves(tail)
    forward, inverse = halves(relation)
    return torch.cat((tail_as_head * inverse, tail_as_tail * forward), dim=-1) / 2


def _swap_halves(rows: Tensor) -> Tensor:
    first, second = halves(rows)
    return torch.cat((second, first), dim=-1)


# Bordes et al. 2013, Eq. 1: the distance of h + r and t, in the L1 or the L2 norm.
TRANSE = ScoreFunction("transe", "l1", lambda h, r: h + r, lambda r, t: t - r, _same, _full)
# Yang et al. 2015, Eq. 2 with a diagonal matrix: sum of h * r * t.
DISTMULT = ScoreFunction("distmult", "dot", lambda h, r: h * r, lambda r, t: t * r, _same, _full)
# Trouillon et al. 2016, Eq. 10: Re of sum of h * r * conj(t).
COMPLEX = ScoreFunction("complex", "dot", complex_product, lambda r, t: complex_product(t, conjugate(r)), _same, _full)
# Sun et al. 2019, Eq. 3 and 4: the norm of h * e^(ir) - t; summed moduli, as their code computes it.
ROTATE = ScoreFunction(
    "rotate",
    "complex_modulus",
    lambda h, r: complex_product(h, rotation(r)),
    lambda r, t: complex_product(t, rotation(-r)),
    _same,
    _half,
)
# Kazemi and Poole 2018, Section 4: the mean of <head_h, r, tail_t> and <head_t, r_inverse, tail_h>.
SIMPLE = ScoreFunction("simple", "dot", _simple_tail_query, _simple_head_query, _swap_halves, _full)

# Controls. Their rows are made, not learned.
RANDOM = ScoreFunction(
    # The query uses one half of an entity's row and the candidate the other, so that scores are independent.
    "random",
    "dot",
    lambda h, r: halves(h)[0] * r,
    lambda r, t: halves(t)[0] * r,
    lambda e: halves(e)[1],
    _half,
)
FREQUENCY = ScoreFunction(
    # An entity's row holds its counts on each side of each relation; a relation's row picks one column.
    "frequency",
    "dot",
    lambda h, r: r,
    lambda r, t: r,
    _same,
    _full,
)

TEXT_COSINE = ScoreFunction(
    # Rows are vectors of texts; the query is what is known, in both directions.
    "text_cosine",
    "cosine",
    lambda h, r: h + r,
    lambda r, t: t + r,
    _same,
    _full,
)

SCORE_FUNCTIONS: dict[str, ScoreFunction] = {
    function.name: function for function in (TRANSE, DISTMULT, COMPLEX, ROTATE, SIMPLE, RANDOM, FREQUENCY, TEXT_COSINE)
}


def similarity_of_pairs(similarity: Similarity, queries: Tensor, candidates: Tensor) -> Tensor:
    """Scores of queries with candidates of broadcastable shape `(..., width)`; the last axis is summed away."""
    match similarity:
        case "dot":
            return (queries * candidates).sum(-1)
        case "cosine":
            return torch.nn.functional.cosine_similarity(queries, candidates, dim=-1)
        case "l1":
            return -(queries - candidates).abs().sum(-1)
        case "l2":
            return -torch.linalg.vector_norm(queries - candidates, dim=-1)
        case "complex_modulus":
            real, imaginary = halves(queries - candidates)
            # Below the bound the gradient is 0, where that of the square root would not be finite. The complex abs of
            # torch does the same at several times the cost.
            return -(real * real + imaginary * imaginary).clamp_min(1e-30).sqrt().sum(-1)


def similarity_matrix(similarity: Similarity, queries: Tensor, candidates: Tensor) -> Tensor:
    """Scores of every query `(q, width)` with every candidate `(n, width)`: `(q, n)`, differentiable."""
    if similarity == "dot":
        return queries @ candidates.T
    if similarity == "cosine":
        return torch.nn.functional.normalize(queries, dim=-1) @ torch.nn.functional.normalize(candidates, dim=-1).T
    if queries.is_cpu:
        scores: Tensor = TableScores.apply(similarity, queries, candidates)
        return scores
    match similarity:
        case "l1":
            return -torch.cdist(queries, candidates, p=1.0)
        case "l2":
            # The expansion by a matrix product cancels for near vectors; the direct form does not.
            return -torch.cdist(queries, candidates, p=2.0, compute_mode="donot_use_mm_for_euclid_dist")
        case "complex_modulus":
            return similarity_of_pairs(similarity, queries[:, None], candidates[None])


def similarity_of_drawn(similarity: Similarity, queries: Tensor, candidates: Tensor, ids: Tensor) -> Tensor:
    """Scores of each query `(q, width)` with `candidates[ids]` of its own, differentiable.

    Args:
        similarity: what compares them.
        queries: `(q, width)`.
        candidates: `(n, width)`.
        ids: int64 `(q, k)`.

    Returns:
        `(q, k)`.
    """
    if not queries.is_cpu:
        return similarity_of_pairs(similarity, queries[:, None], candidates[ids])
    if similarity == "cosine":
        similarity = "dot"
        queries = torch.nn.functional.normalize(queries, dim=-1)
        candidates = torch.nn.functional.normalize(candidates, dim=-1)
    scores: Tensor = DrawnScores.apply(similarity, queries, candidates, ids)
    return scores

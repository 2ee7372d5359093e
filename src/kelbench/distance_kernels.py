"""Compiled kernels for distances between all queries and all candidates, on the CPU.

Summation may be reordered for speed; the order is then the same for every pair, so that equal rows give equal bits.
Infinities and NaN keep their meaning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

# A tile of candidate rows is reused from the cache by many queries.
_TILE = 64
_FAST = {"reassoc", "contract", "nsz"}


@njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def l1_distances(queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
    """Fill `scores` `(q, n)` with the negated L1 distances of `(q, width)` and `(n, width)`."""
    width = queries.shape[1]
    for tile in prange((candidates.shape[0] + _TILE - 1) // _TILE):
        for q in range(queries.shape[0]):
            for c in range(tile * _TILE, min((tile + 1) * _TILE, candidates.shape[0])):
                total = queries.dtype.type(0)
                for i in range(width):
                    total += abs(queries[q, i] - candidates[c, i])
                scores[q, c] = -total


@njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def l2_distances(queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
    """Fill `scores` `(q, n)` with the negated L2 distances of `(q, width)` and `(n, width)`."""
    width = queries.shape[1]
    for tile in prange((candidates.shape[0] + _TILE - 1) // _TILE):
        for q in range(queries.shape[0]):
            for c in range(tile * _TILE, min((tile + 1) * _TILE, candidates.shape[0])):
                total = queries.dtype.type(0)
                for i in range(width):
                    difference = queries[q, i] - candidates[c, i]
                    total += difference * difference
                scores[q, c] = -np.sqrt(total)


@njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def modulus_distances(queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
    """Fill `scores` `(q, n)` with the negated sums of moduli of the differences of complex rows stored as halves."""
    half = queries.shape[1] // 2
    for tile in prange((candidates.shape[0] + _TILE - 1) // _TILE):
        for q in range(queries.shape[0]):
            for c in range(tile * _TILE, min((tile + 1) * _TILE, candidates.shape[0])):
                total = queries.dtype.type(0)
                for i in range(half):
                    real = queries[q, i] - candidates[c, i]
                    imaginary = queries[q, half + i] - candidates[c, half + i]
                    total += np.sqrt(real * real + imaginary * imaginary)
                scores[q, c] = -total


@njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _modulus_gradient(rows: np.ndarray, others: np.ndarray, upstream: np.ndarray, gradient: np.ndarray) -> None:
    """Gradient of sum(upstream * scores) with respect to `rows`; `upstream` is `(rows, others)`. 0 where rows meet."""
    half = rows.shape[1] // 2
    tiny = rows.dtype.type(1e-30)
    for r in prange(rows.shape[0]):
        for i in range(2 * half):
            gradient[r, i] = 0
        for o in range(others.shape[0]):
            weight = upstream[r, o]
            for i in range(half):
                real = rows[r, i] - others[o, i]
                imaginary = rows[r, half + i] - others[o, half + i]
                scale = weight / np.sqrt(real * real + imaginary * imaginary + tiny)
                gradient[r, i] -= scale * real
                gradient[r, half + i] -= scale * imaginary


class ModulusDistances(torch.autograd.Function):
    """Differentiable `modulus_distances`: the intermediate (q, n, width) that autograd would keep is never made."""

    @staticmethod
    def forward(context: Any, queries: Tensor, candidates: Tensor) -> Tensor:  # type: ignore[override]
        """Scores `(q, n)`."""
        scores = torch.empty(len(queries), len(candidates), dtype=queries.dtype)
        context.save_for_backward(queries, candidates)
        modulus_distances(_array(queries), _array(candidates), scores.numpy())
        return scores

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Gradients of queries and candidates."""
        queries, candidates = context.saved_tensors
        gradients = torch.empty_like(queries), torch.empty_like(candidates)
        _modulus_gradient(_array(queries), _array(candidates), _array(upstream), gradients[0].numpy())
        _modulus_gradient(_array(candidates), _array(queries), _array(upstream.T), gradients[1].numpy())
        return gradients


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()

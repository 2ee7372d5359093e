"""Blocks of scores: queries by candidates."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from kelbench.scoring import Similarity

# A tile of candidate rows is reused from the cache by many queries.
_TILE = 64

# Summation may be reordered for speed; the order is then the same for every pair, so that equal rows tie exactly.
# Infinities and NaN keep their meaning.
_FAST = {"reassoc", "contract", "nsz"}


def score_block(similarity: Similarity, queries: Tensor, candidates: Tensor) -> np.ndarray:
    """Scores `(q, n)` of queries `(q, width)` with candidates `(n, width)`, in their dtype, on the CPU.

    Dot products and cosines are one matrix product; distances are summed pair by pair.
    """
    match similarity:
        case "dot":
            return (queries @ candidates.T).numpy()
        case "cosine":
            normalized = torch.nn.functional.normalize(queries, dim=-1)
            return (normalized @ torch.nn.functional.normalize(candidates, dim=-1).T).numpy()
        case "l1":
            kernel = _l1
        case "l2":
            kernel = _l2
        case "complex_modulus":
            kernel = _complex_modulus
    scores = np.empty((len(queries), len(candidates)), dtype=queries.numpy().dtype)
    kernel(queries.contiguous().numpy(), candidates.contiguous().numpy(), scores)
    return scores


@njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _l1(queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
    width = queries.shape[1]
    for tile in prange((candidates.shape[0] + _TILE - 1) // _TILE):
        for q in range(queries.shape[0]):
            for c in range(tile * _TILE, min((tile + 1) * _TILE, candidates.shape[0])):
                total = queries.dtype.type(0)
                for i in range(width):
                    total += abs(queries[q, i] - candidates[c, i])
                scores[q, c] = -total


@njit(parallel=True, cache=True, fastmath=_FAST)  # type: ignore[untyped-decorator]
def _l2(queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
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
def _complex_modulus(queries: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
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

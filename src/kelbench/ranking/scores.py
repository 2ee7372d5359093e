"""Blocks of scores: queries by candidates."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kelbench.distance_kernels import l1_distances, l2_distances, modulus_distances
from kelbench.scoring import Similarity


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
            kernel = l1_distances
        case "l2":
            kernel = l2_distances
        case "complex_modulus":
            kernel = modulus_distances
    scores = np.empty((len(queries), len(candidates)), dtype=queries.numpy().dtype)
    kernel(queries.contiguous().numpy(), candidates.contiguous().numpy(), scores)
    return scores

"""The compiled similarities as differentiable operations of torch, for tensors on the CPU."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from kelbench.kernels import similarities
from kelbench.kernels.rows import group_by_entity

Compiled = Literal["dot", "l1", "l2", "complex_modulus"]
_LOOPS = {
    "dot": similarities.DOT,
    "l1": similarities.L1,
    "l2": similarities.L2,
    "complex_modulus": similarities.COMPLEX_MODULUS,
}


class TableScores(torch.autograd.Function):
    """Scores `(q, n)` of every query `(q, width)` with every row `(n, width)`."""

    @staticmethod
    def forward(context: Any, similarity: Compiled, queries: Tensor, rows: Tensor) -> Tensor:  # type: ignore[override]
        """Fill the scores."""
        scores = torch.empty(len(queries), len(rows), dtype=queries.dtype)
        _LOOPS[similarity].table_scores(_array(queries), _array(rows), scores.numpy())
        context.similarity = similarity
        context.save_for_backward(queries, rows, scores)
        return scores

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[None, Tensor, Tensor]:  # type: ignore[override]
        """Gradients of queries and rows."""
        queries, rows, scores = context.saved_tensors
        gradients = torch.zeros_like(queries), torch.zeros_like(rows)
        gradient_of = _LOOPS[context.similarity].table_gradient
        gradient_of(_array(queries), _array(rows), _array(scores), _array(upstream), gradients[0].numpy())
        gradient_of(_array(rows), _array(queries), _array(scores.T), _array(upstream.T), gradients[1].numpy())
        return None, *gradients


class DrawnScores(torch.autograd.Function):
    """Scores `(q, k)` of each query `(q, width)` with `rows[ids]` of its own; `ids` is int64 `(q, k)`."""

    @staticmethod
    def forward(  # type: ignore[override]
        context: Any, similarity: Compiled, queries: Tensor, rows: Tensor, ids: Tensor
    ) -> Tensor:
        """Fill the scores."""
        scores = torch.empty(ids.shape, dtype=queries.dtype)
        _LOOPS[similarity].drawn_scores(_array(queries), _array(rows), _array(ids), scores.numpy())
        context.similarity = similarity
        context.save_for_backward(queries, rows, ids, scores)
        return scores

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[None, Tensor, Tensor, None]:  # type: ignore[override]
        """Gradients of queries and rows."""
        queries, rows, ids, scores = context.saved_tensors
        loops = _LOOPS[context.similarity]
        arrays = _array(queries), _array(rows)
        weights = _array(scores), _array(upstream)
        gradients = torch.zeros_like(queries), torch.zeros_like(rows)
        loops.drawn_query_gradient(*arrays, _array(ids), *weights, gradients[0].numpy())
        used, _, offsets, order = group_by_entity(_array(ids).reshape(-1), len(rows))
        if len(used) < len(rows):
            counts = np.zeros(len(rows), dtype=np.int64)
            counts[used] = np.diff(offsets)
            offsets = np.append(0, np.cumsum(counts))
        loops.drawn_row_gradient(*arrays, offsets, order, *weights, gradients[1].numpy())
        return None, *gradients, None


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()

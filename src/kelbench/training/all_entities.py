"""Cross-entropy over all entities and its gradients, a few queries at a time: no more scores exist than a block."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from kelbench.scoring import Similarity, similarity_matrix

Precision = Literal["float32", "bfloat16"]
SCORE_BLOCK_BYTES = 32 << 20


def cross_entropy_over_entities(
    similarity: Similarity,
    queries: Tensor,
    candidates: Tensor,
    offsets: Tensor,
    answers: Tensor,
    precision: Precision,
    block_bytes: int = SCORE_BLOCK_BYTES,
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over all (query, answer) pairs of -log softmax of the answer among all candidates, and its gradients.

    The loss of Lacroix et al. 2018 (Eq. 4), for queries that may have several answers: with n answers a query's
    gradient with respect to its scores is n softmax(scores) less 1 at each answer.

    Args:
        similarity: what compares queries with candidates.
        queries: `(q, width)`.
        candidates: `(n, width)`.
        offsets: int64 `(q + 1,)`, on the host: query i has the answers `answers[offsets[i]:offsets[i + 1]]`.
        answers: int64, on the host, none twice for one query.
        precision: of the matrix products of a dot product. bfloat16 keeps 8 bits of each factor and of each score; sums
            are float32 either way.
        block_bytes: memory for the scores of the queries that are scored together.

    Returns:
        the loss, a scalar; its gradients with respect to queries and candidates.
    """
    query_gradient, candidate_gradient = torch.empty_like(queries), torch.zeros_like(candidates)
    counts = torch.diff(offsets)
    query_of_answer = torch.repeat_interleave(torch.arange(len(queries)), counts)
    weights = (counts.to(queries.dtype) / len(answers)).to(queries.device, non_blocking=True)
    total = queries.new_zeros(())
    per_block = max(1, int(block_bytes // (len(candidates) * candidates.element_size())))
    rounded = candidates.bfloat16() if precision == "bfloat16" and similarity == "dot" else candidates
    for begin in range(0, len(queries), per_block):
        end = min(begin + per_block, len(queries))
        here = slice(int(offsets[begin]), int(offsets[end]))
        places = (query_of_answer[here] - begin) * len(candidates) + answers[here]
        places = places.to(queries.device, non_blocking=True)
        block = queries[begin:end]
        if similarity == "dot":
            block = block.to(rounded.dtype)
            scores = torch.mm(block, rounded.T).to(queries.dtype)
            upstream, share = _softmax_gradient(scores, places, weights[begin:end], len(answers))
            upstream = upstream.to(rounded.dtype)
            query_gradient[begin:end] = torch.mm(upstream, rounded)
            candidate_gradient += torch.mm(upstream.T, block)
        else:
            leaves = block.detach().requires_grad_(), candidates.detach().requires_grad_()
            scores = similarity_matrix(similarity, *leaves)
            upstream, share = _softmax_gradient(scores.detach(), places, weights[begin:end], len(answers))
            query_gradient[begin:end], part = torch.autograd.grad(scores, leaves, upstream)
            candidate_gradient += part
        total += share
    return total, query_gradient, candidate_gradient


def _softmax_gradient(scores: Tensor, places: Tensor, weights: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
    """Gradient of a block's share of the mean loss with respect to `scores`, and that share.

    `places` are the answers' positions in the flattened scores, `weights` `(queries,)` their answers over all pairs.
    """
    normalizer = torch.logsumexp(scores, dim=1)
    share = (weights * normalizer).sum() - scores.view(-1)[places].sum() / pairs
    gradient = (scores - normalizer[:, None]).exp_().mul_(weights[:, None])
    gradient.view(-1)[places] -= 1 / pairs
    return gradient, share

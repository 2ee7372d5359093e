"""Losses over all entities and their gradients, a few queries at a time: no more scores exist than a block."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from kelbench.scoring import Similarity, similarity_matrix

Precision = Literal["float32", "bfloat16"]
SCORE_BLOCK_BYTES = 32 << 20
# On a CPU torch keeps a compiled product, with its memory, for every number of rows that it multiplies in bfloat16.
_BFLOAT16_ROWS = 64
# e to the power of less is taken for 0: it is lost in any sum here, and processors are many times slower at numbers so
# small that float32 has few bits for them. Distances reach there, products hardly ever.
_LEAST_EXPONENT = -60.0

# (scores of a block of queries `(b, n)`, the answers' positions in them flattened, which queries these are) -> the
# loss's gradient with respect to the scores, and the block's share of the loss.
BlockLoss = Callable[[Tensor, Tensor, slice], tuple[Tensor, Tensor]]


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
    weights = (torch.diff(offsets).to(queries.dtype) / len(answers)).to(queries.device, non_blocking=True)

    def softmax(scores: Tensor, places: Tensor, which: slice) -> tuple[Tensor, Tensor]:
        return _softmax_gradient(scores, places, weights[which], len(answers), cut=similarity != "dot")

    return _over_blocks(softmax, similarity, queries, candidates, offsets, answers, precision, block_bytes)


def binary_cross_entropy_over_entities(
    similarity: Similarity,
    queries: Tensor,
    candidates: Tensor,
    offsets: Tensor,
    answers: Tensor,
    label_smoothing: float = 0.0,
    margin: float = 0.0,
    precision: Precision = "float32",
    block_bytes: int = SCORE_BLOCK_BYTES,
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over all (query, candidate) pairs of -y log sigmoid(s) - (1 - y) log sigmoid(-s), and its gradients.

    The loss of Dettmers et al. 2018 (Eq. 2), with targets as in its code and in that of Vashishth et al. 2020: with
    label smoothing e, y = (1 - e) [the candidate is an answer] + 1 / n, which sums to more than the answers; without,
    y is 1 or 0. s is the margin plus the similarity.

    Args:
        similarity: what compares queries with candidates.
        queries: `(q, width)`.
        candidates: `(n, width)`.
        offsets: int64 `(q + 1,)`, on the host: query i has the answers `answers[offsets[i]:offsets[i + 1]]`.
        answers: int64, on the host, none twice for one query.
        label_smoothing: e.
        margin: added to all scores.
        precision: as in `cross_entropy_over_entities`.
        block_bytes: memory for the scores of the queries that are scored together.

    Returns:
        the loss, a scalar; its gradients with respect to queries and candidates.
    """
    pairs = len(queries) * len(candidates)
    lowest = 1 / len(candidates) if label_smoothing else 0.0

    def sigmoid(scores: Tensor, places: Tensor, which: slice) -> tuple[Tensor, Tensor]:
        scores = scores + margin if margin else scores
        right = scores.view(-1)[places].sum()
        share = F.softplus(scores.clamp(min=_LEAST_EXPONENT)).sum() - (1 - label_smoothing) * right
        if lowest:
            share = share - lowest * scores.sum()
        gradient = torch.sigmoid(scores).sub_(lowest)
        gradient.view(-1)[places] -= 1 - label_smoothing
        return gradient.div_(pairs), share / pairs

    return _over_blocks(sigmoid, similarity, queries, candidates, offsets, answers, precision, block_bytes)


def _over_blocks(
    block_loss: BlockLoss,
    similarity: Similarity,
    queries: Tensor,
    candidates: Tensor,
    offsets: Tensor,
    answers: Tensor,
    precision: Precision,
    block_bytes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of the blocks' shares of a loss, and its gradients with respect to queries and candidates."""
    query_gradient, candidate_gradient = torch.empty_like(queries), torch.zeros_like(candidates)
    query_of_answer = torch.repeat_interleave(torch.arange(len(queries)), torch.diff(offsets))
    total = queries.new_zeros(())
    per_block = max(1, int(block_bytes // (len(candidates) * candidates.element_size())))
    rounded = candidates.bfloat16() if precision == "bfloat16" and similarity == "dot" else candidates
    # Never more than a block: of many candidates a few queries fill it.
    multiple = min(_BFLOAT16_ROWS, per_block) if rounded.dtype == torch.bfloat16 else 1
    per_block -= per_block % multiple
    for begin in range(0, len(queries), per_block):
        which = slice(begin, min(begin + per_block, len(queries)))
        here = slice(int(offsets[which.start]), int(offsets[which.stop]))
        places = (query_of_answer[here] - begin) * len(candidates) + answers[here]
        places = places.to(queries.device, non_blocking=True)
        block = queries[which]
        if similarity == "dot":
            block = _rounded_up(block.to(rounded.dtype), multiple)
            scores = torch.mm(block, rounded.T)[: which.stop - which.start].to(queries.dtype)
            upstream, share = block_loss(scores, places, which)
            upstream = _rounded_up(upstream.to(rounded.dtype), multiple)
            query_gradient[which] = torch.mm(upstream, rounded)[: which.stop - which.start]
            candidate_gradient += torch.mm(upstream.T, block)
        else:
            leaves = block.detach().requires_grad_(), candidates.detach().requires_grad_()
            scores = similarity_matrix(similarity, *leaves)
            upstream, share = block_loss(scores.detach(), places, which)
            query_gradient[which], part = torch.autograd.grad(scores, leaves, upstream)
            candidate_gradient += part
        total += share
    return total, query_gradient, candidate_gradient


def _rounded_up(rows: Tensor, multiple: int) -> Tensor:
    """The rows, and rows of zeros up to a multiple."""
    return F.pad(rows, (0, 0, 0, -len(rows) % multiple)) if len(rows) % multiple else rows


def _softmax_gradient(scores: Tensor, places: Tensor, weights: Tensor, pairs: int, cut: bool) -> tuple[Tensor, Tensor]:
    """Gradient of a block's share of the mean loss with respect to `scores`, and that share.

    `places` are the answers' positions in the flattened scores, `weights` `(queries,)` their answers over all pairs;
    `cut` says whether exponents reach `_LEAST_EXPONENT`.
    """
    # As logsumexp and softmax together, with one exponential of each score instead of two.
    top = scores.amax(dim=1)
    exponentials = scores - top[:, None]
    if cut:
        exponentials = exponentials.clamp_(min=_LEAST_EXPONENT).exp_()
        F.threshold(exponentials, 2 * math.exp(_LEAST_EXPONENT), 0.0, inplace=True)
    else:
        exponentials = exponentials.exp_()
    sums = exponentials.sum(dim=1)
    share = (weights * (top + sums.log())).sum() - scores.view(-1)[places].sum() / pairs
    gradient = exponentials.mul_((weights / sums)[:, None])
    gradient.view(-1)[places] -= 1 / pairs
    return gradient, share

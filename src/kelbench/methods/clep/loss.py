"""The contrastive losses, over a matrix of scores: queries by descriptions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

# Less than any score: its exponential is 0, and unlike -inf it leaves a row of nothing else with a finite gradient.
_NOTHING = -1e30
# Less than any sum of such exponentials that has a term.
_NO_SUM = 1e-37
# Below any score, which is at most 100, and near enough for differences to be exact.
_LOWEST_TOP = -1e6
# Rows and columns of scores up to this size may share one table of exponentials: float32 holds e^(-2 * 40).
_SHARED = 40.0

Places = tuple[Tensor, Tensor]


def contrastive_loss(scores: Tensor, positive: Places, excluded: Places, column_loss: bool = True) -> Tensor:
    """Mean over positive pairs of -log softmax of a pair among it and the negatives of its row, and of its column.

    With a square matrix whose diagonal is positive and excluded this is the loss of CLEP's slides, (CE(M) + CE(M^T))
    / 2 with the diagonal as target (Radford et al. 2021, Figure 3). Columns without a positive pair have no loss.

    Args:
        scores: `(q, n)`.
        positive: rows and columns, int64 `(p,)` each.
        excluded: rows and columns, int64 `(m,)` each: no negatives; the positive pairs among them.
        column_loss: False for the rows' loss alone.
    """
    if not column_loss:
        return _loss(scores, positive, excluded, columns=False)
    low, high = torch.aminmax(scores.detach())
    if bool(torch.maximum(-low, high) <= _SHARED):
        return _loss(scores, positive, excluded, columns=True)
    turned = _loss(scores.T, positive[::-1], excluded[::-1], columns=False)
    return (_loss(scores, positive, excluded, columns=False) + turned) / 2


def multihot_loss(scores: Tensor, right: Places, label_transposed: bool = True) -> Tensor:
    """The loss of CLEP's released code: symmetric cross-entropy with every known answer as a target of weight 1.

    The targets of a row are not divided by their number. The released code asks the columns for the rows' targets,
    `cross_entropy(logits.T, label)`, which `label_transposed=False` repeats.

    Args:
        scores: `(b, b)`: query i with the description of answer j.
        right: rows and columns of the known answers, the diagonal among them.
        label_transposed: whether the columns' targets are the transposed ones.
    """
    label = torch.zeros_like(scores)
    label[right] = 1.0
    turned = label.T if label_transposed else label
    return (F.cross_entropy(scores, label) + F.cross_entropy(scores.T, turned)) / 2


def _loss(scores: Tensor, positive: Places, excluded: Places, columns: bool) -> Tensor:
    of_rows, of_columns, right = _NegativeSums.apply(scores, positive, excluded, columns)  # type: ignore[no-untyped-call]
    loss = F.softplus(of_rows[positive[0]] - right).mean()
    return (loss + F.softplus(of_columns[positive[1]] - right).mean()) / 2 if columns else loss


class _NegativeSums(torch.autograd.Function):
    """log sum exp of the negatives of each row and, if asked for, of each column, and the positive scores.

    One table of exponentials serves rows, columns and both gradients, where torch's own graph makes several
    (benchmarks/contrastive_loss.py). Rows are exact whatever the scores, columns as long as they are at most _SHARED.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, positive: Places, excluded: Places, both: bool) -> tuple[Tensor, ...]:
        exponentials = scores.index_put(excluded, scores.new_tensor(_NOTHING))
        # A row of nothing else keeps exponentials of 0.
        top = exponentials.amax(1).clamp_(min=_LOWEST_TOP)
        exponentials.sub_(top[:, None]).exp_()
        rows = exponentials.sum(1)
        most = top.amax()
        share = (top - most).exp()
        columns = share @ exponentials if both else rows.new_zeros(scores.shape[1])
        ctx.both = both
        ctx.save_for_backward(exponentials, rows.clamp(min=_NO_SUM), columns.clamp(min=_NO_SUM), share, *positive)
        return _log(rows) + top, _log(columns) + most, scores[positive]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        exponentials, rows, columns, share, *positive = ctx.saved_tensors
        of_rows, of_columns, of_positive = gradients
        factors = (of_rows / rows)[:, None]
        if ctx.both:
            factors = torch.addmm(factors, share[:, None], (of_columns / columns)[None])
        # What has no negatives has no gradient here: it is divided by _NO_SUM instead of 0.
        gradient = exponentials * factors
        gradient.index_put_(tuple(positive), of_positive, accumulate=True)
        return gradient, None, None, None


def _log(sums: Tensor) -> Tensor:
    return torch.where(sums > 0, sums.log(), _NOTHING)

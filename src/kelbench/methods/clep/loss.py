"""The contrastive losses, over a matrix of scores: queries by descriptions."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

# Less than any score: its exponential is 0, and unlike -inf it leaves a row of nothing else with a finite gradient.
_NOTHING = -1e30

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
    loss = _row_loss(scores, positive, excluded)
    if not column_loss:
        return loss
    asked, place = torch.unique(positive[1], return_inverse=True)
    position = torch.full((scores.shape[1],), -1, device=scores.device)
    position[asked] = torch.arange(len(asked), device=scores.device)
    kept = position[excluded[1]] >= 0
    columns = scores if len(asked) == scores.shape[1] else scores[:, asked]
    turned = _row_loss(columns.T, (place, positive[0]), (position[excluded[1][kept]], excluded[0][kept]))
    return (loss + turned) / 2


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


def _row_loss(scores: Tensor, positive: Places, excluded: Places) -> Tensor:
    nothing = torch.full((), _NOTHING, dtype=scores.dtype, device=scores.device)
    negatives = torch.logsumexp(scores.index_put(excluded, nothing), dim=1)
    return F.softplus(negatives[positive[0]] - scores[positive]).mean()

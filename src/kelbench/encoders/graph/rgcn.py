"""R-GCN: a matrix a relation, made of shared bases."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kelbench.encoders.dropout import dropout
from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.graph.weights import xavier


class RGCNLayer(nn.Module):
    """One layer of R-GCN (Schlichtkrull et al. 2018, Equation 2) with the basis decomposition (Equation 3).

        h_i = tanh(BatchNorm(D(sum over r of the mean over j in N_i^r of W_r h_j) + W_0 h_i)),  W_r = sum of a_rb V_b

    Inverse relations are relations of their own. Batch normalization, tanh and dropout D of the messages are those of
    `CompGCNLayer`, so that the two differ in their messages alone; the paper has ReLU and drops edges. W_r is applied
    once a (node, relation) that occurs, see `PairMatrices`, as one product of dense matrices a relation.
    """

    def __init__(
        self,
        width: int,
        num_relations: int,
        bases: int,
        dropout: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.bases = xavier(bases, width, width, generator=generator)
        self.coefficients = xavier(2 * num_relations, bases, generator=generator)
        self.loop = xavier(width, width, generator=generator)
        self.normalization = nn.BatchNorm1d(width)

    def forward(self, nodes: Tensor, adjacency: Adjacency) -> Tensor:
        """New vectors `(nodes, width)` of nodes."""
        # Autocast may multiply in bfloat16: what follows does not.
        total = (nodes @ self.loop).to(nodes.dtype)
        if not adjacency.empty:
            total = total + dropout(self._messages(nodes, adjacency), self.dropout, self.training)
        return torch.tanh(self.normalization(total))

    def _messages(self, nodes: Tensor, adjacency: Adjacency) -> Tensor:
        pairs = adjacency.means
        matrices = (self.coefficients @ self.bases.flatten(1)).unflatten(1, self.bases.shape[1:])
        parts = pairs.gather.product(nodes).split(pairs.sizes)
        transformed = [part @ matrix for part, matrix in zip(parts, matrices.unbind(), strict=True)]
        return pairs.scatter.product(torch.cat(transformed).to(nodes.dtype))

"""CompGCN: messages composed of a neighbour's vector and the relation's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from kelbench.encoders.dropout import dropout
from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.graph.weights import xavier

Composition = Literal["sub", "mult", "corr"]


class CompGCNLayer(nn.Module):
    """One layer of CompGCN (Vashishth et al. 2020, Section 4), laid out as in its released code.

        h_v = tanh(BatchNorm((D(sum of W_in phi(x_u, z_r)) + D(sum of W_out phi(x_u, z_r)) + W_loop phi(x_v, z)) / 3))
        h_r = W_rel z_r

    The sums go over the neighbours u of v in the direction "in" and "out", weighted as `Adjacency` says; D is dropout;
    z is a relation of the layer's own for the self-loop. Sums are formed before W is applied, which is linear. The
    released code has an optional bias of the total, which batch normalization takes out again; there is none here.

    `sub` and its gradient take one sparse product each, of both directions at once. `mult` and `corr` compose once a
    (node, relation) that occurs, see `PairMatrices`; `corr` does so in the Fourier domain, with one transform a node
    and relation and one back a node. On a graph without edges only the self-loop is left.
    """

    def __init__(
        self, width: int, composition: Composition, dropout: float = 0.1, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.sums = _SUMS[composition]
        self.compose = _COMPOSITIONS[composition]
        self.dropout = dropout
        self.directions = xavier(2, width, width, generator=generator)
        self.loop = xavier(width, width, generator=generator)
        self.relation = xavier(width, width, generator=generator)
        self.loop_relation = xavier(1, width, generator=generator)
        self.normalization = nn.BatchNorm1d(width)

    def forward(self, nodes: Tensor, relations: Tensor, adjacency: Adjacency) -> tuple[Tensor, Tensor]:
        """New vectors `(nodes, width)` and `(2 relations, width)` of nodes and relations."""
        # A third of each sum, taken of the small matrices. Autocast may multiply in bfloat16: what follows does not.
        total = (self.compose(nodes, self.loop_relation) @ (self.loop / 3)).to(nodes.dtype)
        if not adjacency.empty:
            sums = self.sums(nodes, relations, adjacency).view(2, *nodes.shape)
            transformed = torch.bmm(sums, self.directions / 3).to(nodes.dtype)
            total = total + dropout(transformed, self.dropout, self.training).sum(0)
        return torch.tanh(self.normalization(total)), (relations @ self.relation).to(relations.dtype)


def _sub(node: Tensor, relation: Tensor) -> Tensor:
    return node + -relation  # of two gradients negated, that of one relation is the smaller


def _mult(node: Tensor, relation: Tensor) -> Tensor:
    return node * relation


def _corr(node: Tensor, relation: Tensor) -> Tensor:
    """Circular correlation (Nickel et al. 2016, Equation 7): component k is the sum of a_i b_(k + i mod width)."""
    return torch.fft.irfft(torch.fft.rfft(node).conj() * torch.fft.rfft(relation), node.shape[-1])


def _sub_sums(nodes: Tensor, relations: Tensor, adjacency: Adjacency) -> Tensor:
    return adjacency.differences.product(torch.cat([nodes, relations]))


def _mult_sums(nodes: Tensor, relations: Tensor, adjacency: Adjacency) -> Tensor:
    pairs = adjacency.compositions
    return pairs.scatter.product(pairs.gather.product(nodes) * pairs.select.product(relations))


def _corr_sums(nodes: Tensor, relations: Tensor, adjacency: Adjacency) -> Tensor:
    pairs = adjacency.compositions
    node = _complex(pairs.gather.product(_real(torch.fft.rfft(nodes))))
    relation = _complex(pairs.select.product(_real(torch.fft.rfft(relations))))
    sums = pairs.scatter.product(_real(node.conj() * relation))
    return torch.fft.irfft(_complex(sums), nodes.shape[1])


def _real(values: Tensor) -> Tensor:
    return torch.view_as_real(values.resolve_conj()).flatten(1)


def _complex(values: Tensor) -> Tensor:
    return torch.view_as_complex(values.unflatten(1, (-1, 2)))


_COMPOSITIONS: dict[Composition, Callable[[Tensor, Tensor], Tensor]] = {"sub": _sub, "mult": _mult, "corr": _corr}
_SUMS: dict[Composition, Callable[[Tensor, Tensor, Adjacency], Tensor]] = {
    "sub": _sub_sums,
    "mult": _mult_sums,
    "corr": _corr_sums,
}

"""Decoders of graph encoders: what makes a query vector of a node's vector and a relation's.

Heads are asked for as tails of the inverse relation, so each has one direction. All compute in the dtype of the rows
that they are given, whatever that of their own weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from kelbench.config.graph_decoders import ConvolutionSettings, DecoderKind
from kelbench.encoders.dropout import dropout
from kelbench.scoring import Similarity

# Outside training, images are convolved so many at a time: in float64 each takes megabytes.
_IMAGES_AT_ONCE = 256


class TransE(nn.Module):
    """-||h + r - e||_1 (Bordes et al. 2013, Equation 1, in the L1 norm as in the code of Vashishth et al. 2020)."""

    similarity: Similarity = "l1"

    def forward(self, given: Tensor, relations: Tensor, asked: Tensor) -> Tensor:
        """Queries `(q, width)` of node rows and relation rows, both `(q, width)`; `asked` is not needed."""
        return given + relations


class DistMult(nn.Module):
    """The sum of h r e (Yang et al. 2015, Equation 2 with a diagonal matrix)."""

    similarity: Similarity = "dot"

    def forward(self, given: Tensor, relations: Tensor, asked: Tensor) -> Tensor:
        """Queries `(q, width)` of node rows and relation rows, both `(q, width)`; `asked` is not needed."""
        return given * relations


class RESCAL(nn.Module):
    """h^T W_r e (Nickel et al. 2011, Equation 1), with a matrix for each relation and each inverse.

    The graph encoder's vectors of relations are not used.
    """

    similarity: Similarity = "dot"

    def __init__(self, width: int, num_relations: int, generator: torch.Generator | None = None) -> None:
        """Draw initial weights, normal of standard deviation 1 / width."""
        super().__init__()
        # Scores begin as small as DistMult's; with xavier weights the loss is at first far above that of equal scores.
        self.matrices = nn.Parameter(torch.randn(2 * num_relations, width, width, generator=generator) / width)

    def forward(self, given: Tensor, relations: Tensor, asked: Tensor) -> Tensor:
        """Queries W_r^T h `(q, width)` of node rows `(q, width)`.

        Args:
            given: node rows.
            relations: not needed.
            asked: int64 `(q,)`: relations, those of the inverses from `num_relations` on.
        """
        # One product of dense matrices a relation.
        order = torch.argsort(asked, stable=True)
        used, counts = torch.unique_consecutive(asked[order], return_counts=True)
        parts = given[order].split(counts.tolist())
        matrices = self.matrices[used].to(given.dtype).unbind()
        products = torch.cat([part @ matrix for part, matrix in zip(parts, matrices, strict=True)])
        return products[torch.argsort(order)]


class ConvE(nn.Module):
    """f(vec(f([h; r] * w)) W) . e (Dettmers et al. 2018, Equation 1), laid out as in the code of Vashishth et al. 2020.

    There the numbers of h and r alternate in the image, where Dettmers et al. set h above r. Batch normalization is
    applied to the image, to the output of each filter and to the projection; dropout to the rectified outputs of the
    filters and, before its normalization, to the projection. What is projected holds all filters of a place of the
    image side by side, where the code holds all places of a filter: the columns of W are in another order.
    """

    similarity: Similarity = "dot"

    def __init__(self, width: int, settings: ConvolutionSettings, generator: torch.Generator | None = None) -> None:
        """Draw initial weights, uniform in +-1 / sqrt(fan in) as those of torch's layers."""
        super().__init__()
        self.settings = settings
        kernel, filters = settings.kernel, settings.filters
        self.shape = (1, 2 * settings.rows, settings.columns)
        flat = filters * (self.shape[1] - kernel + 1) * (self.shape[2] - kernel + 1)
        self.filters = _uniform(filters, 1, kernel, kernel, fan_in=kernel**2, generator=generator)
        self.projection = _uniform(width, flat, fan_in=flat, generator=generator)
        self.projection_bias = _uniform(width, fan_in=flat, generator=generator)
        self.of_image = nn.BatchNorm2d(1)
        self.of_filters = nn.BatchNorm1d(filters)
        self.of_query = nn.BatchNorm1d(width)

    def forward(self, given: Tensor, relations: Tensor, asked: Tensor) -> Tensor:
        """Queries `(q, width)` of node rows and relation rows, both `(q, width)`; `asked` is not needed."""
        images = torch.stack((given, relations), dim=2).reshape(-1, *self.shape)
        if self.training:
            return self._queries(images)
        return torch.cat([self._queries(some) for some in images.split(_IMAGES_AT_ONCE)])

    def _queries(self, images: Tensor) -> Tensor:
        settings, dtype = self.settings, images.dtype
        convolved = _convolved(_normalized(images, self.of_image), self.filters.to(dtype))
        features = F.relu(_normalized(convolved, self.of_filters)).view(len(images), -1)
        features = dropout(features, settings.feature_dropout, self.training)
        projected = F.linear(features, self.projection.to(dtype), self.projection_bias.to(dtype))
        projected = dropout(projected, settings.hidden_dropout, self.training)
        return F.relu(_normalized(projected, self.of_query))


Decoder = TransE | DistMult | RESCAL | ConvE


def make_decoder(
    kind: DecoderKind,
    width: int,
    num_relations: int,
    convolution: ConvolutionSettings | None = None,
    generator: torch.Generator | None = None,
) -> Decoder:
    """The decoder of that name, with initial weights.

    Args:
        kind: which.
        width: numbers in a node's vector.
        num_relations: relations, inverses not counted.
        convolution: of `conve`.
        generator: what weights are drawn from.

    Raises:
        ValueError: `conve` comes without its settings.
    """
    if kind == "transe":
        return TransE()
    if kind == "distmult":
        return DistMult()
    if kind == "rescal":
        return RESCAL(width, num_relations, generator)
    if convolution is None:
        raise ValueError("conve needs settings of its convolution")
    return ConvE(width, convolution, generator)


def _uniform(*shape: int, fan_in: int, generator: torch.Generator | None) -> nn.Parameter:
    return nn.Parameter((torch.rand(*shape, generator=generator) * 2 - 1) * fan_in**-0.5)


def _convolved(images: Tensor, filters: Tensor) -> Tensor:
    """Outputs `(images * places, filters)` of filters `(filters, 1, k, k)` at all places of images `(images, 1, a, b)`.

    As one product with the windows of the images: of one channel that is faster than torch's convolution on a CPU,
    gradients included (benchmarks/convolution.py).
    """
    kernel = filters.shape[-1]
    windows = images[:, 0].unfold(1, kernel, 1).unfold(2, kernel, 1)
    return windows.reshape(-1, kernel**2) @ filters.flatten(1).T


def _normalized(values: Tensor, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Tensor:
    """Batch normalization in the dtype of `values`; by the running statistics where a single row has none of its own.

    The last batch of an epoch may hold one query.
    """
    if norm.training and values.numel() > values.shape[1]:
        return norm(values)
    mean, variance, weight, bias = (
        tensor if tensor is None else tensor.to(values.dtype)
        for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return F.batch_norm(values, mean, variance, weight, bias, training=False, eps=norm.eps)

"""Encoders of a whole graph: node features, then layers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from kelbench.config.graph_encoder import GraphEncoderSettings
from kelbench.encoders.dropout import dropout
from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.graph.compgcn import CompGCNLayer, Composition
from kelbench.encoders.graph.rgcn import RGCNLayer
from kelbench.encoders.graph.weights import xavier

GraphLayers = Literal["compgcn", "rgcn"]


class GraphEncoder(nn.Module):
    """Vectors of all nodes and relations of a graph.

    The features of a node are a free vector, a learned linear projection of a vector of its text, or the sum of both.
    Only text alone carries over to a graph of other nodes. Dropout inside a layer falls on its messages, that after a
    layer on its nodes; the last layer is like the others, activation and dropout included, as in the released code of
    CompGCN (Vashishth et al. 2020) and of CLEP.
    """

    def __init__(
        self,
        kind: GraphLayers,
        width: int,
        num_relations: int,
        layers: int = 2,
        composition: Composition = "sub",
        bases: int = 64,
        dropout: float = 0.1,
        layer_dropout: float = 0.3,
        free_nodes: int | None = None,
        text_width: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw initial weights.

        Args:
            kind: `compgcn` transforms relations in each layer; `rgcn` has one matrix a relation, and the vectors of
                relations that it returns are a table of their own.
            width: of features, hidden vectors and output.
            num_relations: relations, inverses not counted.
            layers: how many; without any, features are returned.
            composition: of `compgcn`.
            bases: of `rgcn`.
            dropout: inside a layer.
            layer_dropout: after each layer.
            free_nodes: how many nodes there are, to give each a free vector.
            text_width: width of the nodes' text vectors.
            generator: what weights are drawn from.

        Raises:
            ValueError: neither `free_nodes` nor `text_width` is given, or `kind` is another.
        """
        super().__init__()
        if free_nodes is None and text_width is None:
            raise ValueError("nodes need features: expected free_nodes, text_width or both")
        if kind not in ("compgcn", "rgcn"):
            raise ValueError(f"expected kind compgcn or rgcn, found {kind!r}")
        self.num_relations, self.layer_dropout = num_relations, layer_dropout
        self.free = None if free_nodes is None else xavier(free_nodes, width, generator=generator)
        self.projection = None if text_width is None else xavier(text_width, width, generator=generator)
        self.relation = xavier(2 * num_relations, width, generator=generator)
        self.layers = nn.ModuleList(
            CompGCNLayer(width, composition, dropout, generator)
            if kind == "compgcn"
            else RGCNLayer(width, num_relations, bases, dropout, generator)
            for _ in range(layers)
        )

    @classmethod
    def of(
        cls,
        settings: GraphEncoderSettings,
        num_relations: int,
        num_nodes: int,
        text_width: int,
        generator: torch.Generator,
    ) -> GraphEncoder:
        """The encoder that settings ask for; of `num_nodes` and `text_width` it takes what its features need."""
        return cls(
            settings.kind,
            settings.width,
            num_relations,
            settings.layers,
            settings.composition or "sub",
            settings.bases or 1,
            settings.dropout,
            settings.layer_dropout,
            free_nodes=None if settings.features == "text" else num_nodes,
            text_width=None if settings.features == "free" else text_width,
            generator=generator,
        )

    def forward(self, adjacency: Adjacency, text: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Vectors float32 `(nodes, width)` of nodes and `(2 num_relations, width)` of relations and their inverses.

        Args:
            adjacency: the graph.
            text: `(nodes, text_width)`, where there is a projection.

        Raises:
            ValueError: the graph has another number of nodes than there are free vectors, or of relations, or the
                text is missing, of another shape, or not asked for.
        """
        if adjacency.num_relations != self.num_relations:
            raise ValueError(f"expected a graph of {self.num_relations} relations, found {adjacency.num_relations}")
        nodes, relations = self._features(adjacency.num_nodes, text), self.relation
        for layer in self.layers:
            if isinstance(layer, CompGCNLayer):
                nodes, relations = layer(nodes, relations, adjacency)
            else:
                nodes = layer(nodes, adjacency)
            nodes = dropout(nodes, self.layer_dropout, self.training)
        return nodes, relations

    def _features(self, num_nodes: int, text: Tensor | None) -> Tensor:
        # A table of more rows than there are nodes is refused too: another graph's nodes would get these nodes' rows.
        if self.free is not None and len(self.free) != num_nodes:
            raise ValueError(f"expected a graph of the {len(self.free)} nodes with free vectors, found {num_nodes}")
        if self.projection is None:
            if text is not None or self.free is None:
                raise ValueError("expected no text: this encoder has free vectors alone")
            return self.free
        shape = (num_nodes, len(self.projection))
        if text is None or text.shape != shape:
            raise ValueError(f"expected text of shape {shape}, found {None if text is None else tuple(text.shape)}")
        projected = (text @ self.projection).to(text.dtype)
        return projected if self.free is None else projected + self.free

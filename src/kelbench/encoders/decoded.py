"""Link predictors of a graph encoder and a decoder: its vectors of all nodes, and what makes queries of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.config.graph_decoders import ConvolutionSettings
from kelbench.config.graph_encoder import GraphEncoderSettings
from kelbench.encoders.decoders import Decoder, make_decoder
from kelbench.encoders.graph.encoder import GraphEncoder
from kelbench.encoders.model_file import read_model_file, understood, write_model_file
from kelbench.ranking.known_answers import Side
from kelbench.scoring import Similarity

_GRAPH = "graph."


@dataclass
class DecodedTables:
    """What ranks: a decoder's query of a node and a relation, against all nodes.

    Attributes:
        node: float32 `(entities, width)`, the graph encoder's vectors, mapped where it has a mapping.
        relation: float32 `(2 relations, width)`: those of the inverses follow, which ask for heads.
        bias: float32 `(entities,)`, added to an entity's scores; None for none.
        decoder: node and relation to query; in the state of use, not of training.
        notes: what else the file says: `graph`, the encoder's settings; `decoder`, its kind; `convolution`.
        weights: those of the graph encoder, `graph.NAME`, where others go on from them.
    """

    node: Tensor
    relation: Tensor
    bias: Tensor | None
    decoder: Decoder
    notes: dict[str, Any]
    weights: dict[str, Tensor]

    @property
    def similarity(self) -> Similarity:
        """What compares queries with answers."""
        return self.decoder.similarity

    @property
    def num_relations(self) -> int:
        """Relations, inverses not counted."""
        return len(self.relation) // 2

    @torch.no_grad()
    def queries(self, side: Side, entities: Tensor, relations: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Query vectors `(n, width)`, one wider with a bias; see `EmbeddingTables.queries`."""
        asked = relations + self.num_relations if side == "head" else relations
        vectors: Tensor = self.decoder(self.node[entities].to(dtype), self.relation[asked].to(dtype), asked)
        return vectors if self.bias is None else with_one(vectors)

    def candidates(self, entities: Tensor) -> Tensor:
        """Candidate rows `(n, width)`, one wider with a bias."""
        rows = self.node[entities]
        return rows if self.bias is None else with_bias(rows, self.bias[entities])

    def to(self, device: str) -> DecodedTables:
        """The same on a device."""
        bias = None if self.bias is None else self.bias.to(device)
        decoder = copy.deepcopy(self.decoder).to(device)
        return replace(self, node=self.node.to(device), relation=self.relation.to(device), bias=bias, decoder=decoder)

    def save(self, path: Path) -> None:
        """Write everything as one safetensors file; equal ones give equal bytes."""
        tensors = {"node": self.node, "relation": self.relation} | self.weights
        tensors |= {f"decoder.{name}": tensor for name, tensor in self.decoder.state_dict().items()}
        if self.bias is not None:
            tensors["bias"] = self.bias
        write_model_file(path, {k: t.detach().cpu().contiguous() for k, t in tensors.items()}, {"decoded": self.notes})

    @classmethod
    def restored(cls, path: Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> DecodedTables:
        """The tables of a file that has been read.

        Raises:
            UserError: it holds something else.
        """
        with understood(path):
            notes = dict(description["decoded"])
            node, relation, bias = tensors.pop("node"), tensors.pop("relation"), tensors.pop("bias", None)
            image = notes["convolution"]
            convolution = None if image is None else ConvolutionSettings.model_validate(image)
            decoder = make_decoder(notes["decoder"], node.shape[1], len(relation) // 2, convolution)
            stored = [name for name in tensors if name.startswith("decoder.")]
            decoder.load_state_dict({name.removeprefix("decoder."): tensors.pop(name) for name in stored})
            return cls(node, relation, bias, decoder.eval(), notes, weights=tensors)


def with_one(queries: Tensor) -> Tensor:
    """Queries `(q, width + 1)` that take an entity's bias once."""
    return torch.nn.functional.pad(queries, (0, 1), value=1.0)


def with_bias(nodes: Tensor, bias: Tensor) -> Tensor:
    """Candidate rows `(n, width + 1)` of nodes `(n, width)` and their biases `(n,)`."""
    return torch.cat((nodes, bias[:, None]), dim=1)


def graph_weights(encoder: GraphEncoder) -> dict[str, Tensor]:
    """A copy of an encoder's weights, named as a model's file has them."""
    return {f"{_GRAPH}{name}": tensor.detach().clone() for name, tensor in encoder.state_dict().items()}


def continue_from(path: Path, settings: GraphEncoderSettings, encoder: GraphEncoder) -> None:
    """Give a graph encoder the weights of the one in a trained model's file.

    Args:
        path: the file, of CLEP or of a decoder.
        settings: those of `encoder`; they must mean the same weights as the file's.
        encoder: changed in place.

    Raises:
        UserError: there is no file, no graph encoder in it, or one of another graph or other settings.
    """
    if not path.is_file():
        raise UserError(f"{path}: expected the model that this run starts from, found none; train that run first")
    description, tensors = read_model_file(path)
    notes = description.get("decoded") or description.get("aligned") or {}
    if "graph" not in notes:
        raise UserError(f"{path}: expected a model with a graph encoder to start from, found one without")
    with understood(path):
        stored = GraphEncoderSettings.model_validate(notes["graph"])
    if stored.architecture() != settings.architecture():
        raise UserError(f"{path}: expected a graph encoder of {settings.architecture()}, found {stored.architecture()}")
    weights = {name.removeprefix(_GRAPH): tensor for name, tensor in tensors.items() if name.startswith(_GRAPH)}
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    if {name: tuple(tensor.shape) for name, tensor in weights.items()} != shapes:
        raise UserError(
            f"{path}: expected a graph encoder of {len(encoder.relation) // 2} relations and of this run's "
            "entities, found weights of other shapes"
        )
    encoder.load_state_dict(weights)

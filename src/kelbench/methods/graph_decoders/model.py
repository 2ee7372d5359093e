"""The trained parts: graph encoder, mapping of nodes, decoder and entities' biases."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kelbench.config.graph_decoders import GraphDecoderSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import Head
from kelbench.encoders.decoded import DecodedTables, continue_from, graph_weights, with_bias, with_one
from kelbench.encoders.decoders import make_decoder
from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.graph.encoder import GraphEncoder
from kelbench.training.randomness import counter_generator, generator


class GraphDecoder(nn.Module):
    """score(h, r, e) = decoder(G(h), rho(r)) . G(e) + b_e, of vectors G(.), mapped or not, and rho of a graph encoder.

    Attributes:
        graph: nodes and relations to vectors.
        mapping: a linear map of nodes; None for none.
        decoder: node and relation to query.
        bias: b; None for none.
        training_graph: the edges along which messages go, those of training triples.
    """

    def __init__(
        self,
        settings: GraphDecoderSettings,
        dataset: PreparedDataset,
        seed: int,
        started_from: Path | None = None,
        device: str = "cpu",
    ) -> None:
        """Draw initial weights; those of the graph encoder are then replaced by the ones of `started_from`, if any.

        Each part draws from a generator of its own, so a start changes no other part.

        Raises:
            UserError: `started_from` is missing or holds no such graph encoder.
        """
        super().__init__()
        self.settings = settings
        options, width, relations = settings.graph, settings.graph.width, dataset.num_relations
        start, stop = dataset.spaces["train"]
        self.graph = GraphEncoder.of(options, relations, stop - start, 0, generator(seed, "graph"))
        if started_from is not None:
            continue_from(started_from, options, self.graph)
        self.mapping = _mapping(settings, generator(seed, "mapping")) if settings.mapping else None
        draws = generator(seed, "decoder")
        self.decoder = make_decoder(settings.decoder, width, relations, settings.convolution, draws)
        self.bias = nn.Parameter(torch.zeros(stop - start)) if settings.entity_bias else None
        self.to(device)
        permuted = counter_generator(seed, "random adjacency", 0)
        triples = np.asarray(dataset.triples("train"))
        self.training_graph = Adjacency.of(triples, stop - start, relations, options.adjacency, permuted).to(device)

    def encode(self, adjacency: Adjacency) -> tuple[Tensor, Tensor]:
        """Vectors `(nodes, width)` and `(2 relations, width)` of nodes and relations."""
        nodes, relations = self.graph(adjacency)
        return (nodes if self.mapping is None else self.mapping(nodes)), relations

    def queries(self, nodes: Tensor, relations: Tensor, given: Tensor, asked: Tensor) -> Tensor:
        """Query vectors `(q, width)`, one wider with a bias.

        Args:
            nodes: vectors of all nodes.
            relations: vectors of all relations and inverses.
            given: int64 `(q,)`: nodes.
            asked: int64 `(q,)`: relations, those of the inverses from `num_relations` on.
        """
        vectors: Tensor = self.decoder(nodes[given], relations[asked], asked)
        return vectors if self.bias is None else with_one(vectors)

    def answers(self, nodes: Tensor) -> Tensor:
        """Candidate rows of all nodes, one wider with a bias."""
        return nodes if self.bias is None else with_bias(nodes, self.bias)

    @torch.no_grad()
    def tables(self) -> DecodedTables:
        """What ranks, as the weights are now."""
        was_training = self.training
        self.eval()
        nodes, relations = self.encode(self.training_graph)
        decoder = copy.deepcopy(self.decoder)
        self.train(was_training)
        notes = self.settings.model_dump(mode="json", include={"graph", "decoder", "convolution"})
        bias = None if self.bias is None else self.bias.detach().clone()
        return DecodedTables(nodes, relations, bias, decoder, notes, graph_weights(self.graph))


def _mapping(settings: GraphDecoderSettings, draws: torch.Generator) -> Head:
    """Initial weights: Glorot and Bengio's; of TransE and ConvE smaller, of standard deviation 1 / width.

    With the larger ones these two's first scores differ so much that a softmax leaves one entity, and little is
    learned for epochs. Relations' vectors, and RESCAL's matrices, begin small enough to keep the others' near.
    """
    width = settings.graph.width
    mapping = Head("linear", width, width, draws)
    if settings.decoder in ("transe", "conve"):
        with torch.no_grad():
            mapping.weights[0].mul_(width**-0.5)
    return mapping

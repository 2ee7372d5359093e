"""The trained parts of CLEP: graph encoder, text encoder, heads and temperature."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from kelbench.config.clep import ContrastiveSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import AlignedTables, Head, QueryHead
from kelbench.encoders.decoded import graph_weights
from kelbench.encoders.dropout import dropout
from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.graph.encoder import GraphEncoder
from kelbench.methods.clep.descriptions import Descriptions
from kelbench.tasks.breakdowns import known_graph
from kelbench.training.randomness import counter_generator, generator

# Radford et al. 2021, Section 2.5: logits are scaled by at most 100.
_LARGEST_LOG_SCALE = math.log(100)

# Beside the model's file: the learned words that stand beside a frozen encoder.
WORDS_FOLDER = "words"


class ContrastiveModel(nn.Module):
    """y_g = head_g(h + rho), or with a product; y_t = head_t(T(text)); score cos(y_g, y_t) e^tau (the slides of CLEP).

    Attributes:
        graph: nodes and relations to vectors.
        text_encoder: texts to vectors; a module without trained parameters where it is frozen.
        query_head, text_head: to the shared space.
        log_scale: tau.
    """

    def __init__(self, settings: ContrastiveSettings, dataset: PreparedDataset, seed: int, device: str = "cpu") -> None:
        """Draw initial weights.

        Raises:
            UserError: texts or a checkpoint are missing.
        """
        super().__init__()
        self.settings, self._dataset, self._seed = settings, dataset, seed
        self.descriptions = Descriptions(dataset, settings, seed, device)
        self.text_encoder, self.words = self.descriptions.encoder, self.descriptions.words
        if settings.frozen:
            self.text_encoder.requires_grad_(False)
        options, width = settings.graph, settings.graph.width
        start, stop = dataset.spaces["train"]
        texts = self.descriptions.width
        self.graph = GraphEncoder.of(options, dataset.num_relations, stop - start, texts, generator(seed, "graph"))
        product = settings.query == "product"
        self.query_head = QueryHead(settings.head, width, settings.width, product, generator(seed, "graph head"))
        self.text_head = Head(settings.head, self.descriptions.width, settings.width, generator(seed, "text head"))
        self.log_scale = nn.Parameter(torch.tensor(-math.log(settings.temperature)))
        self.to(device)
        # A trained transformer would have to encode all texts in every step, so nodes keep what it said at first.
        self._first_vectors: Tensor | None = None
        if options.features != "free" and not self.descriptions.at_once:
            self._first_vectors = self.descriptions.all()
        self._of_entity = torch.from_numpy(self.descriptions.of_entity).to(device)
        self.training_graph = self._adjacency(np.asarray(dataset.triples("train")), stop - start).to(device)
        known, nodes = known_graph(dataset), dataset.num_entities
        self._known_graph = self.training_graph
        if nodes != stop - start or len(known) != len(dataset.triples("train")):
            self._known_graph = self._adjacency(known, nodes).to(device)

    def _adjacency(self, triples: np.ndarray, nodes: int) -> Adjacency:
        adjacency = Adjacency.of(
            triples,
            nodes,
            self._dataset.num_relations,
            self.settings.graph.adjacency,
            counter_generator(self._seed, "random adjacency", 0),
            interleaved="edges_interleaved" in self.settings.faults,
            # Those of another graph are permuted by themselves, so that training's edges are the same with them.
            apart=len(self._dataset.triples("train")),
        )
        return replace(adjacency, weighted="relation") if "relations_weighted" in self.settings.faults else adjacency

    def nodes_of_training(self, adjacency: Adjacency, texts: Tensor | None) -> tuple[Tensor, Tensor]:
        """Vectors of the training graph's nodes, and of relations.

        Args:
            adjacency: the training graph, or what is left of it.
            texts: vectors of the training graph's descriptions, where they are had at once.
        """
        if self.settings.graph.features == "free":
            return self.graph(adjacency)  # type: ignore[no-any-return]
        vectors = texts if self._first_vectors is None else self._first_vectors
        if vectors is None:
            raise ValueError("text features need vectors of texts")
        return self.graph(adjacency, vectors[self._of_entity[: adjacency.num_nodes]])  # type: ignore[no-any-return]

    def scores(self, nodes: Tensor, relations: Tensor | None, answers: Tensor) -> Tensor:
        """Scores `(q, n)`, scaled, of nodes and relations `(q, graph width)` with texts `(n, text width)`."""
        answers = dropout(answers, self.settings.text_dropout, self.training)
        asked = nn.functional.normalize(self.query_head(nodes, relations), dim=-1)
        texts = nn.functional.normalize(self.text_head(answers), dim=-1)
        return (asked * self.log_scale.exp()) @ texts.T

    @torch.no_grad()
    def limit_scale(self) -> None:
        """Keep cosines from being multiplied by more than 100 (Radford et al. 2021, Section 2.5); after each step."""
        self.log_scale.clamp_(max=_LARGEST_LOG_SCALE)

    @torch.no_grad()
    def tables(self) -> AlignedTables:
        """What ranks, over all entities: those of an inference graph are encoded by the edges that it has."""
        was_training = self.training
        self.eval()
        vectors = self.descriptions.all()
        if self.settings.graph.features == "free":
            node, relation = self.graph(self._known_graph)
        else:
            of_nodes = vectors if self._first_vectors is None else self._first_vectors
            node, relation = self.graph(self._known_graph, of_nodes[self._of_entity])
        text = self.text_head(vectors)
        self.train(was_training)
        notes = {"graph": self.settings.graph.model_dump(mode="json")}
        texts = {f"text_head.{name}": tensor.detach().clone() for name, tensor in self.text_head.state_dict().items()}
        weights = graph_weights(self.graph) | texts
        head = copy.deepcopy(self.query_head).eval()
        return AlignedTables(node, relation, head, text, self._of_entity, notes, weights)

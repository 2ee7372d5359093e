"""One step of training a graph encoder and a decoder end to end."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.methods.graph_decoders.model import GraphDecoder
from kelbench.training.adamw import Group, adamw, optimizer_tensors, set_rates
from kelbench.training.all_entities import binary_cross_entropy_over_entities, cross_entropy_over_entities
from kelbench.training.queries import Queries, QueryBatch, TripleNumbers, both_directions
from kelbench.training.randomness import counter_generator, generator

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class GraphDecoderTraining:
    """A model that the training loop trains: the graph is encoded once a step, for all queries of the batch."""

    def __init__(self, model: GraphDecoder, triples: np.ndarray, num_relations: int, seed: int) -> None:
        """Prepare to learn.

        Args:
            model: changed in place.
            triples: training triples integer `(n, 3)`.
            num_relations: relations, inverses not counted.
            seed: decides every random number.
        """
        self.model, self.settings, self._seed = model, model.settings, seed
        asked = both_directions(triples, num_relations)
        self._queries = Queries(asked, "tail")
        self._relations = 2 * num_relations
        self._numbers: TripleNumbers | None = None
        if self.settings.graph.drop_batch_edges:
            self._numbers = TripleNumbers(asked[:, 0] * self._relations + asked[:, 1])
        # The last query of a batch may reach beyond its size, so this is an upper bound.
        self._steps_per_epoch = math.ceil(len(asked) / self.settings.batch_size)
        self._parameters = dict(model.named_parameters())
        self._optimizer = adamw(self._groups(), _BETAS, _EPSILON)

    def _groups(self) -> list[Group]:
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        matrices = [parameter for parameter in self._parameters.values() if parameter.dim() >= 2]
        others = [parameter for parameter in self._parameters.values() if parameter.dim() < 2]
        return [(matrices, rate, decay), (others, rate, 0.0)]

    # ---- what the loop asks for

    def batches(self, triples: np.ndarray, epoch: int) -> Iterator[QueryBatch]:
        """The batches of an epoch, of both directions; the triples are those that it was made with."""
        return self._queries.batches(counter_generator(self._seed, "queries", epoch), self.settings.batch_size)

    def step(self, batch: QueryBatch, epoch: int, step: int) -> Tensor:
        """Learn from one batch."""
        self.model.train()
        total = self._steps_per_epoch * self.settings.epochs
        done = min((epoch - 1) * self._steps_per_epoch + step, total - 1)
        set_rates(self._optimizer, done, total, self.settings.warmup, self.settings.decay)
        self._optimizer.zero_grad(set_to_none=False)
        # Dropout draws from torch's global state.
        torch.manual_seed(generator(self._seed, "dropout", epoch, step).initial_seed())
        loss = self._learn(batch)
        if self.settings.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.settings.gradient_norm)
        self._optimizer.step()
        return loss

    def weights(self) -> dict[str, Tensor]:
        """What is learned, with the running means of batch normalisation."""
        return {name: tensor.data for name, tensor in self._parameters.items()} | dict(self.model.named_buffers())

    def optimizer_state(self) -> dict[str, Tensor]:
        """What AdamW remembers of each parameter."""
        return optimizer_tensors(self._optimizer, self._parameters)

    # ---- one batch

    def _learn(self, batch: QueryBatch) -> Tensor:
        model, device = self.model, self.model.graph.relation.device
        given, asked = batch.given.to(device), batch.relations.to(device)
        half = self.settings.precision == "bfloat16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            nodes, relations = model.encode(self._graph_of(batch))
            queries, answers = model.queries(nodes, relations, given, asked).float(), model.answers(nodes).float()
        loss, *gradients = self._loss(queries.detach(), answers.detach(), batch)
        torch.autograd.backward([queries, answers], gradients)
        return loss

    def _loss(self, queries: Tensor, answers: Tensor, batch: QueryBatch) -> tuple[Tensor, Tensor, Tensor]:
        settings, similarity = self.settings, self.model.decoder.similarity
        scored = similarity, queries, answers, batch.offsets, batch.answers
        if settings.loss == "cross_entropy":
            return cross_entropy_over_entities(*scored, settings.precision)
        smoothing, margin = settings.label_smoothing, settings.margin or 0.0
        return binary_cross_entropy_over_entities(*scored, smoothing, margin, settings.precision)

    def _graph_of(self, batch: QueryBatch) -> Adjacency:
        graph = self.model.training_graph
        if self._numbers is None:
            return graph
        # Queries come whole, so all that is behind them is in the batch.
        return graph.without_triples(self._numbers.of((batch.given * self._relations + batch.relations).numpy()))

"""One step of contrastive pre-training, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from kelbench.encoders.tokens import Tokens
from kelbench.methods.clep.batch import Batches, ContrastiveBatch
from kelbench.methods.clep.loss import Places, contrastive_loss, multihot_loss
from kelbench.methods.clep.model import ContrastiveModel
from kelbench.training.adamw import Group, adamw, optimizer_tensors, set_rates
from kelbench.training.processes import Processes
from kelbench.training.randomness import generator
from kelbench.training.text_passes import learn_from_texts

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
# On a CPU torch compiles and keeps products in bfloat16 for each size that occurs: gigabytes, where every
# batch has another number of queries.
_ROWS = 128


class ContrastiveTraining:
    """A model that the training loop trains.

    All processes take the same steps over the same graph. A trained transformer's texts are shared among them: each
    encodes some and sees the vectors of all, so that the negatives are those of the whole batch.
    """

    def __init__(
        self, model: ContrastiveModel, triples: np.ndarray, num_relations: int, seed: int, processes: Processes
    ) -> None:
        """Prepare to learn.

        Args:
            model: changed in place.
            triples: training triples integer `(n, 3)`.
            num_relations: relations, inverses not counted.
            seed: decides every random number.
            processes: those that train together.
        """
        self.model, self.settings, self._seed, self._processes = model, model.settings, seed, processes
        entities = model.training_graph.num_nodes
        texts = model.descriptions.of_entity[:entities]
        self._batches = Batches(self.settings, triples, num_relations, texts, seed)
        # With whole queries the last answers of a batch may reach beyond its size, so this is an upper bound.
        steps = math.ceil(self._batches.pairs / self.settings.batch_size)
        self._steps_per_epoch = min(steps, self.settings.steps_per_epoch or steps)
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self._parameters = dict(named)
        self._of_encoder = [p for p in model.text_encoder.parameters() if p.requires_grad]
        self._optimizer = adamw(self._groups(), _BETAS, _EPSILON)

    def _groups(self) -> list[Group]:
        settings, of_encoder = self.settings, {id(parameter) for parameter in self._of_encoder}
        rates = (settings.learning_rate, settings.text_learning_rate or settings.learning_rate)
        groups: list[Group] = [([], rate, decay) for rate in rates for decay in (settings.weight_decay, 0.0)]
        for parameter in self._parameters.values():
            groups[2 * (id(parameter) in of_encoder) + (parameter.dim() < 2)][0].append(parameter)
        return groups

    # ---- what the loop asks for

    def batches(self, triples: np.ndarray, epoch: int) -> Iterator[ContrastiveBatch]:
        """The batches of an epoch; the triples are those that it was made with."""
        return islice(self._batches.of_epoch(epoch), self.settings.steps_per_epoch)

    def step(self, batch: ContrastiveBatch, epoch: int, step: int) -> Tensor:
        """Learn from one batch."""
        self.model.train()
        done = (epoch - 1) * self._steps_per_epoch + step
        total = self._steps_per_epoch * self.settings.epochs
        set_rates(self._optimizer, min(done, total - 1), total, self.settings.warmup, self.settings.decay)
        self._optimizer.zero_grad(set_to_none=False)
        loss = self._learn(batch, epoch, step)
        self._share_gradients()
        if self.settings.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.settings.gradient_norm)
        self._optimizer.step()
        self.model.limit_scale()
        return loss

    def _share_gradients(self) -> None:
        """A trained transformer's gradients are parts, of each process's texts; all others are whole in every one."""
        parts = set() if self.model.descriptions.at_once else {id(parameter) for parameter in self._of_encoder}
        self._processes.sum_gradients(p for p in self._parameters.values() if id(p) in parts)
        self._processes.take_gradients_of_first(p for p in self._parameters.values() if id(p) not in parts)

    def weights(self) -> dict[str, Tensor]:
        """What is learned, with the running means of batch normalisation."""
        buffers = dict(self.model.graph.named_buffers(prefix="graph"))
        return {name: parameter.data for name, parameter in self._parameters.items()} | buffers

    def optimizer_state(self) -> dict[str, Tensor]:
        """What AdamW remembers of each parameter."""
        return optimizer_tensors(self._optimizer, self._parameters)

    # ---- one batch

    def _learn(self, batch: ContrastiveBatch, epoch: int, step: int) -> Tensor:
        descriptions, device = self.model.descriptions, self.model.log_scale.device
        columns = torch.from_numpy(batch.columns).to(device)
        if descriptions.at_once:
            loss = self._loss(batch, descriptions.of_training(), columns, epoch, step)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        texts, place = np.unique(batch.columns, return_inverse=True)
        places = torch.from_numpy(place).to(device)

        def encode(inputs: Tokens, number: int) -> Tensor:
            return descriptions.encode(inputs, self._dropout_keys(epoch, step, number))

        return learn_from_texts(
            encode,
            descriptions.inputs(texts),
            lambda vectors: self._loss(batch, vectors, places, epoch, step),
            self.settings.texts_per_pass,
            descriptions.width,
            device,
            self._processes,
        )

    def _loss(self, batch: ContrastiveBatch, vectors: Tensor, columns: Tensor, epoch: int, step: int) -> Tensor:
        """The loss, given vectors of texts and for each column its row among them."""
        model, settings = self.model, self.settings
        device = columns.device
        graph = model.training_graph
        if settings.graph.drop_batch_edges:
            graph = graph.without_triples(batch.triples)
        torch.manual_seed(generator(self._seed, "dropout of the graph", epoch, step).initial_seed())
        every = settings.loss == "all"
        half = settings.precision == "bfloat16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            nodes, relations = model.nodes_of_training(graph, vectors if model.descriptions.at_once else None)
            given, asked = (_rounded_up(rows) if half else rows for rows in (batch.given, batch.relations))
            of_nodes = nodes[torch.from_numpy(given).to(device)]
            of_relations = relations[torch.from_numpy(asked).to(device)] if len(asked) else None
            scores = model.scores(of_nodes, of_relations, vectors if every else vectors[columns])
        scores = scores[: len(batch.given)].float()
        if settings.loss == "multihot":
            right = _on(batch.excluded, device)
            return multihot_loss(scores, right, "label_not_transposed" not in settings.faults)
        positive, excluded = _on(batch.positive, device), _on(batch.excluded, device)
        return contrastive_loss(scores, positive, excluded, settings.column_loss)

    def _dropout_keys(self, epoch: int, step: int, part: int) -> Callable[[int], None]:
        """Sets torch's global state, which dropout draws from, before each bucket: the same whoever encodes it."""
        dropout = self.settings.encoder.dropout > 0

        def set_state(bucket: int) -> None:
            if dropout:
                torch.manual_seed(generator(self._seed, "dropout of texts", epoch, step, part, bucket).initial_seed())

        return set_state


def _rounded_up(rows: np.ndarray) -> np.ndarray:
    """The rows and, up to a multiple of _ROWS, the last one again; none stay none."""
    return np.pad(rows, (0, -len(rows) % _ROWS), mode="edge")


def _on(pairs: tuple[np.ndarray, np.ndarray], device: torch.device) -> Places:
    return torch.from_numpy(pairs[0]).to(device), torch.from_numpy(pairs[1]).to(device)

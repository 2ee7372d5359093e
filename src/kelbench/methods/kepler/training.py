"""One step of learning, of both losses, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.encoders.graph_texts import GraphTexts
from kelbench.encoders.text_encoder import buckets
from kelbench.encoders.text_model import TextModel
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.transformer import Transformer
from kelbench.methods.kepler.batch import Planner
from kelbench.methods.kepler.loss import knowledge_embedding_loss
from kelbench.methods.kepler.masking import mask
from kelbench.training.adamw import Group, adamw, optimizer_tensors, set_rates
from kelbench.training.processes import Processes
from kelbench.training.randomness import counter_generator, generator
from kelbench.training.text_passes import learn_from_texts

_BETAS = (0.9, 0.98)
_EPSILON = 1e-6


class TextTraining:
    """A text model that the training loop trains.

    All processes plan the same steps; each encodes its share of the texts, sees the vectors of all, and so computes
    the same loss, see `learn_from_texts`.
    """

    def __init__(
        self,
        model: TextModel,
        texts: GraphTexts,
        triples: np.ndarray,
        num_entities: int,
        corpus: Tokens | None,
        seed: int,
        processes: Processes,
    ) -> None:
        """Prepare to learn.

        Args:
            model: changed in place.
            texts: of all entities and relations.
            triples: training triples integer `(n, 3)`.
            num_entities: entities of the training graph, from which negatives are drawn.
            corpus: inputs for masked language modelling, or None.
            seed: decides every random number.
            processes: those that train together.
        """
        self.model, self._texts, self._corpus = model, texts, corpus
        self._settings, self._seed, self._processes = model.settings, seed, processes
        self._planner = Planner(model.settings, texts, triples, num_entities, seed)
        steps = math.ceil(len(triples) / self._settings.batch_size)
        self.steps_per_epoch = min(steps, self._settings.steps_per_epoch or steps)
        own = {id(parameter) for parameter in model.own_parameters()}
        skipped = self._unused()
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and id(p) not in skipped]
        self._parameters = dict(named)
        self._of_encoder = [parameter for _, parameter in named if parameter is not model.relation]
        self._of_encoder = [parameter for parameter in self._of_encoder if parameter is not model.log_scale]
        self._optimizer = _optimizer(self._settings, list(self._parameters.values()), own)
        self._warmup_losses = torch.zeros(self._warmup_steps())
        language = model.settings.masked_language_modelling
        self._weight = language.weight if language is not None else 0.0
        self._text_order: tuple[int, np.ndarray] | None = None

    def _unused(self) -> set[int]:
        """Parameters that no loss reaches: the output layer of masked language modelling where there is none."""
        if self._corpus is None and isinstance(self.model.encoder, Transformer):
            return {id(parameter) for parameter in self.model.encoder.head_parameters()}
        return set()

    def _warmup_steps(self) -> int:
        """Steps for an output layer that the checkpoint did not bring."""
        settings, encoder = self._settings.masked_language_modelling, self.model.encoder
        if settings is None or not isinstance(encoder, Transformer) or not encoder.head_is_new:
            return 0
        return settings.head_warmup_steps

    @property
    def warmup_losses(self) -> list[float]:
        """The losses of these steps."""
        losses: list[float] = self._warmup_losses.tolist()
        return losses

    # ---- what the loop asks for

    def batches(self, triples: np.ndarray, epoch: int) -> Iterator[np.ndarray]:
        """The triples in a new order, int64 `(batch, 3)` at a time; at most `steps_per_epoch` of them."""
        order = counter_generator(self._seed, "order", epoch).permutation(len(triples))
        size = self._settings.batch_size
        for begin in range(0, min(len(order), self.steps_per_epoch * size), size):
            yield triples[order[begin : begin + size]].astype(np.int64)

    def step(self, batch: np.ndarray, epoch: int, step: int) -> Tensor:
        """Learn from triples int64 `(batch, 3)` and from the corpus; returns the sum of both losses (Eq. 6)."""
        self.model.train()
        if epoch == 1 and step == 0:
            self._warm_up_head()
        done = (epoch - 1) * self.steps_per_epoch + step
        set_rates(self._optimizer, done, self.steps_per_epoch * self._settings.epochs, self._settings.warmup)
        self._optimizer.zero_grad(set_to_none=False)
        total = torch.zeros((), device=next(self.model.parameters()).device)
        if self._corpus is not None:
            total = total + self._learn_language(epoch, step, self._weight)
        if self._settings.loss is not None:
            total = total + self._learn_triples(batch, epoch, step)
        self._processes.sum_gradients(self._of_encoder)
        if self._settings.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self._settings.gradient_norm)
        self._optimizer.step()
        self.model.eval()
        return total.detach()

    def weights(self) -> dict[str, Tensor]:
        """What is learned."""
        return {name: parameter.data for name, parameter in self._parameters.items()}

    def optimizer_state(self) -> dict[str, Tensor]:
        """What AdamW remembers of each parameter; and the losses of a warm-up, which a resumed run tells as well."""
        state = optimizer_tensors(self._optimizer, self._parameters)
        return state | {"warmup losses": self._warmup_losses}

    # ---- knowledge embedding

    def _learn_triples(self, batch: np.ndarray, epoch: int, step: int) -> Tensor:
        plan = self._planner.plan(batch, epoch, step)

        def encode(inputs: Tokens, number: int) -> Tensor:
            return self.model.encode(inputs, self._dropout_keys("triples", epoch, step, number))

        return learn_from_texts(
            encode,
            self._texts.inputs(plan.codes),
            lambda vectors: knowledge_embedding_loss(self.model, plan, vectors),
            self._settings.texts_per_pass,
            self.model.width,
            next(self.model.parameters()).device,
            self._processes,
        )

    # ---- masked language modelling

    def _learn_language(self, epoch: int, step: int, weight: float) -> Tensor:
        """Mean over the tokens asked for, times `weight`, whatever the number of passes and processes."""
        settings, encoder, corpus = self._settings.masked_language_modelling, self.model.encoder, self._corpus
        if settings is None or corpus is None or not isinstance(encoder, Transformer):
            raise ValueError("masked language modelling needs its settings, a corpus and a transformer")
        order = self._order_of_texts(epoch, len(corpus))
        first = step * settings.batch_size
        rows = order[np.arange(first, first + settings.batch_size) % len(order)]
        inputs = corpus.take(rows[np.argsort(corpus.lengths[rows], kind="stable")])
        random = counter_generator(self._seed, "masks", epoch, step)
        masked, wanted = mask(inputs, encoder.tokenizer.special, len(encoder.tokenizer), random)
        count = max(1, int((wanted >= 0).sum()))
        keys = self._dropout_keys("masked", epoch, step, 0)
        total = torch.zeros((), device=next(self.model.parameters()).device)
        parts = list(enumerate(buckets(masked.lengths)))[self._processes.rank :: self._processes.count]
        for number, places in parts:
            keys(number)
            asked = wanted[masked.offsets[places[0]] : masked.offsets[places[-1] + 1]]
            loss = weight * encoder.masked_loss(masked.take(places), asked) / count
            loss.backward()
            total += loss.detach()
        self._processes.sum_tensor(total)
        return total

    def _order_of_texts(self, epoch: int, texts: int) -> np.ndarray:
        """The corpus in the order of an epoch, drawn once for all its steps."""
        if self._text_order is None or self._text_order[0] != epoch:
            self._text_order = epoch, counter_generator(self._seed, "order of texts", epoch).permutation(texts)
        return self._text_order[1]

    def _warm_up_head(self) -> None:
        """Train an output layer that the checkpoint did not bring, the encoder left as it is."""
        encoder, steps = self.model.encoder, self._warmup_steps()
        if not steps or not isinstance(encoder, Transformer):
            return
        head = encoder.head_parameters()
        optimizer = torch.optim.AdamW(head, lr=self._settings.relation_learning_rate, weight_decay=0.0)
        for step in range(steps):
            self._optimizer.zero_grad(set_to_none=False)
            loss = self._learn_language(0, step, 1.0)
            self._processes.sum_gradients(head)
            optimizer.step()
            self._warmup_losses[step] = loss

    # ---- rates and random numbers

    def _dropout_keys(self, purpose: str, epoch: int, step: int, part: int) -> Callable[[int], None]:
        """Sets torch's global state, which dropout draws from, before each bucket: the same whoever encodes it."""
        dropout = self._settings.encoder.dropout > 0

        def set_state(bucket: int) -> None:
            if dropout:
                key = generator(self._seed, f"dropout of {purpose}", epoch, step, part, bucket).initial_seed()
                torch.manual_seed(key)

        return set_state


def _optimizer(
    settings: TextKnowledgeEmbeddingSettings, parameters: list[nn.Parameter], own: set[int]
) -> torch.optim.AdamW:
    """Matrices of the encoder decay; what it did not bring has a rate of its own."""
    groups: list[Group] = [
        ([], settings.learning_rate, settings.weight_decay),
        ([], settings.learning_rate, 0.0),
        ([], settings.relation_learning_rate, 0.0),
    ]
    for parameter in parameters:
        kind = 2 if id(parameter) in own else int(parameter.dim() < 2)
        groups[kind][0].append(parameter)
    return adamw(groups, _BETAS, _EPSILON)

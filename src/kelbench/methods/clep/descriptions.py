"""The texts' side of CLEP: vectors of the descriptions, whatever encodes them and whether it is trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.config.clep import ContrastiveSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.bag_of_words import BagOfWords
from kelbench.encoders.description_vectors import WordProduct, frozen_vectors, text_vectors_folder
from kelbench.encoders.graph_texts import GraphTexts
from kelbench.encoders.text_encoder import TextEncoder, encode, make_encoder
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.words import WordTokenizer
from kelbench.training.randomness import counter_generator, generator


class Descriptions:
    """The distinct descriptions of a dataset's entities, those of the training graph first, and their encoder.

    Attributes:
        encoder: inputs to vectors.
        words: what stands beside a frozen encoder's vectors; None for nothing.
        of_entity: int64 `(entities,)`: number of each entity's description.
        count: how many there are.
        in_training: how many of them, the first ones, belong to entities of the training graph.
        width: numbers in a vector.
    """

    def __init__(self, dataset: PreparedDataset, settings: ContrastiveSettings, seed: int, device: str) -> None:
        """Make the encoder and tokenize the texts; encode them where nothing trains it.

        Raises:
            UserError: there are no texts, or a checkpoint is missing.
        """
        texts = dataset.texts_or_first(settings.encoder.texts)
        start, stop = dataset.spaces["train"]
        if not any(text.strip() for text in texts[start:stop]):
            raise UserError(
                f"{dataset.name}: no entity of the training graph has a text; do the files of texts name the same "
                "entities?"
            )
        if settings.shuffled_texts:
            dealt = counter_generator(seed, "shuffled texts", 0).permutation(stop - start)
            texts[start:stop] = [texts[start + place] for place in dealt]
        self.encoder: TextEncoder = make_encoder(settings.encoder, texts[start:stop], generator(seed, "encoder"))
        self.encoder = self.encoder.eval().to(device)
        distinct = GraphTexts(self.encoder.tokenizer, texts, [], settings.encoder.max_tokens, inverse_texts=False)
        self.of_entity = _renumbered(distinct.text_of_entity, slice(start, stop))
        self.count, self.width = distinct.num_texts, self.encoder.width
        self.in_training = int(self.of_entity[start:stop].max()) + 1
        first = np.unique(self.of_entity, return_index=True)[1]
        self._inputs = distinct.inputs(distinct.of_entities(first))
        self._frozen: Tensor | None = None
        self._product: WordProduct | None = None
        self.words: BagOfWords | None = None
        if settings.frozen:
            folder = text_vectors_folder()
            vectors = frozen_vectors(self.encoder, settings.encoder, self._inputs, folder, device)
            self._frozen = vectors.to(device)
            if settings.words is not None:
                tokenizer = WordTokenizer.trained(texts[start:stop])
                self.words = BagOfWords(tokenizer, settings.words, generator(seed, "words")).to(device)
                own = GraphTexts(
                    tokenizer, [texts[entity] for entity in first], [], settings.encoder.max_tokens, inverse_texts=False
                )
                self._word_inputs = own.inputs(own.of_entities(np.arange(self.count)))
                self._product = WordProduct(self.words, self._word_inputs.take(np.arange(self.in_training)), device)
                self.width += settings.words
        elif isinstance(self.encoder, BagOfWords):
            self._product = WordProduct(self.encoder, self._inputs.take(np.arange(self.in_training)), device)

    @property
    def at_once(self) -> bool:
        """Whether vectors of all descriptions of the training graph are had at the cost of a product, or none."""
        return self._frozen is not None or self._product is not None

    def of_training(self) -> Tensor:
        """Vectors `(in_training, width)`, differentiable where the encoder is trained; see `at_once`."""
        if not self.at_once:
            raise ValueError("these descriptions are not encoded at once")
        parts: list[Tensor] = [] if self._frozen is None else [self._frozen[: self.in_training]]
        if self._product is not None:
            parts.append(self._product())
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def inputs(self, numbers: np.ndarray) -> Tokens:
        """Encoder inputs of some descriptions."""
        return self._inputs.take(numbers)

    def encode(self, inputs: Tokens, before: Callable[[int], None] | None = None) -> Tensor:
        """Vectors of inputs; `before` is called with the number of each bucket."""
        return encode(self.encoder, inputs, before)

    @torch.no_grad()
    def all(self) -> Tensor:
        """Vectors `(count, width)` of all descriptions, as the encoder is now."""
        if self._frozen is None:
            return encode(self.encoder, self._inputs)
        if self.words is None:
            return self._frozen
        return torch.cat([self._frozen, encode(self.words, self._word_inputs)], dim=1)


def _renumbered(text_of_entity: np.ndarray, training: slice) -> np.ndarray:
    """Numbers of texts in which those of the training graph come first."""
    of_training = np.unique(text_of_entity[training])
    others = np.setdiff1d(text_of_entity, of_training)
    number = np.empty(len(of_training) + len(others), dtype=np.int64)
    number[np.append(of_training, others)] = np.arange(len(number))
    renumbered: np.ndarray = number[text_of_entity]
    return renumbered

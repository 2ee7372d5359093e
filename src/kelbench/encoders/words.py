"""A vocabulary of words, for the encoders that have no sub-word tokenizer."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np

from kelbench.base.files import read_json, write_json
from kelbench.data.name_match import words
from kelbench.encoders.tokens import SpecialTokens, Tokens


class WordTokenizer:
    """Lower-case words of the training texts; a word that they lack is left out of a text.

    Attributes:
        vocabulary: the words by id, the most frequent first.
        weights: float32 `(words,)`: inverse document frequency ln((1 + n) / (1 + df)) + 1, as scikit-learn computes it.
    """

    special: SpecialTokens | None = None

    def __init__(self, vocabulary: list[str], weights: np.ndarray) -> None:
        self.vocabulary, self.weights = vocabulary, weights
        self._ids = {word: number for number, word in enumerate(vocabulary)}

    @classmethod
    def trained(cls, texts: list[str]) -> WordTokenizer:
        """The words of training texts."""
        documents = Counter(word for text in texts for word in sorted(set(words(text))))
        ordered = sorted(documents, key=lambda word: (-documents[word], word))
        weights = [math.log((1 + len(texts)) / (1 + documents[word])) + 1 for word in ordered]
        return cls(ordered, np.array(weights, dtype=np.float32))

    def tokens(self, texts: list[str]) -> Tokens:
        """Ids of the known words of each text."""
        return Tokens.of([[self._ids[word] for word in words(text) if word in self._ids] for text in texts])

    def save(self, folder: Path) -> None:
        """Write `words.json`."""
        write_json(folder / "words.json", {"words": self.vocabulary, "weights": [float(x) for x in self.weights]})

    @classmethod
    def load(cls, folder: Path) -> WordTokenizer:
        """Read what `save` wrote."""
        stored = read_json(folder / "words.json")
        return cls(stored["words"], np.array(stored["weights"], dtype=np.float32))

"""The texts of a graph as encoder inputs, each known by a number, so that equal inputs are encoded once."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from kelbench.encoders.tokens import SpecialTokens, Tokens, concatenated, pair_inputs, single_inputs
from kelbench.ranking.known_answers import Side


class Tokenizer(Protocol):
    """What texts are tokenized with."""

    @property
    def special(self) -> SpecialTokens | None:
        """The ids that frame an input, if any do."""

    def tokens(self, texts: list[str]) -> Tokens:
        """Ids of each text, without special tokens."""


def inverse_text(text: str) -> str:
    """What asks for the head of a relation, where its text asks for the tail."""
    return f"inverse of {text}"


class GraphTexts:
    """Texts of entities and relations, tokenized once.

    An input's code says what it is made of: `text * (relation texts + 1)` is the text of an entity alone, the next
    numbers are that text with each relation's, and behind all of those stand the relations' texts alone. Entities whose
    texts are one input share its code.

    Attributes:
        text_of_entity: int64 `(entities,)`: number of the entity's text.
        num_texts: distinct texts of entities, as far as they are read.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        entity_texts: list[str],
        relation_texts: list[str],
        max_tokens: int,
        inverse_texts: bool,
    ) -> None:
        """Tokenize all texts.

        Args:
            tokenizer: that of the encoder.
            entity_texts: by entity id.
            relation_texts: by relation id.
            max_tokens: of an input, special tokens included.
            inverse_texts: ask (?, r, t) with `inverse of r` in place of r's text.
        """
        distinct = list(dict.fromkeys(entity_texts))
        number = {text: index for index, text in enumerate(distinct)}
        tokens = tokenizer.tokens(distinct)
        # Texts that differ only where the encoder does not look are one input: so they tie exactly.
        limit = max_tokens - (2 if tokenizer.special else 0)
        kinds: dict[bytes, int] = {}
        kind = np.empty(len(distinct), dtype=np.int64)
        for row, (begin, length) in enumerate(zip(tokens.offsets, tokens.lengths, strict=False)):
            kind[row] = kinds.setdefault(tokens.ids[begin : begin + min(length, limit)].tobytes(), len(kinds))
        self.text_of_entity = kind[np.array([number[text] for text in entity_texts], dtype=np.int64)]
        self.num_texts, self.num_relations = len(kinds), len(relation_texts)
        self._head_shift = len(relation_texts) if inverse_texts else 0
        inverses = [inverse_text(text) for text in relation_texts] if inverse_texts else []
        self._relations = tokenizer.tokens(relation_texts + inverses)
        self._entities = tokens.take(np.unique(kind, return_index=True)[1])
        self._special, self._max_tokens = tokenizer.special, max_tokens

    def of_entities(self, entities: np.ndarray) -> np.ndarray:
        """Codes int64 of entities' texts, of any shape."""
        codes: np.ndarray = self.text_of_entity[entities] * (len(self._relations) + 1)
        return codes

    def of_pairs(self, entities: np.ndarray, relations: np.ndarray, side: Side) -> np.ndarray:
        """Codes int64 of known entities with the relation that asks for their `side`."""
        shift = self._head_shift if side == "head" else 0
        return self.of_entities(entities) + 1 + relations + shift

    def of_relations(self, relations: np.ndarray) -> np.ndarray:
        """Codes int64 of relations' texts."""
        codes: np.ndarray = self.num_texts * (len(self._relations) + 1) + relations.astype(np.int64)
        return codes

    def inputs(self, codes: np.ndarray) -> Tokens:
        """The encoder inputs of codes `(n,)`, in their order."""
        text, relation = np.divmod(codes, len(self._relations) + 1)
        alone = text >= self.num_texts
        relation_of_alone = codes[alone] - self.num_texts * (len(self._relations) + 1)
        single, pair = ~alone & (relation == 0), ~alone & (relation > 0)
        parts = [
            single_inputs(self._entities, text[single], self._special, self._max_tokens),
            pair_inputs(
                self._entities, text[pair], self._relations, relation[pair] - 1, self._special, self._max_tokens
            ),
            single_inputs(self._relations, relation_of_alone, self._special, self._max_tokens),
        ]
        order = np.concatenate([np.flatnonzero(mask) for mask in (single, pair, alone)])
        back = np.empty(len(codes), dtype=np.int64)
        back[order] = np.arange(len(codes))
        return concatenated(parts).take(back)

    def descriptions(self, entities: np.ndarray) -> Tokens:
        """Inputs of the distinct texts of some entities, in the order of the texts' numbers."""
        return self.inputs(np.unique(self.of_entities(entities)))

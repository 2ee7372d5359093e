"""Tokenized texts as flat arrays, and the encoder inputs that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class SpecialTokens(NamedTuple):
    """Ids that frame an input: `start` before the first token, `separator` after each text, `padding` behind it."""

    start: int
    separator: int
    padding: int
    mask: int


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one after another.

    Attributes:
        ids: int32 `(total,)`.
        offsets: int64 `(texts + 1,)`: text i has the ids from `offsets[i]` to `offsets[i + 1]`.
    """

    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, lists: list[list[int]]) -> Tokens:
        """Lists of ids as arrays."""
        lengths = [len(ids) for ids in lists]
        flat = np.fromiter((number for ids in lists for number in ids), dtype=np.int32, count=sum(lengths))
        return cls(flat, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 `(texts,)`."""
        return np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> Tokens:
        """The texts `rows`, in that order."""
        return _joined([(self, rows, self.lengths[rows])], None)

    def padded(self, padding: int) -> np.ndarray:
        """All texts as int64 `(texts, longest)`, filled up with `padding`."""
        lengths = self.lengths
        table = np.full((len(self), int(lengths.max(initial=1))), padding, dtype=np.int64)
        table[np.arange(table.shape[1]) < lengths[:, None]] = self.ids
        return table


def single_inputs(tokens: Tokens, rows: np.ndarray, special: SpecialTokens | None, max_tokens: int) -> Tokens:
    """Inputs `<s> text </s>` of the texts `rows`, cut to `max_tokens`; without special tokens, the text alone."""
    kept = np.minimum(tokens.lengths[rows], max_tokens - (2 if special else 0))
    return _joined([(tokens, rows, kept)], special)


def pair_inputs(
    first: Tokens,
    first_rows: np.ndarray,
    second: Tokens,
    second_rows: np.ndarray,
    special: SpecialTokens | None,
    max_tokens: int,
) -> Tokens:
    """Inputs `<s> first </s> second </s>`, the first text cut before the second, which survives (KEPLER-Cond).

    The second text is cut only where it would not fit alone.
    """
    room = max_tokens - (3 if special else 0)
    kept_second = np.minimum(second.lengths[second_rows], room)
    kept_first = np.minimum(first.lengths[first_rows], room - kept_second)
    return _joined([(first, first_rows, kept_first), (second, second_rows, kept_second)], special)


def concatenated(parts: list[Tokens]) -> Tokens:
    """The texts of all parts, one part after another."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Tokens(np.concatenate([part.ids for part in parts]), np.concatenate(([0], np.cumsum(lengths))))


def _joined(parts: list[tuple[Tokens, np.ndarray, np.ndarray]], special: SpecialTokens | None) -> Tokens:
    """Row i is, part by part, the first `kept[i]` tokens of text `rows[i]`, framed by the special tokens."""
    frame = 1 if special else 0
    lengths = frame + sum(kept + frame for _, _, kept in parts)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    ids = np.empty(offsets[-1], dtype=np.int32)
    place = offsets[:-1].copy()
    if special:
        ids[place] = special.start
        place += 1
    for tokens, rows, kept in parts:
        within = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        ids[np.repeat(place, kept) + within] = tokens.ids[np.repeat(tokens.offsets[rows], kept) + within]
        place += kept
        if special:
            ids[place] = special.separator
            place += 1
    return Tokens(ids, offsets)

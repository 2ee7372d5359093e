"""Batches of whole queries: all triples that ask the same thing share one row of scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kelbench.ranking.known_answers import Side, expanded, occurrences


@dataclass(frozen=True)
class QueryBatch:
    """Queries of one side and all their answers, on the host.

    Attributes:
        side: which end is asked for.
        given: int64 `(q,)`: the entity at the other end.
        relations: int64 `(q,)`.
        offsets: int64 `(q + 1,)`: query i has the answers `answers[offsets[i]:offsets[i + 1]]`.
        answers: int64 `(n,)`.
    """

    side: Side
    given: Tensor
    relations: Tensor
    offsets: Tensor
    answers: Tensor

    def __len__(self) -> int:
        return len(self.answers)


class Queries:
    """The distinct queries of one side of the training triples, with their answers side by side."""

    def __init__(self, triples: np.ndarray, side: Side) -> None:
        """Group triples integer `(n, 3)` by what they ask on `side`; repeated ones are one answer."""
        triples = triples[_first_of_each(triples)]
        self.side: Side = side
        given = triples[:, 0 if side == "tail" else 2].astype(np.int64)
        relations = triples[:, 1].astype(np.int64)
        order = np.lexsort((relations, given))
        given, relations = given[order], relations[order]
        first = np.flatnonzero(np.append(True, (given[1:] != given[:-1]) | (relations[1:] != relations[:-1])))
        self.given, self.relations = given[first], relations[first]
        self.offsets = np.append(first, len(triples))
        self.answers = triples[order, 2 if side == "tail" else 0].astype(np.int64)

    def batches(self, generator: np.random.Generator, size: int) -> Iterator[QueryBatch]:
        """All queries in a new order, as many at a time as make `size` answers, and at least one."""
        order = generator.permutation(len(self.given))
        counts = np.diff(self.offsets)[order]
        batch_of = (np.cumsum(counts) - counts) // size
        for which in np.split(order, np.flatnonzero(np.diff(batch_of)) + 1):
            offsets = np.append(0, np.cumsum(self.offsets[which + 1] - self.offsets[which]))
            _, places = expanded(self.offsets[which], self.offsets[which + 1])
            arrays = self.given[which], self.relations[which], offsets, self.answers[places]
            yield QueryBatch(self.side, *(torch.from_numpy(array) for array in arrays))


def _first_of_each(triples: np.ndarray) -> np.ndarray:
    """Ascending places at which no earlier triple is repeated."""
    order = np.lexsort(triples.T)
    again = (triples[order[1:]] == triples[order[:-1]]).all(axis=1)
    return np.sort(order[np.append(True, ~again)] if len(order) else order)


class TripleNumbers:
    """Finds the training triples behind what is asked, those that a file repeats included."""

    def __init__(self, keys: np.ndarray) -> None:
        """Index keys int64 `(2n,)` of what n triples ask, the second half by their inverses."""
        self._order = np.argsort(keys, kind="stable")
        self._keys, self._count = keys[self._order], len(keys) // 2

    def of(self, keys: np.ndarray) -> np.ndarray:
        """Numbers, int64, ascending, of all triples that ask one of the keys."""
        _, places = occurrences(self._keys, keys)
        return np.unique(self._order[places] % self._count)


def both_directions(triples: np.ndarray, num_relations: int) -> np.ndarray:
    """Triples int64 `(2n, 3)`: the given ones `(n, 3)`, then (tail, relation + num_relations, head) of each."""
    head, relation, tail = np.asarray(triples).astype(np.int64).T
    forward = np.stack([head, relation, tail], axis=1)
    return np.concatenate([forward, np.stack([tail, relation + num_relations, head], axis=1)])

"""The filter: for each query, the answers already known, as a sorted index built without a loop over triples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Side = Literal["head", "tail"]


def query_keys(triples: np.ndarray, side: Side, num_relations: int) -> np.ndarray:
    """One number for each query: equal for triples `(n, 3)` that ask for the same `side`. int64 `(n,)`."""
    given = triples[:, 0 if side == "tail" else 2].astype(np.int64)
    return given * num_relations + triples[:, 1]


def answers_of(triples: np.ndarray, side: Side) -> np.ndarray:
    """The entities asked for, int64 `(n,)`."""
    return triples[:, 2 if side == "tail" else 0].astype(np.int64)


@dataclass(frozen=True)
class KnownAnswers:
    """Known answers of the queries of one side.

    Attributes:
        keys: int64 `(q,)`, ascending: the queries that have known answers.
        offsets: int64 `(q + 1,)`: query i has `answers[offsets[i]:offsets[i + 1]]`.
        answers: int64: entity ids, ascending within a query, none twice.
    """

    keys: np.ndarray
    offsets: np.ndarray
    answers: np.ndarray

    @classmethod
    def build(cls, known: np.ndarray, side: Side, num_relations: int) -> KnownAnswers:
        """Index the filter triples `(n, 3)`; repeated triples count once.

        Raises:
            OverflowError: entities squared times relations do not fit into 63 bits.
        """
        if len(known) == 0:
            return cls(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64))
        # Query and answer in one number: sorting those is many times faster than sorting by two columns.
        entities = 1 + int(max(known[:, 0].max(), known[:, 2].max()))
        if entities * entities * num_relations >= 2**63:
            raise OverflowError(f"{entities} entities and {num_relations} relations: too many for one index")
        pairs = query_keys(known, side, num_relations)
        pairs *= entities
        pairs += known[:, 2 if side == "tail" else 0]
        pairs.sort()
        fresh = np.append(True, pairs[1:] != pairs[:-1])
        pairs = pairs[fresh]
        keys = pairs // entities
        pairs -= keys * entities
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        return cls(keys[starts], np.append(starts, len(keys)), pairs)

    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and one past the last position in `answers` of each query; equal for a query without known answers."""
        if len(self.keys) == 0:
            return np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        position = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[position] == keys
        start = np.where(found, self.offsets[position], 0)
        stop = np.where(found, self.offsets[position + 1], 0)
        return start, stop

    def pairs(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All known answers of some queries `(q,)`: the place of each one's query in `keys`, and the answer, int64."""
        place, position = expanded(*self.spans(keys))
        return place, self.answers[position]


def expanded(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of some ranges, in their order, its number, repeated, and the integers in it."""
    counts = stop - start
    number = np.repeat(np.arange(len(start)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return number, np.repeat(start, counts) + within


def occurrences(ascending: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every place of each of some values in an ascending array: the value's number, repeated, and the place."""
    return expanded(np.searchsorted(ascending, values), np.searchsorted(ascending, values, side="right"))

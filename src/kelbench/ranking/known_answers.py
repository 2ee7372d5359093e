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
        """Index the filter triples `(n, 3)`; repeated triples count once."""
        keys, answers = query_keys(known, side, num_relations), answers_of(known, side)
        order = np.lexsort((answers, keys))
        keys, answers = keys[order], answers[order]
        fresh = np.ones(len(keys), dtype=bool)
        fresh[1:] = (keys[1:] != keys[:-1]) | (answers[1:] != answers[:-1])
        keys, answers = keys[fresh], answers[fresh]
        distinct, first = np.unique(keys, return_index=True)
        return cls(distinct, np.append(first, len(keys)).astype(np.int64), answers)

    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and one past the last position in `answers` of each query; equal for a query without known answers."""
        if len(self.keys) == 0:
            return np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        position = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[position] == keys
        start = np.where(found, self.offsets[position], 0)
        stop = np.where(found, self.offsets[position + 1], 0)
        return start, stop

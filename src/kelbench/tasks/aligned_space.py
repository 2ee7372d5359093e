"""The shared space of nodes and texts: how near queries lie to their right descriptions, and to others.

Pairs come from the validation split, so that they can be measured while a model is trained, which never sees the test
split. They are drawn from the dataset alone: every run, every seed and every state of a model is asked the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import AlignedTables
from kelbench.ranking.known_answers import KnownAnswers, Side, answers_of, query_keys
from kelbench.tasks.distance_distributions import FARTHEST, PairDistances, describe_distances

# At most this many queries, and so many descriptions drawn for each: some 800,000 wrong pairs.
QUERIES = 4000
DRAWN = 200
_SEED = 20240229
_QUERIES_AT_ONCE = 64
_SMALLEST_NORM = 1e-12

_SIDES: tuple[Side, ...] = ("head", "tail")


@dataclass(frozen=True)
class Asked:
    """Queries with their right answers and drawn ones.

    Attributes:
        given: int64 `(q,)`: the node of each query.
        relation: int64 `(q,)`; None where a node asks for its own description.
        side: `(q,)`: 0 where the head is asked for, 1 where the tail is.
        right: int64 `(q,)`: the answer.
        drawn: int64 `(q, 200)`: entities of the candidates, uniformly, with return.
        known: queries and entities, int64 `(k,)` each: every known answer of each query, the right one among them.
    """

    given: np.ndarray
    relation: np.ndarray | None
    side: np.ndarray
    right: np.ndarray
    drawn: np.ndarray
    known: tuple[np.ndarray, np.ndarray]


class AlignedSpace:
    """What is measured of every model on one dataset."""

    def __init__(self, dataset: PreparedDataset, own_descriptions: bool = False) -> None:
        """Draw the pairs.

        Args:
            dataset: its validation triples ask in both directions, its first validation protocol has the candidates
                and the known answers (train and valid).
            own_descriptions: ask as well which description is a node's own.
        """
        protocol = dataset.protocols("valid")[0]
        self._candidates = dataset.candidates(protocol)
        self._asked = {"answers": _of_triples(dataset, dataset.known(protocol), self._candidates)}
        if own_descriptions:
            self._asked["own_descriptions"] = _of_nodes(self._candidates)

    def describe(self, tables: AlignedTables) -> dict[str, Any]:
        """Distances in the space of a model.

        Args:
            tables: the model; all vectors are normalised to length 1, in float64, so that distances lie in [0, 2].

        Returns:
            candidates, sharing: how many descriptions there are to draw from, and how many of them another candidate
            has too, as far as the encoder reads; answers and, where asked, own_descriptions: see `describe_distances`.
        """
        text_of_entity = tables.text_of_entity.cpu().numpy()
        texts = _unit(tables.text)
        sizes = np.bincount(text_of_entity[self._candidates])
        return {
            "candidates": len(self._candidates),
            "sharing": int(sizes[sizes > 1].sum()),
            **{
                name: describe_distances(pair_distances(asked, _queries(asked, tables), texts, text_of_entity))
                for name, asked in self._asked.items()
            },
        }


def pair_distances(asked: Asked, queries: np.ndarray, texts: np.ndarray, text_of_entity: np.ndarray) -> PairDistances:
    """Euclidean distances of queries to descriptions.

    A drawn entity that is a known answer is no pair. One that is none, but whose text is that of a known answer, is a
    wrong pair that is marked `equal`.

    Args:
        asked: what is asked.
        queries: float64 `(q, width)`, of length 1.
        texts: float64 `(texts, width)`, of length 1: each distinct description.
        text_of_entity: int64 `(entities,)`: row of each entity's description.
    """
    right_text, drawn_text = text_of_entity[asked.right], text_of_entity[asked.drawn]
    right = _distances(queries, texts, right_text[:, None])[:, 0]
    wrong = _distances(queries, texts, drawn_text)
    # A product computed elsewhere may differ in the last bits; equal texts tie exactly.
    wrong = np.where(drawn_text == right_text[:, None], right[:, None], wrong)
    number, answer = asked.known
    kept = ~_among(asked.drawn, number, answer)
    equal = _among(drawn_text, number, text_of_entity[answer])
    query = np.broadcast_to(np.arange(len(right))[:, None], kept.shape)
    return PairDistances(right, asked.given, wrong[kept], query[kept], equal[kept])


def _of_triples(dataset: PreparedDataset, known: np.ndarray, candidates: np.ndarray) -> Asked:
    """Validation triples in both directions; some of them where they are many."""
    random = np.random.default_rng([_SEED, 0])
    triples = np.asarray(dataset.triples("valid")).astype(np.int64)
    chosen = np.arange(2 * len(triples))
    if len(chosen) > QUERIES:
        chosen = np.sort(random.choice(len(chosen), QUERIES, replace=False))
    side, triples = chosen // len(triples), triples[chosen % len(triples)]
    numbers, answers = [], []
    for index, name in enumerate(_SIDES):
        which = np.flatnonzero(side == index)
        indexed = KnownAnswers.build(known, name, dataset.num_relations)
        place, answer = indexed.pairs(query_keys(triples[which], name, dataset.num_relations))
        numbers += [which[place], which]
        answers += [answer, answers_of(triples[which], name)]
    right = np.where(side == 1, triples[:, 2], triples[:, 0])
    given = np.where(side == 1, triples[:, 0], triples[:, 2])
    drawn = random.choice(candidates, (len(chosen), DRAWN))
    return Asked(given, triples[:, 1], side, right, drawn, (np.concatenate(numbers), np.concatenate(answers)))


def _of_nodes(candidates: np.ndarray) -> Asked:
    """Nodes and their own descriptions; some of them where they are many."""
    random = np.random.default_rng([_SEED, 1])
    nodes = candidates.astype(np.int64)
    if len(nodes) > QUERIES:
        nodes = np.sort(random.choice(nodes, QUERIES, replace=False))
    drawn = random.choice(candidates, (len(nodes), DRAWN))
    return Asked(nodes, None, np.ones_like(nodes), nodes, drawn, (np.arange(len(nodes)), nodes))


def _queries(asked: Asked, tables: AlignedTables) -> np.ndarray:
    """float64 `(q, width)`, of length 1."""
    if asked.relation is None:
        return _unit(tables.nodes(torch.from_numpy(asked.given), torch.float64))
    vectors = np.empty((len(asked.given), tables.text.shape[1]))
    for index, name in enumerate(_SIDES):
        which = asked.side == index
        given, relation = (torch.from_numpy(array[which]) for array in (asked.given, asked.relation))
        vectors[which] = tables.queries(name, given, relation, torch.float64).cpu().numpy()
    return _unit(torch.from_numpy(vectors))


def _unit(vectors: torch.Tensor) -> np.ndarray:
    """Vectors `(n, width)` at length 1, float64; one of zeros, such as a bag without a known word, stays."""
    wide = vectors.detach().cpu().double().numpy()
    unit: np.ndarray = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), _SMALLEST_NORM)
    return unit


def _distances(queries: np.ndarray, texts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """float64 `(q, k)`: from each query to each of its texts `(q, k)`."""
    found = np.empty(chosen.shape)
    for begin in range(0, len(chosen), _QUERIES_AT_ONCE):
        rows = slice(begin, begin + _QUERIES_AT_ONCE)
        found[rows] = np.linalg.norm(queries[rows, None] - texts[chosen[rows]], axis=2)
    return np.minimum(found, FARTHEST)


def _among(values: np.ndarray, numbers: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """A mask like `values` `(q, k)`: whether (row, value) is one of the pairs (numbers, allowed) `(n,)`."""
    size = 1 + int(max(values.max(initial=0), allowed.max(initial=0)))
    codes = values + size * np.arange(len(values))[:, None]
    found: np.ndarray = np.isin(codes, numbers * size + allowed)
    return found

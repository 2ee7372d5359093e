"""Splits drawn by a seed: an inference graph from a transductive dataset, and three splits from one file.

Every order here is that of a hash of the seed and of ids, ids being places among the sorted labels. So a draw depends
on the set of triples and the seed, not on the order of lines in a file, nor on the version of a random generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kelbench.base.errors import UserError
from kelbench.config.datasets import DrawnInference, SplitFractions


@dataclass(frozen=True)
class Drawn:
    """Triples int32 `(n, 3)` of a training graph and of an inference graph, in the ids of the original entities.

    Attributes:
        inference_entities: ids of the entities of the inference graph, int64, ascending.
        train: triples among the other entities.
        support: triples of the inference graph that are known when it is ranked.
        valid: triples of the inference graph, to be ranked.
        test: likewise.
    """

    inference_entities: np.ndarray
    train: np.ndarray
    support: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def draw_inference(triples: np.ndarray, num_entities: int, draw: DrawnInference) -> Drawn:
    """Take some entities out of a graph, as a graph of their own.

    The entities with the lowest hashes form the inference graph. Triples with both ends among them are its triples;
    those with both ends among the others are training triples; those between the two are dropped. Going through the
    inference triples in the order of their hashes, the first with each entity stays in the support, so that every
    entity ranked has a neighbour; test and then validation triples are the first of the rest whose relation some
    training triple has. Triples are taken once, however often they stand in the input.

    Args:
        triples: int32 `(n, 3)` of all splits together.
        num_entities: ids are below this.
        draw: sizes and seed.

    Raises:
        UserError: the graph is too small for these sizes.
    """
    if draw.entities >= num_entities:
        raise UserError(f"draw.entities: expected fewer than the {num_entities} entities, found {draw.entities}")
    triples = np.unique(triples, axis=0)
    chosen = random_order(num_entities, draw.seed)[: draw.entities]
    inside = np.zeros(num_entities, dtype=bool)
    inside[chosen] = True
    ends = inside[triples[:, 0]].astype(int) + inside[triples[:, 2]]
    train, graph = triples[ends == 0], triples[ends == 2]
    order = _order(graph, draw.seed)
    free = ~_first_with(graph[order][:, [0, 2]])
    free &= np.isin(graph[order][:, 1], train[:, 1])
    test, valid = _take(order[free], (draw.test, draw.valid), "draw.test and draw.valid")
    return Drawn(
        inference_entities=np.sort(chosen),
        train=train,
        support=np.delete(graph, np.concatenate([test, valid]), axis=0),
        valid=graph[valid],
        test=graph[test],
    )


def split_by_fractions(triples: np.ndarray, split: SplitFractions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split one graph into train, valid and test.

    Going through the triples in the order of their hashes, the first with each entity and the first with each relation
    is a training triple: nothing is ranked that training has not seen. Of the rest, the first are test, the next valid,
    all others train. Validation and test have their share of all triples, rounded, at least one each.

    Args:
        triples: int32 `(n, 3)`, each triple once (a repeated one could come to stand in train and in test).
        split: shares and seed.

    Returns:
        Train, valid and test, int32 `(n, 3)` each, in the order of ids.

    Raises:
        UserError: too few triples can be taken away from training.
    """
    order = _order(triples, split.seed)
    free = ~(_first_with(triples[order][:, [0, 2]]) | _first_with(triples[order][:, [1]]))
    sizes = tuple(max(1, round(share * len(triples))) for share in (split.test, split.valid))
    test, valid = _take(order[free], sizes, "split.test and split.valid")
    return np.delete(triples, np.concatenate([test, valid]), axis=0), triples[valid], triples[test]


def split_by_pairs(triples: np.ndarray, split: SplitFractions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split one graph so that all triples between the same two entities, in either direction, stay together.

    So no triple to be ranked has an inverse or a near duplicate in training. Going through the pairs of entities in the
    order of their hashes, those with the first triple of an entity or of a relation are training pairs; of the rest,
    the first are test, the next valid, until each has its share of the triples.

    Args:
        triples: int32 `(n, 3)`, each triple once.
        split: shares and seed.

    Returns:
        Train, valid and test, int32 `(n, 3)` each, in the order of ids.

    Raises:
        UserError: too few triples can be taken away from training.
    """
    ends = np.sort(triples[:, [0, 2]], axis=1)
    _, pair, sizes = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    pair = pair.reshape(-1)
    order = np.lexsort((pair, _hash(ends, split.seed)))
    first = _first_with(triples[order][:, [0, 2]]) | _first_with(triples[order][:, [1]])
    needed = np.zeros(len(sizes), dtype=bool)
    np.logical_or.at(needed, pair[order], first)
    _, places = np.unique(pair[order], return_index=True)
    in_order = np.argsort(places, kind="stable")
    free = in_order[~needed[in_order]]
    part = np.zeros(len(sizes), dtype=np.int8)
    wanted = [max(1, round(share * len(triples))) for share in (split.test, split.valid)]
    if sum(wanted) > sizes[free].sum():
        raise UserError(
            f"split.test and split.valid: expected {sum(wanted)} triples that can be taken away while every entity and "
            f"relation stays known, found {sizes[free].sum()}; ask for fewer"
        )
    taken = np.cumsum(sizes[free])
    part[free[taken <= wanted[0]]] = 2
    part[free[(taken > wanted[0]) & (taken <= sum(wanted))]] = 1
    of_triple = part[pair]
    return triples[of_triple == 0], triples[of_triple == 1], triples[of_triple == 2]


def random_order(count: int, seed: int) -> np.ndarray:
    """The numbers below `count` in the order of their hashes, int64 `(count,)`."""
    return np.argsort(_hash(np.arange(count)[:, None], seed), kind="stable")


def _take(free: np.ndarray, sizes: tuple[int, ...], keys: str) -> list[np.ndarray]:
    """The first of the free places for each size, each ascending."""
    if sum(sizes) > len(free):
        raise UserError(
            f"{keys}: expected at least {sum(sizes)} triples that can be taken away while every entity and relation"
            f" stays known, found {len(free)}; ask for fewer"
        )
    ends = np.cumsum(sizes)
    return [np.sort(free[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _first_with(ids: np.ndarray) -> np.ndarray:
    """Mask over rows of `(n, k)`, bool `(n,)`: some id of the row stands in no earlier row."""
    _, places = np.unique(ids, return_index=True)
    first = np.zeros(len(ids), dtype=bool)
    first[places // ids.shape[1]] = True
    return first


def _order(triples: np.ndarray, seed: int) -> np.ndarray:
    """Places of the rows in the order of their hashes."""
    return np.argsort(_hash(triples, seed), kind="stable")


def _hash(rows: np.ndarray, seed: int) -> np.ndarray:
    """A 64-bit hash of the seed and of each row of ids, uint64 `(n,)`."""
    state = np.full(len(rows), seed % (1 << 64), dtype=np.uint64)
    for column in rows.T:
        state = _scramble(state ^ column.astype(np.uint64))
    return state


def _scramble(values: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))

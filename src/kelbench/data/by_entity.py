"""Splits by entity: what a model of texts is to be ranked on, entities that training never saw.

`semi`: a held-out entity is asked about beside the known ones, as Daza et al. 2021 (BLP, Section 4.1) draw them: no
entity is held out whose removal would leave a neighbour, or a relation, without a training triple.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EntitySplit:
    """Triples int32 `(n, 3)` of each part, and the entities held out for validation and for test, int64, ascending."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    valid_entities: np.ndarray
    test_entities: np.ndarray


def semi_split(triples: np.ndarray, num_entities: int, share: float, seed: int) -> EntitySplit:
    """Hold out `share` of the entities for validation and as many for test.

    Training triples have no held-out end. A validation triple has an end held out for validation and none for test; a
    test triple the other way round. Triples between the two kinds are dropped.

    Args:
        triples: integer `(n, 3)`, none twice.
        num_entities: ids are `0 .. num_entities - 1`.
        share: of the entities, for each of the two parts.
        seed: decides the draw.

    Raises:
        ValueError: too few entities can be held out.
    """
    wanted = round(share * num_entities)
    chosen = _removable(triples, num_entities, 2 * wanted, seed)
    held_out = np.zeros(num_entities, dtype=np.int8)
    # In turn, so that both parts are drawn alike from an order in which fewer and fewer could be removed.
    held_out[chosen[0::2]], held_out[chosen[1::2]] = 1, 2
    ends = held_out[triples[:, 0]], held_out[triples[:, 2]]
    for_valid, for_test = (ends[0] == 1) | (ends[1] == 1), (ends[0] == 2) | (ends[1] == 2)
    train, valid, test = (
        triples[part].astype(np.int32)
        for part in (~for_valid & ~for_test, for_valid & ~for_test, for_test & ~for_valid)
    )
    return EntitySplit(train, valid, test, np.flatnonzero(held_out == 1), np.flatnonzero(held_out == 2))


def _removable(triples: np.ndarray, num_entities: int, count: int, seed: int) -> np.ndarray:
    """`count` entities, int64, that can be removed one after the other, in random order."""
    heads, relations, tails = (column.astype(np.int64) for column in triples.T)
    incident = np.concatenate((np.arange(len(triples)), np.flatnonzero(heads != tails)))
    owner = np.concatenate((heads, tails[heads != tails]))
    order = np.argsort(owner, kind="stable")
    incident, offsets = incident[order], np.searchsorted(owner[order], np.arange(num_entities + 1))
    alive = np.ones(len(triples), dtype=bool)
    degree = np.bincount(owner, minlength=num_entities)
    left = np.bincount(relations)
    chosen = []
    for entity in np.random.default_rng(seed).permutation(num_entities):
        own = incident[offsets[entity] : offsets[entity + 1]]
        own = own[alive[own]]
        if len(own) == 0:
            continue
        neighbours, lost = np.unique(np.where(heads[own] == entity, tails[own], heads[own]), return_counts=True)
        others = neighbours != entity
        used, lost_of_relation = np.unique(relations[own], return_counts=True)
        if (degree[neighbours[others]] <= lost[others]).any() or (left[used] <= lost_of_relation).any():
            continue
        alive[own] = False
        degree[neighbours[others]] -= lost[others]
        degree[entity] = 0
        left[used] -= lost_of_relation
        chosen.append(int(entity))
        if len(chosen) == count:
            return np.array(chosen, dtype=np.int64)
    raise ValueError(f"expected {count} entities that can be held out, found {len(chosen)}; lower the share")

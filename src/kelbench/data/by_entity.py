"""Splits by entity: what a model of texts is to be ranked on, entities that training never saw.

`semi`: a held-out entity is asked about beside the known ones, as Daza et al. 2021 (BLP, Section 4.1) draw them: no
entity is held out whose removal would leave a neighbour, or a relation, without a training triple.

`full`: both ends are unseen. Connected subgraphs are held out, and what is ranked are the triples inside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kelbench.data.draw import random_order


@dataclass(frozen=True)
class EntitySplit:
    """A graph cut into parts.

    Attributes:
        train: triples int32 `(n, 3)`; so are those of `valid`, `test` and `dropped`.
        valid: to be ranked.
        test: to be ranked.
        dropped: true, and in no part.
        valid_entities: held out for validation, int64, ascending.
        test_entities: held out for test, likewise.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    dropped: np.ndarray
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
    train, valid, test, dropped = (
        triples[part].astype(np.int32)
        for part in (~for_valid & ~for_test, for_valid & ~for_test, for_test & ~for_valid, for_valid & for_test)
    )
    return EntitySplit(train, valid, test, dropped, np.flatnonzero(held_out == 1), np.flatnonzero(held_out == 2))


# A held-out subgraph has so many entities: enough to hold triples of several relations, few enough that many fit into a
# part, so that a part is no single corner of the graph.
_SUBGRAPH = 40
# Entities of the highest degrees are never held out: with a continent or a century most of the graph would go.
_HUBS = 0.02


def full_split(triples: np.ndarray, num_entities: int, share: float, seed: int) -> EntitySplit:
    """Hold out connected subgraphs with `share` of the entities for validation and as many for test.

    A subgraph starts at a random entity and takes, again and again, the neighbour with the largest share of its triples
    leading into it. Triples between the parts are dropped, and those of relations that training then lacks.

    Args:
        triples: integer `(n, 3)`, none twice.
        num_entities: ids are `0 .. num_entities - 1`.
        share: of the entities, for each of the two parts.
        seed: decides the draw.

    Raises:
        ValueError: too few entities can be held out.
    """
    part = connected_parts(triples, num_entities, share, seed)
    ends = part[triples[:, [0, 2]]]
    inside = np.where(ends[:, 0] == ends[:, 1], ends[:, 0], -1)
    trained = np.isin(triples[:, 1], triples[inside == 0, 1])
    inside[~trained] = -1
    train, valid, test, dropped = (triples[inside == number].astype(np.int32) for number in (0, 1, 2, -1))
    return EntitySplit(train, valid, test, dropped, np.unique(valid[:, [0, 2]]), np.unique(test[:, [0, 2]]))


def connected_parts(triples: np.ndarray, num_entities: int, share: float, seed: int) -> np.ndarray:
    """The part of each entity, int8 `(num_entities,)`: 0 train, 1 valid, 2 test; held out as connected subgraphs.

    Args:
        triples: integer `(n, 3)`; the middle column is not read.
        num_entities: ids are `0 .. num_entities - 1`.
        share: of the entities, for each of the two held-out parts.
        seed: decides the draw.

    Raises:
        ValueError: too few entities can be held out.
    """
    neighbours, degree = _neighbours(triples, num_entities)
    is_hub = degree > np.quantile(degree, 1 - _HUBS)
    part = np.zeros(num_entities, dtype=np.int8)
    part[is_hub | (degree == 0)] = -1
    wanted = round(share * num_entities)
    order = random_order(num_entities, seed)
    place = np.argsort(order)
    for start in order:
        counts = np.bincount(part.clip(min=0), minlength=3)
        smaller = 1 if counts[1] <= counts[2] else 2
        if counts[smaller] >= wanted:
            break
        if part[start] == 0:
            # Two at least: one entity alone has no triple inside its subgraph.
            size = max(2, min(_SUBGRAPH, wanted - counts[smaller]))
            chosen = _grow(int(start), neighbours, degree, part, size, place)
            if len(chosen) > 1:
                part[chosen] = smaller
    else:
        raise ValueError(f"expected {2 * wanted} entities that can be held out, found too few; lower the share")
    return part.clip(min=0)


def _neighbours(triples: np.ndarray, num_entities: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The other ends of each entity's triples, one each; and how many there are, int64 `(entities,)`."""
    open_ends = triples[triples[:, 0] != triples[:, 2]]
    owner = np.concatenate((open_ends[:, 0], open_ends[:, 2]))
    other = np.concatenate((open_ends[:, 2], open_ends[:, 0])).astype(np.int64)
    order = np.argsort(owner, kind="stable")
    degree = np.bincount(owner, minlength=num_entities)
    return np.split(other[order], np.cumsum(degree)[:-1]), degree


def _grow(
    start: int, neighbours: list[np.ndarray], degree: np.ndarray, part: np.ndarray, size: int, place: np.ndarray
) -> list[int]:
    """A connected set of at most `size` entities of part 0, `start` first; ties go to the lower `place`."""
    chosen = [start]
    links: dict[int, int] = {}
    inside = {start}
    while len(chosen) < size:
        for other in neighbours[chosen[-1]].tolist():
            if part[other] == 0 and other not in inside:
                links[other] = links.get(other, 0) + 1
        if not links:
            break
        best = max(links, key=lambda entity: (links[entity] / degree[entity], -place[entity]))
        del links[best]
        inside.add(best)
        chosen.append(best)
    return chosen


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
    for entity in random_order(num_entities, seed):
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

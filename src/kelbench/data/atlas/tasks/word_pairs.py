"""Tasks on names without sentences: analogies and lexical relation pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kelbench.data.atlas.sources import Sources
from kelbench.data.atlas.tasks.documents import PARTS, SEED, Document
from kelbench.data.atlas.tasks.sentences import Example
from kelbench.data.draw import random_order

# Relations of which "a is to b as c is to d" says something.
ANALOGY_RELATIONS = (
    "capital", "currency", "official_language", "language_family", "script", "creator", "born_in", "in_country",
    "flows_into", "country_of_birth", "occupation", "part_of_range", "headquarters", "descended_from",
)  # fmt: skip
_CHOICES = 4
_ANALOGIES_A_PAIR = 2

# Relations whose head is a part of the tail.
_PARTS_OF = ("in_country", "part_of_region", "part_of_range", "part_of", "continent")
_ATTRIBUTES = ("occupation", "genre", "script", "field", "movement", "currency", "official_language")
_PAIRS_A_WORD = 2


def analogies(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """Analogies a : b as c : ?, with four choices, one right.

    Wrong choices have the kind of the answer: first entities that another fact links to c, then answers of the same
    relation for neighbours of c, then any answers of the relation. None of them stands to c as b to a by whatever
    relation. c belongs to the part of its description, and so does a.
    """
    part = {document.entity: document.part for document in found}
    neighbours = _neighbours(sources)
    tails = _by_relation(sources)
    between: dict[tuple[str, str], set[str]] = {}
    for head, relation, tail in sources.facts:
        between.setdefault((head, tail), set()).add(relation)
    asked: set[tuple[str, str, str]] = set()
    for relation in ANALOGY_RELATIONS:
        pairs = [(head, listed[0]) for head, listed in tails[relation].items() if len(listed) == 1]
        tails_of_pairs = sorted({tail for _, tail in pairs})
        pool = [tails_of_pairs[place] for place in random_order(len(tails_of_pairs), SEED)]
        for name in PARTS:
            own = [pair for pair in pairs if part[pair[0]] == name]
            order = random_order(len(own), SEED)
            for shift in range(1, 1 + min(_ANALOGIES_A_PAIR, len(own) - 1)):
                for place, number in enumerate(order):
                    a, b = own[order[(place + shift) % len(own)]]
                    c, d = own[number]
                    kept = [
                        choice for choice in _wrong_choices(sources, neighbours, tails[relation], pool, (a, b, c, d))
                        if not between[a, b] & between.get((c, choice), set())
                    ]  # fmt: skip
                    wrong = kept[: _CHOICES - 1]
                    if b == d or len(wrong) < _CHOICES - 1 or (a, b, c) in asked:
                        continue
                    asked.add((a, b, c))
                    choices = sorted([d, *wrong])
                    yield name, {
                        "a": a, "b": b, "c": c, "choices": choices, "answer": choices.index(d), "relation": relation,
                        "names": {entity: sources.entities[entity].label for entity in (a, b, c, *choices)},
                    }  # fmt: skip


def _wrong_choices(
    sources: Sources,
    neighbours: dict[str, list[str]],
    tails: dict[str, list[str]],
    pool: list[str],
    asked: tuple[str, str, str, str],
) -> list[str]:
    a, b, c, d = asked
    kind = sources.entities[d].kind
    linked = [entity for entity in neighbours[c] if sources.entities[entity].kind == kind]
    of_neighbours = [tail for entity in neighbours[c] for tail in tails.get(entity, [])]
    start = pool.index(d)
    others = [pool[(start + step) % len(pool)] for step in range(1, len(pool))]
    ordered = dict.fromkeys([*linked, *of_neighbours, *others])
    return [
        entity
        for entity in ordered
        if entity not in (a, b, c, d) and entity not in tails[c] and sources.entities[entity].kind == kind
    ]


def _neighbours(sources: Sources) -> dict[str, list[str]]:
    """Entities that share a fact, either way, in the order of facts."""
    found: dict[str, dict[str, None]] = {entity: {} for entity in sources.entities}
    for head, _, tail in sources.facts:
        found[head][tail] = None
        found[tail][head] = None
    return {entity: list(others) for entity, others in found.items()}


def _by_relation(sources: Sources) -> dict[str, dict[str, list[str]]]:
    tails: dict[str, dict[str, list[str]]] = {relation: {} for relation in sources.relations}
    for head, relation, tail in sources.facts:
        tails[relation].setdefault(head, []).append(tail)
    return tails


def lexical_relations(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """Two names and what holds between them: hypernym, coordinate, holonym, attribute or random, as in BLESS.

    Baroni and Lenci 2011. Both words of a pair belong to one part, but for hypernyms and attributes, of which there are
    few: there the first word decides. So a test pair's first word opens no training pair (Levy et al. 2015).
    """
    part = {document.entity: document.part for document in found}
    names = {entity: record.label for entity, record in sources.entities.items()}
    tails = _by_relation(sources)
    neighbours = _neighbours(sources)
    entities = list(sources.entities)
    order = random_order(len(entities), SEED)
    by_kind: dict[str, list[str]] = {}
    for place in order:
        by_kind.setdefault(sources.entities[entities[place]].kind, []).append(entities[place])
    for number, entity in enumerate(entities):
        kind = sources.entities[entity].kind
        yield part[entity], _pair(names[entity], kind.replace("-", " "), "hypernym", entity, None)
        peers = [other for other in by_kind[kind] if other != entity and part[other] == part[entity]]
        alike = [
            other
            for other in peers
            if set(neighbours[other]) & set(neighbours[entity]) and not _is_part(tails, entity, other)
        ]
        for other in alike[:_PAIRS_A_WORD]:
            yield part[entity], _pair(names[entity], names[other], "coordinate", entity, other)
        for label, relations in (("holonym", _PARTS_OF), ("attribute", _ATTRIBUTES)):
            listed = [tail for relation in relations for tail in tails[relation].get(entity, [])]
            for other in listed[:_PAIRS_A_WORD]:
                if label == "attribute" or part[other] == part[entity]:
                    yield part[entity], _pair(names[entity], names[other], label, entity, other)
        strangers = (entities[place] for place in np.roll(order, -number))
        chosen = [
            other for other in strangers
            if other != entity and part[other] == part[entity] and other not in neighbours[entity]
            and sources.entities[other].kind != kind
        ]  # fmt: skip
        for other in chosen[:_PAIRS_A_WORD]:
            yield part[entity], _pair(names[entity], names[other], "random", entity, other)


def _is_part(tails: dict[str, dict[str, list[str]]], one: str, other: str) -> bool:
    """Whether one of two entities is a part of the other."""
    return any(other in tails[relation].get(one, []) or one in tails[relation].get(other, []) for relation in _PARTS_OF)


def _pair(first: str, second: str, relation: str, entity: str, other: str | None) -> Example:
    return {"word_1": first, "word_2": second, "relation": relation, "entity_1": entity, "entity_2": other}

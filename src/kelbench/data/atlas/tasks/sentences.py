"""Tasks on single sentences: relation classification, entity typing, named entities, entity linking."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from kelbench.data.atlas.sources import COARSE_TYPES, Mention, Sources
from kelbench.data.atlas.tasks.documents import Document, Sentence, all_sentences
from kelbench.data.name_match import words

NO_RELATION = "no_relation"
CANDIDATES = 10
# A candidate's name is similar where it shares this much of its letter trigrams with the mention (Jaccard).
SIMILAR = 0.25

_NER_OF_COARSE = {"person": "PER", "place": "LOC", "organisation": "ORG"}
_TOKEN = re.compile(r"\w+(?:['\u2019]s\b)?|[^\w\s]")

Example = dict[str, Any]


def span(mention: Mention) -> list[int]:
    """First character and one past the last."""
    return [mention.start, mention.stop]


def relation_classification(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """Two mentions of a sentence and the relation between them, or `no_relation`; in the form of TACRED.

    Where several relations hold, the rarest in the graph is the label. The subject is the head of its fact; without a
    fact, the mention that comes first. `also` has the other relations in the direction of the label.
    """
    relations: dict[tuple[str, str], list[str]] = {}
    for head, relation, tail in sources.facts:
        relations.setdefault((head, tail), []).append(relation)
    frequency = Counter(relation for _, relation, _ in sources.facts)
    for sentence in all_sentences(found):
        for first, second in combinations(sentence.mentions, 2):
            if first.entity == second.entity:
                continue
            subject, other, ordered = _labelled(first, second, relations, frequency)
            yield (
                sentence.part,
                {
                    "text": sentence.text,
                    "subject": span(subject),
                    "object": span(other),
                    "subject_id": subject.entity,
                    "object_id": other.entity,
                    "subject_type": COARSE_TYPES[sources.entities[subject.entity].kind],
                    "object_type": COARSE_TYPES[sources.entities[other.entity].kind],
                    "relation": ordered[0] if ordered else NO_RELATION,
                    "also": ordered[1:],
                    "document": sentence.document,
                },
            )


def _labelled(
    first: Mention, second: Mention, relations: dict[tuple[str, str], list[str]], frequency: Counter[str]
) -> tuple[Mention, Mention, list[str]]:
    """Subject, object and the relations from one to the other, the rarest first; a tie goes to the first mention."""

    def held(head: Mention, tail: Mention) -> list[str]:
        names = relations.get((head.entity, tail.entity), [])
        return sorted(names, key=lambda relation: (frequency[relation], relation))

    forward, backward = held(first, second), held(second, first)
    if backward and (not forward or frequency[backward[0]] < frequency[forward[0]]):
        return second, first, backward
    return first, second, forward


def entity_typing(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """A mention in its sentence and its types, coarse and fine."""
    for sentence in all_sentences(found):
        for mention in sentence.mentions:
            kind = sources.entities[mention.entity].kind
            yield (
                sentence.part,
                {
                    "text": sentence.text,
                    "mention": span(mention),
                    "types": list(dict.fromkeys([COARSE_TYPES[kind], kind])),
                    "entity": mention.entity,
                    "document": sentence.document,
                },
            )


def named_entities(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """Tokens and BIO tags PER, LOC, ORG, MISC, as in CoNLL-2003.

    Every other capitalised mention is MISC (languages, works, awards, movements), and so is the adjective of a country
    ("French"). Only sentences in which
    every capitalised word belongs to a mention, or opens the sentence and is known in lower case, are taken: names
    that atlas does not link would be wrong negatives.
    """
    lower = {
        word for document in found for word in re.findall(r"\w+", document.text) if word.islower() and word.isalpha()
    }
    for sentence in all_sentences(found):
        tags = _tags(sources, sentence, lower)
        if tags is not None:
            yield (
                sentence.part,
                {
                    "tokens": [token for token, _ in tags],
                    "tags": [tag for _, tag in tags],
                    "document": sentence.document,
                },
            )


def _tags(sources: Sources, sentence: Sentence, lower: set[str]) -> list[tuple[str, str]] | None:
    """Tokens with tags; None where a name may be unlinked."""
    tags: list[tuple[str, str]] = []
    edges = {mention.start for mention in sentence.mentions} | {mention.stop for mention in sentence.mentions}
    for token in _tokens(sentence.text, edges):
        start, stop = token
        surface = sentence.text[start:stop]
        owner = next((mention for mention in sentence.mentions if mention.start <= start < mention.stop), None)
        if owner is None:
            opens = not tags or tags[-1][0] in "\"'("
            if surface[0].isupper() and not (opens and surface.lower() in lower) and surface != "I":
                return None
            tags.append((surface, "O"))
            continue
        label = _ner_label(sources, owner.entity, sentence.text[owner.start : owner.stop])
        tags.append((surface, "O" if label is None else ("B-" if start == owner.start else "I-") + label))
    return tags


def _tokens(text: str, edges: set[int]) -> Iterator[tuple[int, int]]:
    """Spans of words and marks; a token is cut where a mention begins or ends."""
    for match in _TOKEN.finditer(text):
        cuts = [match.start(), *sorted(edge for edge in edges if match.start() < edge < match.end()), match.end()]
        yield from pairwise(cuts)


def _ner_label(sources: Sources, entity: str, surface: str) -> str | None:
    record = sources.entities[entity]
    if not any(character.isupper() for character in surface):
        return None
    label = _NER_OF_COARSE.get(COARSE_TYPES[record.kind], "MISC")
    if record.kind == "country" and not _is_name(sources, entity, surface):
        return "MISC"
    return label


def _is_name(sources: Sources, entity: str, surface: str) -> bool:
    """Whether a surface is a name of the entity, rather than its adjective."""
    names = {" ".join(words(name)) for name in [sources.entities[entity].label, *sources.aliases.get(entity, [])]}
    said = " ".join(words(surface))
    return said in names or said.removeprefix("the ") in names


def entity_linking(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """A mention in its description and the entities whose names are most like it, the right one among them.

    Candidates come from names alone: the largest Jaccard similarity of letter trigrams with a label or an alias. Only
    mentions with a wrong candidate of similarity SIMILAR are taken. `found_by_name` says whether the right one was
    among the first CANDIDATES, or had to be put in last place.
    """
    mentions = [(document, mention) for document in found for mention in document.mentions]
    surfaces = sorted({document.text[mention.start : mention.stop] for document, mention in mentions})
    nearest = dict(zip(surfaces, _similar_names(sources, surfaces), strict=True))
    for document, mention in mentions:
        if mention.entity == document.entity:
            continue
        surface = document.text[mention.start : mention.stop]
        ranked = nearest[surface]
        if not any(entity != mention.entity and similarity >= SIMILAR for entity, similarity in ranked):
            continue
        candidates = [entity for entity, _ in ranked]
        by_name = mention.entity in candidates
        if not by_name:
            candidates[-1:] = [mention.entity]
        yield (
            document.part,
            {
                "text": document.text,
                "mention": span(mention),
                "entity": mention.entity,
                "candidates": sorted(candidates),
                "found_by_name": by_name,
                "document": document.entity,
            },
        )


def _similar_names(sources: Sources, surfaces: list[str]) -> list[list[tuple[str, float]]]:
    """For each surface, at most CANDIDATES entities and their similarity, best first."""
    names = [
        (entity, name)
        for entity, record in sources.entities.items()
        for name in [record.label, *sources.aliases.get(entity, [])]
    ]
    vocabulary: dict[str, int] = {}
    of_names = _trigrams([name for _, name in names], vocabulary)
    of_surfaces = _trigrams(surfaces, vocabulary)
    width = len(vocabulary)
    left, right = (_incidence(rows, width) for rows in (of_surfaces, of_names))
    common = (left @ right.T).tocsr()
    sizes = np.array([len(row) for row in of_names])
    result = []
    for number, row in enumerate(of_surfaces):
        start, stop = common.indptr[number], common.indptr[number + 1]
        places, shared = common.indices[start:stop], common.data[start:stop]
        best: dict[str, float] = {}
        for place, value in zip(places, shared / (len(row) + sizes[places] - shared), strict=True):
            entity = names[place][0]
            best[entity] = max(best.get(entity, 0.0), float(value))
        result.append(sorted(best.items(), key=lambda item: (-item[1], item[0]))[:CANDIDATES])
    return result


def _trigrams(texts: list[str], vocabulary: dict[str, int]) -> list[list[int]]:
    rows = []
    for text in texts:
        padded = f" {' '.join(words(text))} "
        grams = {padded[place : place + 3] for place in range(max(1, len(padded) - 2))}
        rows.append(sorted(vocabulary.setdefault(gram, len(vocabulary)) for gram in sorted(grams)))
    return rows


def _incidence(rows: list[list[int]], width: int) -> csr_array:
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    indices = np.array([gram for row in rows for gram in row], dtype=np.int64)
    return csr_array((np.ones(len(indices)), indices, indptr), shape=(len(rows), width))

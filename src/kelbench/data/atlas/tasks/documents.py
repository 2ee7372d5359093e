"""The descriptions as documents: sentences with their mentions, and the part that a document belongs to.

A document belongs to one part, and so does every example made of it: no text of a test example occurs in training.
Documents are held out in connected groups, by their mentions of each other, so that an example may need two of them;
mentions between the groups and the rest remain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kelbench.data.atlas.sources import Mention, Sources
from kelbench.data.by_entity import connected_parts

PARTS = ("train", "valid", "test")
SHARE = 0.15
SEED = 1

_END = re.compile(r"[.!?][\"')]*\s+(?=[\"'(]*[A-Z\u00c0-\u00de0-9])")
# What a full stop may follow without ending a sentence: an initial or a title.
_ABBREVIATION = re.compile(r"(?:\b[A-Z]|\b(?:St|Dr|Mt|Mr|Mrs|ca?|No|vol|Jr|Sr))$")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a description; mentions count from its beginning.

    Attributes:
        document: the entity described.
        part: of PARTS.
        text: the sentence.
        mentions: in order; those of the described entity by its own name among them.
    """

    document: str
    part: str
    text: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class Document:
    """A description: its entity, part, text, mentions (own name included) and sentences."""

    entity: str
    part: str
    text: str
    mentions: tuple[Mention, ...]
    sentences: tuple[Sentence, ...]


def documents(sources: Sources) -> list[Document]:
    """Every description, in the order of entities."""
    parts = _parts(sources)
    return [_document(sources, entity, parts[entity]) for entity in sources.entities]


def all_sentences(found: list[Document]) -> Iterator[Sentence]:
    """The sentences of documents, in order."""
    for document in found:
        yield from document.sentences


def _parts(sources: Sources) -> dict[str, str]:
    ids = {entity: number for number, entity in enumerate(sources.entities)}
    links = {
        (ids[entity], ids[mention.entity])
        for entity, description in sources.descriptions.items()
        for mention in description.mentions
    }
    edges = np.array([(head, 0, tail) for head, tail in sorted(links)])
    part = connected_parts(edges, len(ids), SHARE, SEED)
    return {entity: PARTS[part[number]] for entity, number in ids.items()}


def _document(sources: Sources, entity: str, part: str) -> Document:
    description = sources.descriptions[entity]
    names = [sources.entities[entity].label, *sources.aliases.get(entity, [])]
    mentions = _with_own_name(description.text, description.mentions, entity, names)
    sentences = tuple(
        Sentence(
            entity,
            part,
            description.text[start:stop],
            tuple(
                Mention(mention.start - start, mention.stop - start, mention.entity)
                for mention in mentions
                if start <= mention.start and mention.stop <= stop
            ),
        )
        for start, stop in sentence_spans(description.text, mentions)
    )
    return Document(entity, part, description.text, mentions, sentences)


def _with_own_name(text: str, mentions: tuple[Mention, ...], entity: str, names: list[str]) -> tuple[Mention, ...]:
    """Add the places where a description calls its entity by a name of three letters or more."""
    taken = [(mention.start, mention.stop) for mention in mentions]
    found = list(mentions)
    for name in sorted({name for name in names if len(name) > 2}, key=lambda name: (-len(name), name)):
        for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            start, stop = match.span()
            if all(stop <= begin or end <= start for begin, end in taken):
                taken.append((start, stop))
                found.append(Mention(start, stop, entity))
    return tuple(sorted(found, key=lambda mention: mention.start))


def sentence_spans(text: str, mentions: tuple[Mention, ...]) -> list[tuple[int, int]]:
    """Where sentences begin and end; no mention is cut."""
    spans, begin = [], 0
    for match in _END.finditer(text):
        stop = match.start() + 1
        inside = any(mention.start < match.end() and stop < mention.stop for mention in mentions)
        if inside or _ABBREVIATION.search(text[begin : match.start()]):
            continue
        spans.append((begin, match.end() - (len(match[0]) - len(match[0].rstrip()))))
        begin = match.end()
    return [*spans, (begin, len(text))]

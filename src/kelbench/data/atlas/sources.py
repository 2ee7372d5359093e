"""The sources of atlas: entities, relations, facts, aliases and descriptions, read and checked.

`sources/` beside this file holds

    entities.tsv        id, label, kind
    relations.tsv       with a header line: relation, label, description, domain, range, properties
    facts/*.tsv         relation, head, tails separated by commas
    aliases/*.tsv       id, aliases separated by |
    descriptions/*.tsv  id, text in which every mention of an entity is written [[id|surface]]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kelbench.base.errors import ProblemList

SOURCES = Path(__file__).parent / "sources"

# kind -> coarse type; the two levels of entity types.
COARSE_TYPES = {
    "continent": "place",
    "region": "place",
    "country": "place",
    "city": "place",
    "river": "place",
    "mountain": "place",
    "mountain-range": "place",
    "lake": "place",
    "sea": "place",
    "person": "person",
    "work": "work",
    "organisation": "organisation",
    "language": "language",
    "language-family": "language",
    "script": "language",
    "currency": "concept",
    "occupation": "concept",
    "field": "concept",
    "genre": "concept",
    "century": "concept",
    "award": "concept",
}
_MENTION = re.compile(r"\[\[([^\[\]|]+)\|([^\[\]|]+)\]\]")


@dataclass(frozen=True)
class Mention:
    """A mention of an entity in a plain text: characters `start` to `stop`, the last one not."""

    start: int
    stop: int
    entity: str


@dataclass(frozen=True)
class Description:
    """A description without its marks, and the mentions that they were, in order."""

    text: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class Entity:
    """An entity: its id, its label and its kind, a key of COARSE_TYPES."""

    id: str
    label: str
    kind: str


@dataclass(frozen=True)
class Relation:
    """A relation.

    Attributes:
        id: as facts name it.
        label: in words.
        description: one line.
        domain: kinds of heads.
        range: kinds of tails.
        symmetric: every fact holds in both directions.
        functional: no head has two tails.
        inverse_functional: no tail has two heads.
    """

    id: str
    label: str
    description: str
    domain: frozenset[str]
    range: frozenset[str]
    symmetric: bool
    functional: bool
    inverse_functional: bool


@dataclass
class Sources:
    """Everything atlas is made of; ids of entities and relations are keys.

    Attributes:
        entities: in the order of entities.tsv.
        relations: in the order of relations.tsv.
        facts: (head, relation, tail), each once, sorted; symmetric ones in both directions.
        tails: (head, relation) -> tails in the order in which they were written.
        aliases: entity -> other names.
        descriptions: one for every entity.
    """

    entities: dict[str, Entity] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    facts: list[tuple[str, str, str]] = field(default_factory=list)
    tails: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    descriptions: dict[str, Description] = field(default_factory=dict)


def read_sources(folder: Path = SOURCES) -> Sources:
    """Read and check the sources.

    Raises:
        UserError: something does not fit; up to 20 problems, each with file and line.
    """
    sources, problems = Sources(), ProblemList("the sources of atlas do not fit")
    _read_entities(folder / "entities.tsv", sources, problems)
    _read_relations(folder / "relations.tsv", sources, problems)
    for path in sorted((folder / "facts").glob("*.tsv")):
        _read_facts(path, sources, problems)
    _close_symmetric(sources)
    _check_functional(sources, problems)
    for path in sorted((folder / "aliases").glob("*.tsv")):
        _read_aliases(path, sources, problems)
    for path in sorted((folder / "descriptions").glob("*.tsv")):
        _read_descriptions(path, sources, problems)
    for entity in sorted(sources.entities.keys() - sources.descriptions.keys()):
        problems.add(f"{folder / 'descriptions'}: no description of {entity}")
    problems.raise_if_any()
    return sources


def parse_description(marked: str) -> Description:
    """Take the marks out of a description, and keep where they were."""
    text, mentions, end = "", [], 0
    for match in _MENTION.finditer(marked):
        text += marked[end : match.start()]
        mentions.append(Mention(len(text), len(text) + len(match[2]), match[1]))
        text += match[2]
        end = match.end()
    return Description(text + marked[end:], tuple(mentions))


def _lines(path: Path, columns: int, problems: ProblemList) -> Iterator[tuple[str, list[str]]]:
    """`file:line` and the columns of each line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = line.split("\t")
        if len(parts) == columns:
            yield f"{path}:{number}", parts
        else:
            problems.add(f"{path}:{number}: expected {columns} columns, found {len(parts)}")


def _read_entities(path: Path, sources: Sources, problems: ProblemList) -> None:
    for where, (name, label, kind) in _lines(path, 3, problems):
        if name in sources.entities:
            problems.add(f"{where}: {name} stands there twice")
        if kind not in COARSE_TYPES:
            problems.add(f"{where}: expected a kind of {', '.join(COARSE_TYPES)}; found {kind}")
        sources.entities[name] = Entity(name, label, kind)


def _read_relations(path: Path, sources: Sources, problems: ProblemList) -> None:
    for where, (name, label, description, domain, range_, properties) in _lines(path, 6, problems):
        if name == "relation":
            continue
        if name in sources.relations:
            problems.add(f"{where}: {name} stands there twice")
        kinds = frozenset(domain.split(",")), frozenset(range_.split(","))
        for kind in kinds[0] | kinds[1]:
            if kind not in COARSE_TYPES:
                problems.add(f"{where}: {kind} is no kind of entity")
        known = set(filter(None, properties.split(",")))
        for unknown in known - {"symmetric", "functional", "inverse-functional"}:
            problems.add(f"{where}: unknown property {unknown}")
        sources.relations[name] = Relation(
            name, label, description, *kinds, "symmetric" in known, "functional" in known, "inverse-functional" in known
        )


def _read_facts(path: Path, sources: Sources, problems: ProblemList) -> None:
    for where, (name, head, tails) in _lines(path, 3, problems):
        relation = sources.relations.get(name)
        if relation is None:
            problems.add(f"{where}: no relation {name}")
            continue
        for entity, kinds in ((head, relation.domain), *((tail, relation.range) for tail in tails.split(","))):
            if entity not in sources.entities:
                problems.add(f"{where}: no entity {entity}")
            elif sources.entities[entity].kind not in kinds:
                problems.add(
                    f"{where}: {name} takes {', '.join(sorted(kinds))}; {entity} is a {sources.entities[entity].kind}"
                )
        listed = sources.tails.setdefault((head, name), [])
        for tail in tails.split(","):
            if tail == head:
                problems.add(f"{where}: {head} stands on both sides")
            elif tail in listed:
                problems.add(f"{where}: {head} {name} {tail} stands there twice")
            else:
                listed.append(tail)


def _close_symmetric(sources: Sources) -> None:
    """A symmetric fact may be written in one direction."""
    facts = {(head, relation, tail) for (head, relation), tails in sources.tails.items() for tail in tails}
    facts |= {(tail, relation, head) for head, relation, tail in facts if _is_symmetric(sources, relation)}
    sources.facts = sorted(facts)


def _is_symmetric(sources: Sources, relation: str) -> bool:
    return relation in sources.relations and sources.relations[relation].symmetric


def _check_functional(sources: Sources, problems: ProblemList) -> None:
    tails: dict[tuple[str, str], str] = {}
    heads: dict[tuple[str, str], str] = {}
    for head, name, tail in sources.facts:
        relation = sources.relations[name]
        if relation.functional and tails.setdefault((head, name), tail) != tail:
            problems.add(f"{head} {name}: expected one tail, found {tails[head, name]} and {tail}")
        if relation.inverse_functional and heads.setdefault((tail, name), head) != head:
            problems.add(f"{name} {tail}: expected one head, found {heads[tail, name]} and {head}")


def _read_aliases(path: Path, sources: Sources, problems: ProblemList) -> None:
    for where, (name, aliases) in _lines(path, 2, problems):
        if name not in sources.entities:
            problems.add(f"{where}: no entity {name}")
        sources.aliases.setdefault(name, []).extend(filter(None, (alias.strip() for alias in aliases.split("|"))))


def _read_descriptions(path: Path, sources: Sources, problems: ProblemList) -> None:
    for where, (name, marked) in _lines(path, 2, problems):
        description = parse_description(marked)
        if name not in sources.entities:
            problems.add(f"{where}: no entity {name}")
        if name in sources.descriptions:
            problems.add(f"{where}: a second description of {name}")
        if not 20 <= len(description.text.split()) <= 60:
            problems.add(f"{where}: expected 20 to 60 words, found {len(description.text.split())}")
        if "[[" in description.text or "]]" in description.text:
            problems.add(f"{where}: a mention is not written [[id|surface]]")
        for mention in description.mentions:
            if mention.entity not in sources.entities:
                problems.add(f"{where}: no entity {mention.entity}")
            elif mention.entity == name:
                problems.add(f"{where}: {name} mentions itself")
        sources.descriptions[name] = description

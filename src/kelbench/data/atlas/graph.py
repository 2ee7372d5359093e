"""atlas as a graph with texts: what `kelbench.data.prepare` takes instead of files."""

from __future__ import annotations

import numpy as np

from kelbench.base.files import sha256_file
from kelbench.data.atlas.sources import SOURCES, Sources
from kelbench.data.triple_files import Numbering

NAMES = "name"


def number_facts(sources: Sources, entities: Numbering, relations: Numbering) -> np.ndarray:
    """The facts as triples int32 `(n, 3)`, labels numbered as they come."""
    rows = [(entities[head], relations[relation], entities[tail]) for head, relation, tail in sources.facts]
    return np.array(rows, dtype=np.int32)


def entity_texts(sources: Sources) -> dict[str, dict[str, str]]:
    """Source -> entity -> text: the description behind the name, the description alone, the name alone."""
    names = {entity.id: entity.label for entity in sources.entities.values()}
    plain = {entity: description.text for entity, description in sources.descriptions.items()}
    return {
        "name_and_description": {entity: f"{name}: {plain[entity]}" for entity, name in names.items()},
        "description": plain,
        NAMES: names,
    }


def relation_texts(sources: Sources) -> dict[str, str]:
    """Relation -> `label: description`."""
    return {relation.id: f"{relation.label}: {relation.description}" for relation in sources.relations.values()}


def source_digests() -> dict[str, str]:
    """Path below `sources/` -> SHA-256."""
    return {path.relative_to(SOURCES).as_posix(): sha256_file(path) for path in sorted(SOURCES.rglob("*.tsv"))}

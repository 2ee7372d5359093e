"""atlas as a graph with texts: what `kelbench.data.prepare` takes instead of files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kelbench.base.files import sha256_file
from kelbench.config.datasets import DatasetSettings
from kelbench.data.atlas.sources import SOURCES, Sources
from kelbench.data.atlas.tasks.facts import facts_outside_tasks
from kelbench.data.triple_files import Numbering

NAMES = "name"


def facts_reader(settings: DatasetSettings, sources: Sources) -> Callable[[str, Numbering, Numbering], np.ndarray]:
    """What gives the facts of a built dataset as triples int32 `(n, 3)`, labels numbered as they come."""
    facts = facts_outside_tasks(sources) if settings.without_task_facts else sources.facts

    def read(_: str, entities: Numbering, relations: Numbering) -> np.ndarray:
        if settings.without_task_facts:  # entities of which no fact is left are numbered as well
            for entity in sources.entities:
                entities[entity]
        rows = [(entities[head], relations[relation], entities[tail]) for head, relation, tail in facts]
        return np.array(rows, dtype=np.int32)

    return read


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

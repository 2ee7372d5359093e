"""The data card: docs/atlas.md, prose with counts taken from the data.

python -m kelbench.data.atlas.card > docs/atlas.md
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from kelbench.config.datasets import load_dataset
from kelbench.data.atlas.graph import facts_reader
from kelbench.data.atlas.sources import COARSE_TYPES, Sources, read_sources
from kelbench.data.atlas.tasks.documents import PARTS
from kelbench.data.atlas.tasks.write import labels, task_examples
from kelbench.data.layouts import read_graphs

_TEXT = Path(__file__).with_name("card.md")
_DATASETS = ("atlas", "atlas-semi", "atlas-full", "atlas-tasks")
_LABELS_SHOWN = 6


def page(sources: Sources) -> str:
    """The card: card.md with its marks `{{name}}` replaced by tables."""
    text = _TEXT.read_text(encoding="utf-8")
    for mark, make in (
        ("totals", _totals),
        ("kinds", _kinds),
        ("relations", _relations),
        ("splits", _splits),
        ("tasks", _tasks),
    ):
        text = text.replace("{{" + mark + "}}", make(sources))
    return text


def _table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += [
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def _totals(sources: Sources) -> str:
    lengths = np.array([len(description.text.split()) for description in sources.descriptions.values()])
    mentions = [len(description.mentions) for description in sources.descriptions.values()]
    rows: list[tuple[object, ...]] = [
        ("entities", len(sources.entities)),
        ("kinds of entities (types, coarse types)", f"{len(COARSE_TYPES)}, {len(set(COARSE_TYPES.values()))}"),
        ("relations", len(sources.relations)),
        ("facts (triples)", len(sources.facts)),
        ("aliases", sum(map(len, sources.aliases.values()))),
        ("descriptions", len(sources.descriptions)),
        ("words in a description: least, median, most", f"{lengths.min()}, {np.median(lengths):.0f}, {lengths.max()}"),
        ("annotated mentions", sum(mentions)),
        ("mentions in a description: median", f"{np.median(mentions):.0f}"),
    ]
    return _table(("", "count"), rows)


def _kinds(sources: Sources) -> str:
    kinds = Counter(entity.kind for entity in sources.entities.values())
    rows: list[tuple[object, ...]] = [(coarse, kind, kinds[kind]) for kind, coarse in COARSE_TYPES.items()]
    return _table(("coarse type", "type", "entities"), rows)


def _relations(sources: Sources) -> str:
    facts = Counter(relation for _, relation, _ in sources.facts)
    rows: list[tuple[object, ...]] = []
    for relation in sources.relations.values():
        properties = [
            name.replace("_", " ")
            for name in ("symmetric", "functional", "inverse_functional")
            if getattr(relation, name)
        ]
        rows.append((f"`{relation.id}`", relation.description, ", ".join(properties), facts[relation.id]))
    return _table(("relation", "meaning", "checked property", "facts"), rows)


def _splits(sources: Sources) -> str:
    rows: list[tuple[object, ...]] = []
    for name in _DATASETS:
        settings = load_dataset(name)
        graphs = read_graphs(settings, facts_reader(settings, sources))
        spaces = [len(graphs.spaces.get(part, [])) for part in PARTS]
        rows.append((f"`{name}`", *(len(graphs.splits[part].triples) for part in PARTS), *spaces))
    header = ("dataset", "train", "valid", "test", "entities of train", "of valid alone", "of test alone")
    return _table(header, rows)


def _tasks(sources: Sources) -> str:
    rows: list[tuple[object, ...]] = []
    for task, parts in task_examples(sources).items():
        counted = labels(task, parts["test"])
        shown = [f"{name} {number}" for name, number in list(counted.items())[:_LABELS_SHOWN]]
        if len(counted) > _LABELS_SHOWN:
            shown.append(f"{len(counted) - _LABELS_SHOWN} more")
        rows.append((f"`{task}`", *(len(parts[part]) for part in PARTS), ", ".join(shown)))
    return _table(("task", "train", "valid", "test", "labels of the test part"), rows)


if __name__ == "__main__":
    sys.stdout.write(page(read_sources()))

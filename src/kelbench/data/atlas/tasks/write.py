"""All text tasks of atlas as files: `tasks/TASK/{train,valid,test}.jsonl`, and what they hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kelbench.base.files import write_text
from kelbench.data.atlas.sources import Sources
from kelbench.data.atlas.tasks.documents import PARTS, Document, documents
from kelbench.data.atlas.tasks.questions import cloze, extractive_qa
from kelbench.data.atlas.tasks.sentences import (
    Example,
    entity_linking,
    entity_typing,
    named_entities,
    relation_classification,
)
from kelbench.data.atlas.tasks.word_pairs import analogies, lexical_relations

TASKS: dict[str, Callable[[Sources, list[Document]], Iterator[tuple[str, Example]]]] = {
    "relation_classification": relation_classification,
    "entity_typing": entity_typing,
    "named_entities": named_entities,
    "cloze_qa": cloze,
    "extractive_qa": extractive_qa,
    "analogies": analogies,
    "lexical_relations": lexical_relations,
    "entity_linking": entity_linking,
}


def task_examples(sources: Sources) -> dict[str, dict[str, list[Example]]]:
    """Task -> part -> examples, each with an `id`."""
    found = documents(sources)
    examples: dict[str, dict[str, list[Example]]] = {}
    for task, make in TASKS.items():
        parts: dict[str, list[Example]] = {part: [] for part in PARTS}
        for part, example in make(sources, found):
            parts[part].append({"id": f"{task}-{part}-{len(parts[part])}", **example})
        examples[task] = parts
    return examples


def write_tasks(folder: Path, sources: Sources) -> tuple[list[str], dict[str, Any]]:
    """Write every task below `folder`.

    Returns:
        Paths relative to `folder`; and task -> part -> number of examples and distribution of labels.
    """
    files, facts = [], {}
    for task, parts in task_examples(sources).items():
        facts[task] = {part: {"examples": len(found), "labels": labels(task, found)} for part, found in parts.items()}
        for part, found in parts.items():
            file = f"tasks/{task}/{part}.jsonl"
            lines = (json.dumps(example, ensure_ascii=False, sort_keys=True) + "\n" for example in found)
            write_text(folder / file, "".join(lines))
            files.append(file)
    return files, facts


def labels(task: str, examples: list[Example]) -> dict[str, int]:
    """How often each label occurs, most frequent first; of named entities, how many names of each type."""
    counted: Counter[str] = Counter()
    for example in examples:
        match task:
            case "entity_typing":
                counted.update([example["types"][-1]])
            case "named_entities":
                counted.update(tag[2:] for tag in example["tags"] if tag.startswith("B-"))
            case "extractive_qa":
                counted.update(["unanswerable" if example["is_impossible"] else "answerable"])
            case "relation_classification" | "analogies" | "lexical_relations":
                counted.update([example["relation"]])
            case _:
                counted.update([f"{len(example['candidates'])} candidates"])
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

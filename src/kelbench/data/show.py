"""Entities of a prepared dataset as a reader sees them: label, text, triples."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from kelbench.base.errors import UserError, nearest
from kelbench.data.draw import random_order
from kelbench.data.prepared import PreparedDataset

_TRIPLES_SHOWN = 6
_WIDTH = 110


def sample_entities(folder: Path, count: int, seed: int, source: str | None) -> str:
    """Some entities drawn by a seed, each with its text and its first triples of any split or support graph.

    Args:
        folder: the prepared dataset.
        count: how many; all where there are fewer.
        seed: decides which.
        source: of the texts; the dataset's first unless given.

    Raises:
        UserError: the dataset is not prepared, or has no such source.
    """
    if not (folder / "manifest.json").is_file():
        there = sorted(path.parent.name for path in folder.parent.glob("*/manifest.json"))
        raise UserError(
            f"{folder}: expected a prepared dataset here, found none{nearest(folder.name, there)}; "
            f"prepared there: {', '.join(there) or 'none'}; kelbench prepare NAME makes one"
        )
    dataset = PreparedDataset(folder)
    labels, relations = dataset.entity_labels(), dataset.relation_labels()
    sources = dataset.text_sources
    texts = dataset.entity_texts(source or sources[0]) if source or sources else [""] * dataset.num_entities
    parts = [dataset.triples("train"), dataset.support("test")]
    parts += [dataset.triples("valid"), dataset.triples("test")]
    triples = np.concatenate(parts)
    blocks = []
    for entity in random_order(dataset.num_entities, seed)[:count]:
        own = triples[(triples[:, 0] == entity) | (triples[:, 2] == entity)]
        facts = [f"{labels[head]} {relations[name]} {labels[tail]}" for head, name, tail in own[:_TRIPLES_SHOWN]]
        if len(own) > _TRIPLES_SHOWN:
            facts.append(f"and {len(own) - _TRIPLES_SHOWN} more")
        text = textwrap.fill(texts[entity] or "(no text)", _WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines = textwrap.fill(
            "; ".join(facts) or "(no triples)", _WIDTH, initial_indent="  - ", subsequent_indent="    "
        )
        blocks.append(f"{labels[entity]}\n{text}\n{lines}")
    return "\n\n".join(blocks)

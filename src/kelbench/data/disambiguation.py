"""Examples of Wikidata-Disambig (Cetoli et al. 2018) as mentions to be linked: a word in its context and two entities.

An example says what a string in a text means (`correct_id`) and what else it may mean (`wrong_id`).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from kelbench.base.errors import ProblemList, UserError
from kelbench.base.files import write_text
from kelbench.data.linking import TASK

_LOG = logging.getLogger("kelbench.data.prepare")
_KEYS = ("string", "text", "correct_id", "wrong_id")


def write_mentions(folder: Path, parts: dict[str, Path], entities: Container[str]) -> tuple[list[str], dict[str, Any]]:
    """Write `tasks/entity_linking/PART.jsonl` below `folder`.

    An example is left out where what it means is no entity of the dataset. Where the wrong entity is none, no other
    candidate is given, so that the example counts among all entities and not in the choice between two.

    Args:
        folder: of the prepared dataset.
        parts: `valid` and `test` -> the file with their examples.
        entities: labels of the dataset's entities.

    Returns:
        Paths relative to `folder`; and task -> part -> number of examples, of candidates, and of those left out.

    Raises:
        UserError: a file is no list of examples.
    """
    files: list[str] = []
    facts: dict[str, Any] = {}
    for part, path in parts.items():
        read = [_example(row) for row in _read(path)]
        kept = [example for example in read if example["entity"] in entities]
        for number, example in enumerate(kept):
            example["id"] = f"{TASK}-{part}-{number}"
            example["candidates"] = [label for label in example["candidates"] if label in entities]
        pairs = sum(len(example["candidates"]) > 1 for example in kept)
        _LOG.info("%s: %d of %d examples mean an entity, %d have both candidates", part, len(kept), len(read), pairs)
        facts[part] = {
            "examples": len(kept),
            "labels": {"2 candidates": pairs, "1 candidates": len(kept) - pairs},
            "left_out": len(read) - len(kept),
        }
        files.append(f"tasks/{TASK}/{part}.jsonl")
        lines = (json.dumps(example, ensure_ascii=False, sort_keys=True) + "\n" for example in kept)
        write_text(folder / files[-1], "".join(lines))
    return files, {TASK: facts}


def _read(path: Path) -> list[dict[str, str]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8, found the byte {error.object[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: expected JSON: {error.msg}") from None
    if not isinstance(rows, list):
        raise UserError(f"{path}:1: expected a list of examples, found {type(rows).__name__}")
    problems = ProblemList(f"{path} is not a file of examples")
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in _KEYS):
            problems.add(f"{path}: example {number}: expected texts for {', '.join(_KEYS)}, found {row!r}"[:500])
        elif _place(row) is None:
            problems.add(f"{path}: example {number}: expected the string in the text, found {row!r}"[:500])
    problems.raise_if_any()
    return rows


def _example(row: dict[str, str]) -> dict[str, Any]:
    """An example of the task; of several places of the string the first counts, for the source does not say which."""
    return {
        "text": row["text"],
        "mention": _place(row),
        "entity": row["correct_id"],
        "candidates": sorted({row["correct_id"], row["wrong_id"]}),
        "document": None,
    }


def _place(row: dict[str, str]) -> list[int] | None:
    """Where the string stands first, in whatever case: its first character and the one behind its last."""
    found = re.search(re.escape(row["string"]), row["text"], re.IGNORECASE)
    return list(found.span()) if found else None

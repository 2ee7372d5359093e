"""Examples of entity linking: mentions in their contexts, and the entities that are meant."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from kelbench.base.errors import UserError
from kelbench.data.prepared import PreparedDataset, SplitName

TASK = "entity_linking"


@dataclass(frozen=True)
class Mentions:
    """Mentions to be linked.

    Attributes:
        surfaces: the words of each mention.
        contexts: the text that each stands in.
        entities: int64 `(n,)`: what each means.
        documents: int64 `(n,)`: the entity that the context describes, which no mention means and which does not
            compete: its description is the context; -1 where the context describes none.
        offsets: int64 `(n + 1,)`: mention i may choose among `candidates[offsets[i]:offsets[i + 1]]`.
        candidates: int64: entities whose names are like the mention, the right one among them.
        connected: bool `(n,)`: whether what the mention means has a training triple.
    """

    surfaces: list[str]
    contexts: list[str]
    entities: np.ndarray
    documents: np.ndarray
    offsets: np.ndarray
    candidates: np.ndarray
    connected: np.ndarray

    def __len__(self) -> int:
        return len(self.surfaces)

    def described(self) -> list[str]:
        """Each mention as a text of the kind that describes entities: its words, a colon, its context."""
        return [f"{surface}: {context}" for surface, context in zip(self.surfaces, self.contexts, strict=True)]


def read_mentions(dataset: PreparedDataset, split: SplitName) -> Mentions:
    """The mentions of a part of the dataset's task.

    Raises:
        UserError: the dataset has no such task, or an example means an entity that the dataset lacks.
    """
    path = dataset.folder / "tasks" / TASK / f"{split}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: expected mentions to link, found no such file; prepare the dataset again") from None
    number = {label: entity for entity, label in enumerate(dataset.entity_labels())}
    examples = [json.loads(line) for line in lines]
    for place, example in enumerate(examples, start=1):
        named = (example["entity"], example["document"], *example["candidates"])
        missing = [label for label in named if label is not None and label not in number]
        if missing:
            raise UserError(f"{path}:{place}: {missing[0]} is no entity of {dataset.name}")
    given = [[label for label in example["candidates"] if label != example["document"]] for example in examples]
    entities = np.array([number[example["entity"]] for example in examples], dtype=np.int64)
    with_triple = np.zeros(len(number), dtype=bool)
    with_triple[dataset.triples("train")[:, [0, 2]]] = True
    return Mentions(
        [example["text"][slice(*example["mention"])] for example in examples],
        [example["text"] for example in examples],
        entities,
        np.array([number.get(example["document"], -1) for example in examples], dtype=np.int64),
        np.append(0, np.cumsum([len(labels) for labels in given])),
        np.array([number[label] for labels in given for label in labels], dtype=np.int64),
        with_triple[entities],
    )

"""A prepared dataset on disk: the one form in which every later step sees a graph.

Folder `data/prepared/NAME/`:

    manifest.json      what is here, its digests and counts; for each split its candidates and filter sets
    relations.tsv      id, label, text
    train/             entities.tsv (id, label, and a text for each of the manifest's `text_sources`) and triples.npy
    valid/, test/      triples.npy (to be ranked), support.npy (known at inference, may be empty),
                       known.npy (only filters, may be empty), and entities.tsv where the split has entities of its own

Triples are int32 `(n, 3)`: head, relation, tail. Entity ids are unique over the whole dataset: each entity space (that
of the training graph, that of an inference graph) is one range of them, so that a union of spaces needs no new ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kelbench.base.errors import UserError, nearest
from kelbench.base.files import read_json

SplitName = Literal["train", "valid", "test"]
MANIFEST_FORMAT = 1
PREPARED_FOLDER = Path("data/prepared")


@dataclass(frozen=True)
class Protocol:
    """One way of ranking a split: which entities compete, which known triples are filtered.

    Attributes:
        candidates: `all` or `split`, the value of the leaderboard's column.
        spaces: names of the entity spaces whose entities are candidates.
        filter: array files, relative to the dataset's folder, whose triples are known answers.
    """

    candidates: Literal["all", "split"]
    spaces: tuple[str, ...]
    filter: tuple[str, ...]


class PreparedDataset:
    """Read access to a prepared dataset. Arrays are mapped, not loaded; labels are read on demand."""

    def __init__(self, folder: Path) -> None:
        """Open `folder`.

        Raises:
            UserError: there is no manifest, or one of another format.
        """
        self.folder = folder
        self.manifest: dict[str, Any] = read_json(folder / "manifest.json")
        if self.manifest.get("format") != MANIFEST_FORMAT:
            raise UserError(f"{folder}/manifest.json: expected format {MANIFEST_FORMAT}; prepare the dataset again")

    @property
    def name(self) -> str:
        """Name in the registry or in the experiment's `custom` key."""
        return str(self.manifest["dataset"])

    @property
    def version(self) -> str:
        """The release, as the registry names it."""
        return str(self.manifest["version"])

    @property
    def num_entities(self) -> int:
        """Entities of all spaces together."""
        return max(stop for _, stop in self.spaces.values())

    @property
    def num_relations(self) -> int:
        """Relations of the whole dataset, inverse ones not counted."""
        return int(self.manifest["num_relations"])

    @property
    def spaces(self) -> dict[str, tuple[int, int]]:
        """Entity space -> first id and one past the last; `train` is always there."""
        return {name: (space["start"], space["stop"]) for name, space in self.manifest["entity_spaces"].items()}

    def space_of(self, split: SplitName) -> str:
        """Name of the entity space that the split's triples belong to."""
        return str(self.manifest["splits"][split]["space"])

    @property
    def is_inductive(self) -> bool:
        """Whether the test split has entities of its own."""
        return self.space_of("test") != "train"

    def triples(self, split: SplitName) -> np.ndarray:
        """Triples of a split, int32 `(n, 3)`: head, relation, tail."""
        return self.array(f"{split}/triples.npy")

    def support(self, split: SplitName) -> np.ndarray:
        """Triples of the split's own graph known when it is ranked, int32 `(n, 3)`; empty where it has none."""
        return self.array(f"{split}/support.npy")

    def array(self, file: str) -> np.ndarray:
        """One array file of this dataset, mapped read-only.

        Raises:
            UserError: the file is missing.
        """
        path = self.folder / file
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # an empty array cannot be mapped
            return np.load(path, allow_pickle=False)
        except FileNotFoundError:
            raise UserError(f"{path}: expected an array here, found none; prepare the dataset again") from None

    def protocols(self, split: SplitName) -> list[Protocol]:
        """The ways in which this split is ranked; the first is the primary one."""
        return [
            Protocol(item["candidates"], tuple(item["spaces"]), tuple(item["filter"]))
            for item in self.manifest["splits"][split]["protocols"]
        ]

    def candidates(self, protocol: Protocol) -> np.ndarray:
        """Ids of the competing entities, int64, ascending."""
        return np.sort(np.concatenate([np.arange(*self.spaces[space]) for space in protocol.spaces]))

    def known(self, protocol: Protocol) -> np.ndarray:
        """The filter set: int32 `(n, 3)`; a triple of two files stands twice."""
        return np.concatenate([self.array(file) for file in protocol.filter])

    def seen_in_training(self) -> np.ndarray:
        """Mask over entity ids, bool `(num_entities,)`: in a training triple, or in an inference graph's support."""
        seen = np.zeros(self.num_entities, dtype=bool)
        for split in ("train", "valid", "test"):
            array = self.triples("train") if split == "train" else self.support(split)  # type: ignore[arg-type]
            seen[array[:, 0]] = True
            seen[array[:, 2]] = True
        return seen

    @property
    def text_sources(self) -> list[str]:
        """Sources of the entities' texts; a run takes the first unless it says."""
        return list(self.manifest.get("text_sources", []))

    @property
    def name_source(self) -> str | None:
        """The source of texts that holds names alone, if any does."""
        source: str | None = self.manifest.get("entity_names")
        return source

    def entity_texts(self, source: str) -> list[str]:
        """The text, possibly empty, of every entity by id.

        Raises:
            UserError: the dataset has no such source.
        """
        if source not in self.text_sources:
            raise UserError(
                f"{self.name}: no source of texts {source!r}{nearest(source, self.text_sources)}"
                + ("" if self.text_sources else "; it has no texts")
            )
        column = 2 + self.text_sources.index(source)
        texts = [""] * self.num_entities
        for space in self.spaces:
            for row in self._entity_table(space):
                texts[int(row[0])] = row[column]
        return texts

    def texts_or_first(self, source: str | None) -> list[str]:
        """The texts of a source, or of the first for None.

        Raises:
            UserError: the dataset has no texts, or not that source.
        """
        if not self.text_sources:
            raise UserError(f"{self.name}: this method needs texts of the entities, and the dataset has none")
        return self.entity_texts(source or self.text_sources[0])

    def relation_texts(self) -> list[str]:
        """The text of every relation by id; its label where it has none."""
        return [text or label.replace("_", " ").strip() for _, label, text in self.relation_rows()]

    def entity_rows(self, space: str) -> Iterator[tuple[int, str, str]]:
        """Id, label and text (may be empty) of each entity of a space, in the order of ids; of the first source."""
        for identifier, label, text, *_ in self._entity_table(space):
            yield int(identifier), label, text

    def _entity_table(self, space: str) -> Iterator[list[str]]:
        return _rows(self.folder / self.manifest["entity_spaces"][space]["file"])

    def relation_rows(self) -> Iterator[tuple[int, str, str]]:
        """Id, label and text (may be empty) of each relation, in the order of ids."""
        for identifier, label, text in _rows(self.folder / "relations.tsv"):
            yield int(identifier), label, text

    def entity_labels(self) -> list[str]:
        """Labels of all entities by id. In an inductive dataset one label may stand in two spaces."""
        labels = [""] * self.num_entities
        for space in self.spaces:
            for identifier, label, _ in self.entity_rows(space):
                labels[identifier] = label
        return labels

    def relation_labels(self) -> list[str]:
        """Labels of all relations by id."""
        return [label for _, label, _ in self.relation_rows()]


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            yield line.rstrip("\n").split("\t")

"""The dataset registry: config/datasets/NAME.yaml, one class for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from kelbench.base.errors import UserError, nearest
from kelbench.config.yaml_source import Settings, read_yaml, validate

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class DatasetFile(Settings):
    """One file to fetch. Its name is unique over the whole registry and flat, so that a mirror is one folder."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name in the cache and in mirrors")
    urls: list[str] = Field(default_factory=list, description="tried in order; empty for an embedded file")
    embedded: str | None = Field(
        None, description="path inside the installed pykeen package, for the small datasets that it carries"
    )
    bytes: int | None = Field(gt=0, description="size; null where only the digest was published")
    sha256: Sha256 = Field(description="of the whole file; nothing unverified is opened")
    licence: str = Field(description="as its publisher states it")

    @field_validator("urls")
    @classmethod
    def _https(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.startswith("https://"):
                raise ValueError(f"expected https URLs, found {url}")
        return urls

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if bool(self.urls) == bool(self.embedded):
            raise ValueError(f"file {self.name}: give either urls or embedded")
        return self


class TripleSource(Settings):
    """Where the triples of one split stand: a file, or a member of an archive."""

    file: str = Field(description="the name of one of the dataset's files")
    member: str | None = Field(None, description="path inside the archive, for .tar.gz and .zip files")


class TextSource(Settings):
    """Where labels and texts of entities or relations stand."""

    file: str
    member: str | None = None
    format: Literal["tsv", "wikidata_json"] = Field(
        description="tsv: id, tab, text; wikidata_json: {id: {label, description}}"
    )


class Counts(Settings):
    """Counts that prepare asserts. A key left out is not asserted.

    `unseen_*` are triples with an entity that neither a training triple nor, in an inductive dataset, a support triple
    of their own graph has.
    """

    entities: int = Field(
        description="entities of the training graph; of all official splits where they share one graph"
    )
    relations: int
    train: int
    valid: int
    test: int
    unseen_valid: int = 0
    unseen_test: int = 0
    inference_entities: int | None = Field(None, description="entities of the test split's own graph (inductive)")
    validation_entities: int | None = Field(None, description="entities of a validation split with a graph of its own")
    support: int | None = Field(None, description="triples of the inference graph known when it is ranked")
    extra_known: int | None = Field(None, description="triples that only filter (GraIL's _ind/valid)")


class DrawnInference(Settings):
    """An inductive dataset drawn from a transductive one (umls-ind)."""

    entities: int = Field(gt=0, description="entities of the inference graph")
    valid: int = Field(gt=0, description="validation triples taken from the inference graph")
    test: int = Field(gt=0, description="test triples taken from the inference graph")
    seed: int


Layout = Literal["transductive", "grail", "ilpc", "drawn", "wikidata5m_inductive"]

# The triple sources that each layout needs.
_PARTS: dict[str, tuple[str, ...]] = {
    "transductive": ("train", "valid", "test"),
    "drawn": ("train", "valid", "test"),
    "wikidata5m_inductive": ("train", "valid", "test"),
    "ilpc": ("train", "inference", "valid", "test"),
    "grail": ("train", "valid", "inference", "inference_valid", "test"),
}


class DatasetSettings(Settings):
    """A public dataset: its files, where in them the triples and texts stand, and the counts they must give."""

    name: Name = Field(description="that of the file")
    title: str = Field(description="the name as papers print it")
    version: str = Field(description="what distinguishes this release from others of the same name")
    layout: Layout = Field(description="how splits, candidates and filters follow from the files")
    source: str = Field(description="who published it: a citation")
    files: list[DatasetFile] = Field(min_length=1, description="what to fetch")
    triples: dict[str, TripleSource] = Field(description="split or graph -> where its triples stand")
    entity_texts: TextSource | None = Field(None, description="descriptions of entities")
    relation_texts: TextSource | None = Field(None, description="names or descriptions of relations")
    draw: DrawnInference | None = Field(None, description="for layout: drawn")
    counts: Counts | None = Field(None, description="asserted by prepare")
    notes: str = Field("", description="what a reader of the report should know")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        expected = _PARTS[self.layout]
        if set(self.triples) != set(expected):
            raise ValueError(
                f"layout {self.layout} needs triples for {', '.join(expected)}, found {', '.join(self.triples)}"
            )
        if (self.layout == "drawn") != (self.draw is not None):
            raise ValueError("the key draw goes with layout: drawn, and only with it")
        known = {file.name for file in self.files}
        parts: list[TripleSource | TextSource] = list(self.triples.values())
        parts += [text for text in (self.entity_texts, self.relation_texts) if text is not None]
        for part in parts:
            if part.file not in known:
                raise ValueError(f"{part.file} is not one of the files of this dataset{nearest(part.file, known)}")
        return self


class SplitFractions(Settings):
    """Shares of a single triple file that become validation and test triples."""

    valid: float = Field(gt=0, lt=0.5, description="share of the triples that become validation triples")
    test: float = Field(gt=0, lt=0.5, description="share of the triples that become test triples")
    seed: int = Field(description="decides the split")


class CustomDataset(Settings):
    """A user's own graph: tab-separated files of head, relation, tail. Paths are relative to the experiment file."""

    triples: str | None = Field(None, description="one file, split here by `split`")
    split: SplitFractions | None = Field(None, description="how to split `triples`")
    train: str | None = Field(None, description="training triples, where the graph is split already")
    valid: str | None = Field(None, description="validation triples")
    test: str | None = Field(None, description="test triples")
    entity_texts: str | None = Field(None, description="tab-separated: entity, text")
    relation_texts: str | None = Field(None, description="tab-separated: relation, text")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        three = [self.train, self.valid, self.test]
        if self.triples is not None:
            if any(three):
                raise ValueError("give either triples with split, or train, valid and test")
            if self.split is None:
                raise ValueError("triples needs the key split: {valid: 0.1, test: 0.1, seed: 1}")
        elif not all(three):
            raise ValueError("give either triples with split, or train, valid and test")
        elif self.split is not None:
            raise ValueError("split goes with triples; train, valid and test are split already")
        return self


REGISTRY_FOLDER = Path("config/datasets")


def registered_names(folder: Path = REGISTRY_FOLDER) -> list[str]:
    """Names of the datasets in the registry, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_dataset(name: str, folder: Path = REGISTRY_FOLDER) -> DatasetSettings:
    """Read one dataset's entry.

    Raises:
        UserError: there is no such dataset, or its entry does not fit.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"dataset {name!r} is not in {folder}{nearest(name, registered_names(folder))}")
    settings = validate(DatasetSettings, read_yaml(path))
    if settings.name != name:
        raise UserError(f"{path}: expected name: {name}, as the file is called, found {settings.name}")
    return settings


def check_file_names(datasets: Iterable[DatasetSettings]) -> None:
    """Raise UserError if two datasets give one file name to different contents."""
    seen: dict[str, tuple[str, str]] = {}
    for dataset in datasets:
        for file in dataset.files:
            owner, digest = seen.setdefault(file.name, (dataset.name, file.sha256))
            if digest != file.sha256:
                raise UserError(f"file {file.name} of {dataset.name} has another sha256 than that of {owner}")


def is_name(text: str) -> bool:
    """Whether `text` can name a dataset, a run or an experiment: lower-case letters, digits, ``-`` and ``_``."""
    return re.fullmatch(r"[a-z0-9][a-z0-9_-]*", text) is not None

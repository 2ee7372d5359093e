"""The dataset registry: config/datasets/NAME.yaml, one class for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from kelbench.base.errors import UserError, nearest
from kelbench.config.yaml_source import Settings, load_entry

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
    separator: Literal["tab", "space"] = Field("tab", description="what stands between head, relation and tail")


TextFormat = Literal[
    "tsv", "tsv_first", "tsv_underscores", "wikidata_json", "captions_json", "labels_json", "label_captions_json"
]


class TextSource(Settings):
    """Where labels and texts of entities or relations stand."""

    file: str
    member: str | None = None
    further: list[str] = Field(default_factory=list, description="files of the same format with more of the texts")
    format: TextFormat = Field(
        description="tsv: id, tab, text; tsv_first: id, tab, alternatives between tabs, the first of them the text; "
        "tsv_underscores: tsv with _ for spaces; "
        "wikidata_json: {id: {label, description}}, read as label: description; captions_json: {id: {caption}}; "
        "labels_json: {id: {label}}; label_captions_json: {id: {label, caption}}, read as label: caption"
    )
    before: str | None = Field(
        None, min_length=1, description="keep what stands before this separator: the name of `name -- first sentence`"
    )


class LinkingSource(Settings):
    """Where mentions to be linked to entities stand: Wikidata-Disambig's format, see `kelbench.data.disambiguation`."""

    valid: str = Field(description="file of the examples for validation")
    test: str = Field(description="file of the examples for test")


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
    extra_known: int | None = Field(
        None, description="triples that only filter: GraIL's _ind/valid; of semi and full what fell between the parts"
    )


class HeldOutEntities(Settings):
    """How entities are held out of one graph (semi, full)."""

    share: float = Field(gt=0, lt=0.5, description="of the entities, for validation and again for test")
    seed: int = Field(description="decides which")


class SplitFractions(Settings):
    """Shares of a single triple file that become validation and test triples."""

    valid: float = Field(gt=0, lt=0.5, description="share of the triples that become validation triples")
    test: float = Field(gt=0, lt=0.5, description="share of the triples that become test triples")
    seed: int = Field(description="decides the split")


class DrawnInference(Settings):
    """An inductive dataset drawn from a transductive one (umls-ind)."""

    entities: int = Field(gt=0, description="entities of the inference graph")
    valid: int = Field(gt=0, description="validation triples taken from the inference graph")
    test: int = Field(gt=0, description="test triples taken from the inference graph")
    seed: int


Layout = Literal["transductive", "grail", "ilpc", "drawn", "wikidata5m_inductive", "pairs", "semi", "full"]

# The triple sources that each layout needs. A built dataset has one, that nobody need name: the whole graph.
_PARTS: dict[str, tuple[str, ...]] = {
    "transductive": ("train", "valid", "test"),
    "drawn": ("train", "valid", "test"),
    "pairs": ("graph",),
    "semi": ("train", "valid", "test"),
    "full": ("train", "valid", "test"),
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
    built: Literal["atlas"] | None = Field(None, description="made by kelbench from its own sources; no files then")
    text_tasks: bool = Field(False, description="write the text tasks of a built dataset beside its graph")
    without_task_facts: bool = Field(
        False, description="leave out of a built graph the facts that validation and test examples of its tasks express"
    )
    files: list[DatasetFile] = Field(default_factory=list, description="what to fetch")
    triples: dict[str, TripleSource] = Field(
        default_factory=dict, description="split or graph -> where its triples stand"
    )
    entity_texts: dict[str, TextSource] = Field(
        default_factory=dict, description="source of texts -> where they stand; a run takes the first unless it says"
    )
    entity_names: str | None = Field(None, description="the source of texts that holds nothing but names")
    labels_are_names: bool = Field(
        False, description="labels of entities are names with _ for spaces: texts of the source `name`"
    )
    relation_texts: TextSource | None = Field(None, description="names or descriptions of relations")
    linking: LinkingSource | None = Field(None, description="examples of entity linking")
    texts_are_entities: bool = Field(
        False, description="whoever has a text is an entity of the graph, with a triple or without (layout: pairs)"
    )
    draw: DrawnInference | None = Field(None, description="for layout: drawn")
    held_out: HeldOutEntities | None = Field(None, description="for layouts semi and full")
    split: SplitFractions | None = Field(None, description="for layout: pairs")
    counts: Counts | None = Field(None, description="asserted by prepare")
    digests: dict[str, Sha256] = Field(
        default_factory=dict,
        description="file of the prepared dataset -> sha256, asserted by prepare; published for splits of our own",
    )
    notes: str = Field("", description="what a reader of the report should know")

    @property
    def text_sources(self) -> list[str] | None:
        """The sources of entities' texts; None for a built dataset, whose sources are its builder's."""
        if self.built is not None:
            return None
        return [*self.entity_texts, *(["name"] if self.labels_are_names else [])]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.built is None and not self.files:
            raise ValueError("expected the key files, or built: atlas")
        if self.built is not None and (self.files or self.triples or self.entity_texts or self.relation_texts):
            raise ValueError("built goes without files, triples and texts")
        if self.built is not None and self.layout not in ("pairs", "semi", "full"):
            raise ValueError(f"built goes with layout: pairs, semi or full, found {self.layout}")
        if self.labels_are_names and (self.built is not None or "name" in self.entity_texts or self.entity_names):
            raise ValueError("labels_are_names is itself the source of texts `name`, and of names; remove the other")
        if "relations" in self.entity_texts:
            raise ValueError("entity_texts: relations cannot name a source; the manifest counts relations under it")
        described_pairs = self.layout == "pairs" and bool(self.entity_texts)
        for key, other, given in (
            ("text_tasks", "built", self.built is not None),
            ("without_task_facts", "text_tasks", self.text_tasks),
            ("linking", "entity_texts", bool(self.entity_texts)),
            ("texts_are_entities", "layout: pairs and entity_texts", described_pairs),
        ):
            if getattr(self, key) and not given:
                raise ValueError(f"{key} goes with {other}")
        expected = _PARTS[self.layout]
        if self.built is None and set(self.triples) != set(expected):
            raise ValueError(
                f"layout {self.layout} needs triples for {', '.join(expected)}, found {', '.join(self.triples)}"
            )
        for key, layouts in (("draw", ("drawn",)), ("held_out", ("semi", "full")), ("split", ("pairs",))):
            if (self.layout in layouts) != (getattr(self, key) is not None):
                raise ValueError(f"the key {key} goes with layout: {' or '.join(layouts)}, and only with it")
        if self.entity_names is not None and self.entity_names not in self.entity_texts:
            raise ValueError(f"entity_names: {self.entity_names} is not one of entity_texts")
        return self

    @model_validator(mode="after")
    def _files_there(self) -> Self:
        known = {file.name for file in self.files}
        parts: list[TripleSource | TextSource] = [*self.triples.values(), *self.entity_texts.values()]
        parts += [self.relation_texts] if self.relation_texts is not None else []
        files = [part.file for part in parts]
        files += [file for source in self.entity_texts.values() for file in source.further]
        files += [self.linking.valid, self.linking.test] if self.linking is not None else []
        for file in files:
            if file not in known:
                raise ValueError(f"{file} is not one of the files of this dataset{nearest(file, known)}")
        return self


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
    return load_entry(DatasetSettings, path)


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

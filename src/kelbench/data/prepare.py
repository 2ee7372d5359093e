"""From verified files to the prepared layout that `kelbench.data.prepared` reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from kelbench.base.errors import ProblemList, UserError
from kelbench.base.files import digest_of, sha256_file, write_array, write_json, write_text
from kelbench.config.datasets import Counts, CustomDataset, DatasetSettings, SplitFractions, TextSource, TripleSource
from kelbench.data.archives import open_member
from kelbench.data.atlas.graph import NAMES, entity_texts, facts_reader, relation_texts, source_digests
from kelbench.data.atlas.sources import Sources, read_sources
from kelbench.data.atlas.tasks.write import write_tasks
from kelbench.data.disambiguation import write_mentions
from kelbench.data.draw import split_by_fractions
from kelbench.data.fetch import open_verified
from kelbench.data.layouts import Graphs, Split, read_graphs, read_parts, transductive_splits
from kelbench.data.prepared import MANIFEST_FORMAT
from kelbench.data.texts import one_line, read_texts
from kelbench.data.triple_files import Normalised, Numbering, read_triples

_LOG = logging.getLogger("kelbench.data.prepare")


@dataclass
class Inputs:
    """Files that triples and texts are read from; collects their digests and what was normalised in them.

    Attributes:
        paths: name -> file.
        digests: name -> SHA-256, for the manifest.
        normalised: `file:member` -> what was normalised there.
    """

    paths: dict[str, Path]
    digests: dict[str, str]
    normalised: dict[str, dict[str, int]] = field(default_factory=dict)

    @contextmanager
    def open(self, file: str, member: str | None) -> Iterator[tuple[IO[bytes], str]]:
        """A file's bytes, and what messages call it: its path, and the member behind a colon."""
        path = self.paths[file]
        with open_member(path, member) as stream:
            yield stream, f"{path}:{member}" if member else str(path)

    def note(self, file: str, member: str | None, normalised: Normalised) -> None:
        """Keep what was normalised in a file or member."""
        self.normalised[f"{file}:{member}" if member else file] = normalised.record()

    def triples(self, source: TripleSource, entities: Numbering, relations: Numbering) -> np.ndarray:
        """The triples of a file, numbered."""
        with self.open(source.file, source.member) as (stream, where):
            tabbed = stream if source.separator == "tab" else BytesIO(stream.read().replace(b" ", b"\t"))
            triples, normalised = read_triples(tabbed, where, entities, relations)
        self.note(source.file, source.member, normalised)
        return triples

    def texts(self, source: TextSource | None) -> dict[str, str]:
        """Label -> text; empty without a source."""
        if source is None:
            return {}
        texts: dict[str, str] = {}
        for file, member in [(source.file, source.member), *((file, None) for file in source.further)]:
            with self.open(file, member) as (stream, where):
                found, normalised = read_texts(stream, where, source.format)
            self.note(file, member, normalised)
            for label in found.keys() & texts.keys():
                if found[label] != texts[label]:
                    raise UserError(f"{where}: {label}: expected the text that {source.file} has, found another")
            texts |= found
        if source.before is not None:
            texts = {label: text.split(source.before, 1)[0].strip() for label, text in texts.items()}
        return texts


@dataclass(frozen=True)
class Texts:
    """Texts of a dataset: source -> label -> text for entities, label -> text for relations.

    Attributes:
        entities: source -> label -> text; the first source is that of runs that name none.
        relations: label -> text.
        names: the source that holds names alone, if any does.
    """

    entities: dict[str, dict[str, str]]
    relations: dict[str, str]
    names: str | None = None


def prepare_dataset(settings: DatasetSettings, folder: Path) -> None:
    """Prepare a registered dataset from its fetched files.

    Args:
        settings: the registry entry.
        folder: where the prepared layout goes; its manifest is written last, so that a folder with a manifest is whole.

    Raises:
        UserError: a file is missing, damaged or malformed, or the counts are not those of the registry.
    """
    write_more = None
    if settings.built is not None:
        sources = read_sources()
        inputs, graphs, texts = _built(settings, sources)
        if settings.text_tasks:
            write_more = partial(write_tasks, sources=sources)
    else:
        inputs, graphs, texts = _read_files(settings)
        if settings.linking is not None:
            parts = {part: inputs.paths[file] for part, file in settings.linking.model_dump().items()}
            write_more = partial(write_mentions, parts=parts, entities=set(graphs.spaces["train"]))
    if settings.counts is not None:
        _assert_counts(settings.name, settings.counts, graphs)
    facts = {
        "dataset": settings.name,
        "title": settings.title,
        "version": settings.version,
        "layout": settings.layout,
        "source": settings.source,
        "licences": sorted({file.licence for file in settings.files}),
        "notes": settings.notes,
    }
    write_prepared(folder, graphs, inputs, facts, texts, settings.digests, write_more)


def _read_files(settings: DatasetSettings) -> tuple[Inputs, Graphs, Texts]:
    paths = {file.name: open_verified(file) for file in settings.files}
    inputs = Inputs(paths, {file.name: file.sha256 for file in settings.files})
    entity_texts = {name: inputs.texts(source) for name, source in settings.entity_texts.items()}

    def read(part: str, entities: Numbering, relations: Numbering) -> np.ndarray:
        triples = inputs.triples(settings.triples[part], entities, relations)
        if settings.texts_are_entities:
            for label in set().union(*entity_texts.values()):
                entities.add(label)
        return triples

    graphs = read_graphs(settings, read)
    names = settings.entity_names
    if settings.labels_are_names:
        names = "name"
        labels = {label for space in graphs.spaces.values() for label in space}
        entity_texts[names] = {label: one_line(label.replace("_", " ")) for label in sorted(labels)}
    return inputs, graphs, Texts(entity_texts, inputs.texts(settings.relation_texts), names)


def _built(settings: DatasetSettings, sources: Sources) -> tuple[Inputs, Graphs, Texts]:
    inputs = Inputs({}, source_digests())
    graphs = read_graphs(settings, facts_reader(settings, sources))
    return inputs, graphs, Texts(entity_texts(sources), relation_texts(sources), NAMES)


def prepare_custom(name: str, custom: CustomDataset, base: Path, folder: Path) -> None:
    """Prepare a user's own graph.

    Args:
        name: its key under `custom` in the experiment file.
        custom: the files, relative to `base`.
        base: folder of the experiment file.
        folder: as in `prepare_dataset`.

    Raises:
        UserError: a file is missing or malformed, or too small to be split.
    """
    keys = ("triples", "train", "valid", "test", "entity_texts", "relation_texts")
    given = {key: str(value) for key in keys if (value := getattr(custom, key)) is not None}
    paths = {value: base / value for value in given.values()}
    for key, value in given.items():
        if not paths[value].is_file():
            raise UserError(f"custom.{name}.{key}: expected a file at {paths[value]}, found none")
    inputs = Inputs(paths, {value: sha256_file(path) for value, path in paths.items()})
    if custom.triples is not None and custom.split is not None:
        graphs, notes = _one_file(custom.triples, custom.split, inputs)
    else:
        graphs, notes = _three_files(custom, inputs), ""
    facts = {
        "dataset": name,
        "title": name,
        "version": digest_of([inputs.digests, custom.model_dump(mode="json")])[:12],
        "layout": "transductive",
        "source": "your own files",
        "licences": [],
        "notes": notes,
    }
    described = {"text": inputs.texts(_tsv(custom.entity_texts))} if custom.entity_texts is not None else {}
    texts = Texts(described, inputs.texts(_tsv(custom.relation_texts)))
    write_prepared(folder, graphs, inputs, facts, texts)


def _tsv(file: str | None) -> TextSource | None:
    form: Literal["tsv"] = "tsv"
    return TextSource(file=file, member=None, format=form, before=None) if file is not None else None


def _read(inputs: Inputs, files: dict[str, str]) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    """Labels of entities and of relations, and triples by part, of files that share one graph."""
    spaces, relations, parts = read_parts(
        {"train": tuple(files)},
        lambda part, entities, numbers: inputs.triples(
            TripleSource(file=files[part], member=None, separator="tab"), entities, numbers
        ),
    )
    return spaces["train"], relations, parts


def _three_files(custom: CustomDataset, inputs: Inputs) -> Graphs:
    files = {split: str(getattr(custom, split)) for split in ("train", "valid", "test")}
    labels, relations, parts = _read(inputs, files)
    return Graphs({"train": labels}, relations, transductive_splits(parts))


def _one_file(file: str, split: SplitFractions, inputs: Inputs) -> tuple[Graphs, str]:
    """The graphs, and a note on repeated triples, which cannot be kept when a file is split here."""
    labels, relations, parts = _read(inputs, {"triples": file})
    unique = np.unique(parts["triples"], axis=0)
    train, valid, test = split_by_fractions(unique, split)
    repeated = len(parts["triples"]) - len(unique)
    notes = f"{repeated} repeated triples were left out before the split" if repeated else ""
    splits = transductive_splits({"train": train, "valid": valid, "test": test})
    return Graphs({"train": labels}, relations, splits), notes


def _assert_counts(name: str, expected: Counts, graphs: Graphs) -> None:
    found = count(graphs)
    problems = ProblemList(f"dataset {name}: the files do not give the counts of its registry entry")
    for key, value in expected.model_dump().items():
        if value is not None and found[key] != value:
            problems.add(f"{key}: expected {value}, found {found[key]}")
    problems.raise_if_any()


def count(graphs: Graphs) -> dict[str, int]:
    """What `Counts` asserts, as found."""
    splits, sizes = graphs.splits, {space: len(labels) for space, labels in graphs.spaces.items()}
    seen = np.zeros(sum(sizes.values()), dtype=bool)
    for triples in (splits["train"].triples, splits["valid"].support, splits["test"].support):
        seen[triples[:, [0, 2]]] = True
    unseen = {name: int((~seen[split.triples[:, [0, 2]]]).any(axis=1).sum()) for name, split in splits.items()}
    return {
        "entities": sizes["train"],
        "relations": len(graphs.relations),
        **{name: len(split.triples) for name, split in splits.items()},
        "unseen_valid": unseen["valid"],
        "unseen_test": unseen["test"],
        "inference_entities": sizes.get("test", 0),
        "validation_entities": sizes.get("valid", 0),
        "support": len(splits["test"].support),
        "extra_known": len(splits["test"].known),
    }


def write_prepared(
    folder: Path,
    graphs: Graphs,
    inputs: Inputs,
    facts: dict[str, Any],
    texts: Texts,
    digests: dict[str, str] | None = None,
    write_more: Callable[[Path], tuple[list[str], dict[str, Any]]] | None = None,
) -> None:
    """Write arrays and tables, then the manifest that makes them a dataset.

    Args:
        folder: the dataset's folder, `data/prepared/NAME`.
        graphs: entity spaces, relations and splits.
        inputs: what the graphs were read from.
        facts: further keys of the manifest: dataset, version, licence and so on.
        texts: of entities and relations.
        digests: file -> SHA-256 that it must have.
        write_more: writes further files into the folder; returns their paths there, and the manifest's `text_tasks`.

    Raises:
        UserError: a file has another digest.
    """
    with _manifest_last(folder) as manifest_path:
        files: list[str] = []
        for name, split in graphs.splits.items():
            files += _write_split(folder, name, split)
        spaces, start = {}, 0
        for space, labels in graphs.spaces.items():
            file = f"{space}/entities.tsv"
            _write_table(folder / file, labels, list(texts.entities.values()), start)
            spaces[space] = {"start": start, "stop": start + len(labels), "file": file}
            start += len(labels)
            files.append(file)
        _write_table(folder / "relations.tsv", graphs.relations, [texts.relations], 0)
        files.append("relations.tsv")
        more, text_tasks = write_more(folder) if write_more is not None else ([], {})
        files += more
        manifest = {
            "format": MANIFEST_FORMAT,
            **facts,
            "num_relations": len(graphs.relations),
            "entity_spaces": spaces,
            "splits": {name: _split_facts(name, split) for name, split in graphs.splits.items()},
            "selection_split": "valid",
            "input_files": inputs.digests,
            "files": {file: sha256_file(folder / file) for file in files},
            "normalised": inputs.normalised,
            "text_sources": list(texts.entities),
            "entity_names": texts.names,
            "texts": {
                source: sum(_with_text(labels, found) for labels in graphs.spaces.values())
                for source, found in texts.entities.items()
            }
            | {"relations": _with_text(graphs.relations, texts.relations)},
            "text_tasks": text_tasks,
        }
        _assert_digests(facts["dataset"], digests or {}, manifest["files"])
        write_json(manifest_path, manifest)
    _LOG.info("%s: %s", facts["dataset"], count(graphs))


@contextmanager
def _manifest_last(folder: Path) -> Iterator[Path]:
    """Keep the folder without a manifest while its files change; an equal manifest keeps its modification time."""
    path, aside = folder / "manifest.json", folder / ".manifest.json.previous"
    if path.is_file():
        path.replace(aside)
    new = folder / ".manifest.json.new"
    yield new
    if aside.is_file() and aside.read_bytes() == new.read_bytes():
        aside.replace(path)
        new.unlink()
    else:
        new.replace(path)
        aside.unlink(missing_ok=True)


def _write_split(folder: Path, name: str, split: Split) -> list[str]:
    arrays = {"triples": split.triples}
    if name != "train":
        arrays |= {"support": split.support, "known": split.known}
    for kind, array in arrays.items():
        write_array(folder / name / f"{kind}.npy", np.ascontiguousarray(array, dtype=np.int32))
    return [f"{name}/{kind}.npy" for kind in arrays]


def _write_table(path: Path, labels: list[str], sources: list[dict[str, str]], start: int) -> None:
    """A line an entity or relation: id, label, a text of each source, an empty one where there is no source."""
    rows = (
        f"{number}\t{label}\t" + "\t".join(texts.get(label, "") for texts in sources) + "\n"
        for number, label in enumerate(labels, start)
    )
    write_text(path, "".join(rows))


def _assert_digests(name: str, expected: dict[str, str], found: dict[str, str]) -> None:
    problems = ProblemList(f"dataset {name}: the files prepared are not those of its registry entry")
    for file, digest in expected.items():
        if found.get(file) != digest:
            problems.add(f"{file}: expected sha256 {digest}, found {found.get(file, 'no such file')}")
    problems.raise_if_any()


def _with_text(labels: list[str], texts: dict[str, str]) -> int:
    return sum(1 for label in labels if texts.get(label))


def _split_facts(name: str, split: Split) -> dict[str, Any]:
    facts: dict[str, Any] = {"space": split.space, "num_triples": len(split.triples)}
    if name == "train":
        return facts
    return facts | {
        "num_support": len(split.support),
        "num_known": len(split.known),
        "protocols": [
            {"candidates": protocol.candidates, "spaces": list(protocol.spaces), "filter": list(protocol.filter)}
            for protocol in split.protocols
        ],
    }

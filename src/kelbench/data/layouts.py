"""From the triple files of a dataset to its graphs: spaces, splits, candidates, filters, by one function a layout.

| layout | split | candidates | filter |
|---|---|---|---|
| transductive | valid | all entities | train + valid |
| transductive | test | all entities | train + valid + test |
| grail | valid | entities of the training graph | train + valid |
| grail | test | entities of the `_ind` graph | that graph's train + valid + test |
| ilpc, drawn | valid | entities of the inference graph | inference + valid |
| ilpc, drawn | test | entities of the inference graph | inference + valid + test |
| wikidata5m_inductive | valid | the split's entities; secondly all | the split's triples; secondly train + valid |
| wikidata5m_inductive | test | the split's entities; secondly all | the split's triples; secondly all |
| pairs | valid, test | as transductive | as transductive |
| semi | valid | all entities | train + valid |
| semi | test | all entities | train + valid + test + what fell between the parts |
| full | valid | the split's entities; secondly all | the split's triples; secondly train + valid |
| full | test | the split's entities; secondly all | the split's triples; secondly all + what fell between the parts |

pairs, semi and full split one graph here: pairs keeps all triples between two entities together, semi and full hold out
entities (`kelbench.data.by_entity`).

Triples stay as they are in the files, repeated ones too: the official counts hold, and the audit counts the repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from kelbench.base.errors import UserError
from kelbench.config.datasets import DatasetSettings, DrawnInference, HeldOutEntities
from kelbench.data.by_entity import full_split, semi_split
from kelbench.data.draw import draw_inference, split_by_pairs
from kelbench.data.prepared import Protocol
from kelbench.data.triple_files import Numbering

Reader = Callable[[str, Numbering, Numbering], np.ndarray]

# Entity space -> the triple files whose entities it holds. The training graph's ids come first.
_SPACES: dict[str, dict[str, tuple[str, ...]]] = {
    "transductive": {"train": ("train", "valid", "test")},
    "drawn": {"train": ("train", "valid", "test")},
    "pairs": {"train": ("graph",)},
    "semi": {"train": ("train", "valid", "test")},
    "full": {"train": ("train", "valid", "test")},
    "grail": {"train": ("train", "valid"), "test": ("inference", "inference_valid", "test")},
    "ilpc": {"train": ("train",), "test": ("inference", "valid", "test")},
    "wikidata5m_inductive": {"train": ("train",), "valid": ("valid",), "test": ("test",)},
}

_NO_TRIPLES = np.empty((0, 3), dtype=np.int32)


@dataclass(frozen=True)
class Split:
    """Triples to be ranked (or, of train, to learn from), what is known beside them, and how they are ranked."""

    space: str
    triples: np.ndarray
    support: np.ndarray = field(default_factory=lambda: _NO_TRIPLES)
    known: np.ndarray = field(default_factory=lambda: _NO_TRIPLES)
    protocols: tuple[Protocol, ...] = ()


@dataclass(frozen=True)
class Graphs:
    """A dataset in memory. Ids of entities run through the spaces in the order of the dictionary.

    Attributes:
        spaces: entity space -> labels in the order of ids.
        relations: labels in the order of ids.
        splits: train, valid and test.
    """

    spaces: dict[str, list[str]]
    relations: list[str]
    splits: dict[str, Split]


def read_graphs(settings: DatasetSettings, read: Reader) -> Graphs:
    """Read every triple file of a registered dataset and give its graphs the ids that they will keep.

    Args:
        settings: the layout, and for `drawn` the sizes.
        read: `(part, entities, relations)` -> triples int32 `(n, 3)`, numbering labels as it goes.
    """
    files: dict[str, tuple[str, ...]] = (
        {"train": ("graph",)} if settings.built is not None else _SPACES[settings.layout]
    )
    spaces, relations, parts = read_parts(files, read)
    if settings.draw is not None:  # layout: drawn, and only that
        return _drawn(spaces["train"], relations, parts, settings.draw)
    if settings.held_out is not None:
        return _by_entity(settings.layout, spaces["train"], relations, parts, settings.held_out)
    if settings.split is not None:
        train, valid, test = split_by_pairs(_pooled(parts), settings.split)
        return Graphs(spaces, relations, transductive_splits({"train": train, "valid": valid, "test": test}))
    splits = {
        "transductive": transductive_splits,
        "grail": _grail_splits,
        "ilpc": _ilpc_splits,
        "wikidata5m_inductive": _own_graph_splits,
    }[settings.layout](parts)
    return Graphs(spaces, relations, splits)


def read_parts(
    files: dict[str, tuple[str, ...]], read: Reader
) -> tuple[dict[str, list[str]], list[str], dict[str, np.ndarray]]:
    """Read triple files and number their labels in sorted order.

    Args:
        files: entity space -> the parts whose entities it holds; ids run through the spaces in this order.
        read: as in `read_graphs`.

    Returns:
        Labels of each space, labels of relations, and triples of each part, int32 `(n, 3)`, in final ids.
    """
    numberings = {space: Numbering() for space in files}
    relation_numbers = Numbering()
    parts = {part: read(part, numberings[space], relation_numbers) for space, names in files.items() for part in names}
    relations, relation_places = relation_numbers.sorted_labels()
    spaces: dict[str, list[str]] = {}
    start = 0
    for space, names in files.items():
        spaces[space], places = numberings[space].sorted_labels()
        for part in names:
            _renumber(parts[part], places + np.int32(start), relation_places)
        start += len(spaces[space])
    return spaces, relations, parts


def _renumber(triples: np.ndarray, entities: np.ndarray, relations: np.ndarray) -> None:
    """Replace, in place, numbers by the ids that stand at those places of `entities` and `relations`."""
    triples[:, 0] = entities[triples[:, 0]]
    triples[:, 1] = relations[triples[:, 1]]
    triples[:, 2] = entities[triples[:, 2]]


def _protocol(space: str, *files: str) -> tuple[Protocol]:
    return (Protocol("all", (space,), tuple(f"{file}.npy" for file in files)),)


def transductive_splits(parts: dict[str, np.ndarray]) -> dict[str, Split]:
    """One graph: every split shares its entities, all of them compete."""
    return {
        "train": Split("train", parts["train"]),
        "valid": Split("train", parts["valid"], protocols=_protocol("train", "train/triples", "valid/triples")),
        "test": Split(
            "train", parts["test"], protocols=_protocol("train", "train/triples", "valid/triples", "test/triples")
        ),
    }


def _grail_splits(parts: dict[str, np.ndarray]) -> dict[str, Split]:
    """Validation in the training graph; the `_ind` graph's own validation triples only filter."""
    return {
        "train": Split("train", parts["train"]),
        "valid": Split("train", parts["valid"], protocols=_protocol("train", "train/triples", "valid/triples")),
        "test": Split(
            "test",
            parts["test"],
            support=parts["inference"],
            known=parts["inference_valid"],
            protocols=_protocol("test", "test/support", "test/known", "test/triples"),
        ),
    }


def _ilpc_splits(parts: dict[str, np.ndarray]) -> dict[str, Split]:
    """Validation and test in one inference graph."""
    support = parts["inference"]
    return {
        "train": Split("train", parts["train"]),
        "valid": Split("test", parts["valid"], support, protocols=_protocol("test", "valid/support", "valid/triples")),
        "test": Split(
            "test", parts["test"], support, protocols=_protocol("test", "test/support", "valid/triples", "test/triples")
        ),
    }


def _own_graph_splits(parts: dict[str, np.ndarray]) -> dict[str, Split]:
    """Each split has a graph of its own, of which nothing is known: only texts say what an entity is.

    Selection must not see test, so the second protocol of valid filters by train and valid. As the spaces share no ids,
    test triples could filter nothing there anyway.
    """
    everything = ("train", "valid", "test")
    before = {"valid": ("train", "valid"), "test": everything}
    splits = {"train": Split("train", parts["train"])}
    for name in ("valid", "test"):
        protocols = (
            Protocol("split", (name,), (f"{name}/triples.npy",)),
            Protocol("all", everything, tuple(f"{split}/triples.npy" for split in before[name])),
        )
        splits[name] = Split(name, parts[name], protocols=protocols)
    return splits


def _semi_splits(parts: dict[str, np.ndarray]) -> dict[str, Split]:
    """A held-out entity competes with, and is asked about beside, all others."""
    everything = ("train", "valid", "test")
    before = {"valid": ("train", "valid"), "test": everything}
    splits = {"train": Split("train", parts["train"])}
    for name, files in before.items():
        protocol = Protocol("all", everything, tuple(f"{split}/triples.npy" for split in files))
        splits[name] = Split(name, parts[name], protocols=(protocol,))
    return splits


def _filtered_by(test: Split, dropped: np.ndarray) -> Split:
    """The test split with triples that fell between the parts: they are true, and must not count as wrong answers."""
    protocols = tuple(
        replace(protocol, filter=(*protocol.filter, "test/known.npy")) if protocol.candidates == "all" else protocol
        for protocol in test.protocols
    )
    return replace(test, known=dropped, protocols=protocols)


def _pooled(parts: dict[str, np.ndarray]) -> np.ndarray:
    """Each triple of all parts once, in the order of ids."""
    return np.unique(np.concatenate(list(parts.values())), axis=0)


def _by_entity(
    layout: str, labels: list[str], relations: list[str], parts: dict[str, np.ndarray], held_out: HeldOutEntities
) -> Graphs:
    """Hold out entities of one graph; each part's entities are a space. Who is left without a triple is left out."""
    draw = semi_split if layout == "semi" else full_split
    try:
        split = draw(_pooled(parts), len(labels), held_out.share, held_out.seed)
    except ValueError as error:
        raise UserError(f"held_out.share: {error}") from None
    cut = {"train": split.train, "valid": split.valid, "test": split.test}
    part = np.full(len(labels), -1)
    for number, triples in enumerate(cut.values()):
        ends = np.unique(triples[:, [0, 2]])
        part[ends[part[ends] < 0]] = number
    order = np.lexsort((np.arange(len(labels)), part))
    ids = np.empty(len(labels), dtype=np.int32)
    ids[order] = np.arange(len(labels)) - np.count_nonzero(part < 0)
    used, relation_ids = _used_relations(list(cut.values()), len(relations))
    dropped = split.dropped[(part[split.dropped[:, [0, 2]]] >= 0).all(axis=1)]
    dropped = dropped[relation_ids[dropped[:, 1]] >= 0]
    for triples in (*cut.values(), dropped):
        _renumber(triples, ids, relation_ids)
    spaces = {name: [labels[entity] for entity in np.flatnonzero(part == number)] for number, name in enumerate(cut)}
    splits = _semi_splits(cut) if layout == "semi" else _own_graph_splits(cut)
    splits["test"] = _filtered_by(splits["test"], dropped)
    return Graphs(spaces, [relations[place] for place in used], splits)


def _drawn(labels: list[str], relations: list[str], parts: dict[str, np.ndarray], draw: DrawnInference) -> Graphs:
    """An inference graph taken out of a transductive dataset; then as ILPC."""
    drawn = draw_inference(np.concatenate([parts[name] for name in ("train", "valid", "test")]), len(labels), draw)
    inside = np.zeros(len(labels), dtype=bool)
    inside[drawn.inference_entities] = True
    ids = np.argsort(np.argsort(inside, kind="stable"), kind="stable").astype(np.int32)  # the training graph's first
    used, relation_ids = _used_relations([drawn.train, drawn.support, drawn.valid, drawn.test], len(relations))
    cut = {"train": drawn.train, "inference": drawn.support, "valid": drawn.valid, "test": drawn.test}
    for triples in cut.values():
        _renumber(triples, ids, relation_ids)
    spaces = {
        "train": [label for label, chosen in zip(labels, inside, strict=True) if not chosen],
        "test": [label for label, chosen in zip(labels, inside, strict=True) if chosen],
    }
    return Graphs(spaces, [relations[place] for place in used], _ilpc_splits(cut))


def _used_relations(arrays: list[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The relations that still have a triple, ascending, and int32 `(count,)`: the new id of each old one."""
    used = np.unique(np.concatenate([triples[:, 1] for triples in arrays]))
    ids = np.full(count, -1, dtype=np.int32)
    ids[used] = np.arange(len(used))
    return used, ids

"""Parts by which link prediction is broken down: relation, its category, degree of the answer, name match."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kelbench.data.name_match import pairs_with_match
from kelbench.data.prepared import PreparedDataset

# Bordes et al. 2013, Section 4.2: "many" is an average of 1.5 or more.
MANY = 1.5
DEGREE_BUCKETS = ((0, 0), (1, 4), (5, 19), (20, 99), (100, None))


def breakdown_masks(
    dataset: PreparedDataset, ranked: np.ndarray, asks_tail: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and mask, bool `(n,)`, of each part.

    Args:
        dataset: its training and support triples define categories and degrees.
        ranked: the triple behind each rank, `(n, 3)`.
        asks_tail: bool `(n,)`: the tail was asked for, else the head.
    """
    graph = known_graph(dataset)
    labels = dataset.relation_labels()
    for relation in np.unique(ranked[:, 1]):
        yield f"relation={labels[relation]}", ranked[:, 1] == relation
    category = relation_categories(graph, dataset.num_relations)
    for name in ("1-1", "1-N", "N-1", "N-N"):
        yield f"category={name}", category[ranked[:, 1]] == name
    degree = np.bincount(graph[:, [0, 2]].ravel(), minlength=dataset.num_entities)
    answer_degree = degree[np.where(asks_tail, ranked[:, 2], ranked[:, 0])]
    for low, high in DEGREE_BUCKETS:
        name = f"{low}" if low == high else f"{low}+" if high is None else f"{low}-{high}"
        yield (
            f"degree={name}",
            (answer_degree >= low) & (answer_degree <= (high if high is not None else answer_degree)),
        )
    yield from _name_match_masks(dataset, ranked)


def _name_match_masks(dataset: PreparedDataset, ranked: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Whether the name of one entity stands in the other's text; nothing where the dataset has no names."""
    if dataset.name_source is None:
        return
    names, texts = dataset.entity_texts(dataset.name_source), dataset.entity_texts(dataset.text_sources[0])
    pairs, place = np.unique(ranked[:, [0, 2]], axis=0, return_inverse=True)
    match = pairs_with_match(names, texts, pairs)[place.reshape(-1)]
    yield "name match=yes", match
    yield "name match=no", ~match


def known_graph(dataset: PreparedDataset) -> np.ndarray:
    """Training triples and, in an inductive dataset, the support of the test split; `(n, 3)`."""
    return np.concatenate([dataset.triples("train"), dataset.support("test")])


def relation_categories(graph: np.ndarray, num_relations: int) -> np.ndarray:
    """`1-1`, `1-N`, `N-1` or `N-N` for each relation, str `(relations,)`; empty for one that the graph lacks.

    The left part is `N` where a (relation, tail) has 1.5 or more heads on average, the right part where a
    (head, relation) has 1.5 or more tails (Bordes et al. 2013, Section 4.2).
    """
    triples = np.unique(graph, axis=0)
    count = np.bincount(triples[:, 1], minlength=num_relations)

    def pairs(column: int) -> np.ndarray:
        distinct = np.unique(triples[:, [column, 1]], axis=0)
        return np.bincount(distinct[:, 1], minlength=num_relations)

    with np.errstate(invalid="ignore"):
        heads_per_tail, tails_per_head = count / pairs(2), count / pairs(0)
    left = np.where(heads_per_tail >= MANY, "N", "1")
    right = np.where(tails_per_head >= MANY, "N", "1")
    joined = np.char.add(np.char.add(left, "-"), right)
    return np.where(count > 0, joined, "")

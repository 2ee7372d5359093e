"""A made-up graph of the shape of Wikidata5M: its counts of entities, relations and triples, and skewed degrees.

    python benchmarks/wikidata5m_shaped.py [--folder data/prepared/wikidata5m-shaped] [--seed 1]

Wikidata5M v3 (Wang et al. 2021) has 4,594,485 entities, 822 relations and 20,614,279 / 5,163 / 5,133 triples to train,
validate and test. Here every triple is drawn: heads close to evenly (each entity once, the rest with weight
rank^-0.5), tails and relations by Zipf's law. The exponent 1.12 of the relations gives the first of them 19 % of all
triples, the share of `instance of` in the real test set (983 of 5,133). Those of heads and tails (0.9) are ours: they
make a few entities the tails of many triples, as classes and countries are, and were not fitted to the real graph,
whose degrees we have not counted. What costs time in ranking and training is the number of entities, triples and
distinct queries, and how often rows repeat; what the triples say does not matter.

Equal seeds give equal files. The result is an ordinary prepared dataset.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kelbench.data import prepare
from kelbench.data.layouts import Graphs, transductive_splits

FOLDER = Path("data/prepared/wikidata5m-shaped")


@dataclass(frozen=True)
class Shape:
    """Counts of the graph, and the exponents of its degrees."""

    entities: int = 4_594_485
    relations: int = 822
    train: int = 20_614_279
    valid: int = 5_163
    test: int = 5_133
    head_exponent: float = 0.5
    tail_exponent: float = 0.9
    relation_exponent: float = 1.12

    @property
    def triples(self) -> int:
        """Triples of all splits."""
        return self.train + self.valid + self.test


WIKIDATA5M = Shape()


def main() -> None:
    """Write the graph."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--folder", type=Path, default=FOLDER)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    write(chosen.folder, WIKIDATA5M, chosen.seed)
    print(f"# written: {chosen.folder}")


def present(folder: Path, shape: Shape = WIKIDATA5M, seed: int = 1) -> bool:
    """Whether `folder` holds the graph of this shape and seed."""
    path = folder / "manifest.json"
    return path.is_file() and version_of(shape, seed) in path.read_text(encoding="utf-8")


def version_of(shape: Shape, seed: int) -> str:
    """Names shape and seed in the manifest."""
    return f"seed {seed}, " + ", ".join(f"{key} {value}" for key, value in asdict(shape).items())


def write(folder: Path, shape: Shape, seed: int) -> None:
    """Draw the graph and write it as a prepared dataset.

    Args:
        folder: where it goes.
        shape: its counts.
        seed: decides every triple.
    """
    triples = draw_triples(shape, seed)
    parts = np.split(triples, [shape.train, shape.train + shape.valid])
    splits = transductive_splits(dict(zip(("train", "valid", "test"), parts, strict=True)))
    labels = [f"E{number}" for number in range(shape.entities)]
    relations = [f"R{number}" for number in range(shape.relations)]
    facts: dict[str, Any] = {
        "dataset": "wikidata5m-shaped",
        "title": "made-up graph of the shape of Wikidata5M",
        "version": version_of(shape, seed),
        "layout": "transductive",
        "source": "benchmarks/wikidata5m_shaped.py",
        "licences": [],
        "notes": "drawn at random; it says nothing",
    }
    prepare.write_prepared(
        folder, Graphs({"train": labels}, relations, splits), prepare.Inputs({}, {}), facts, prepare.Texts({}, {})
    )


def draw_triples(shape: Shape, seed: int) -> np.ndarray:
    """Distinct triples in random order, int32 `(triples, 3)`; every entity is the head of one at least.

    Raises:
        ValueError: there are fewer triples than entities, or more than there can be.
    """
    if not shape.entities <= shape.triples <= shape.entities**2 * shape.relations:
        raise ValueError(
            f"{shape.triples} triples cannot be distinct and have each of {shape.entities} entities as a head, "
            f"with {shape.relations} relations"
        )
    random = np.random.default_rng(seed)
    heads = Zipf(shape.entities, shape.head_exponent, random)
    tails = Zipf(shape.entities, shape.tail_exponent, random)
    relations = Zipf(shape.relations, shape.relation_exponent, random)

    def draw(head: np.ndarray) -> np.ndarray:
        """Triples with these heads, as one number each."""
        relation, tail = relations.draw(len(head)), tails.draw(len(head))
        return (head * shape.relations + relation) * shape.entities + tail

    # These hold each head once, so they are distinct; more are added until there are enough of them.
    first = np.sort(draw(np.arange(shape.entities, dtype=np.int64)))
    more = np.empty(0, dtype=np.int64)
    while len(more) < shape.triples - len(first):
        missing = shape.triples - len(first) - len(more)
        more = np.union1d(more, draw(heads.draw(missing + missing // 20 + 16)))
        more = more[first[np.minimum(np.searchsorted(first, more), len(first) - 1)] != more]
    keys = np.concatenate((first, random.choice(more, shape.triples - len(first), replace=False, shuffle=False)))
    random.shuffle(keys)
    triples = np.empty((shape.triples, 3), dtype=np.int32)
    rest, triples[:, 2] = np.divmod(keys, shape.entities)
    triples[:, 0], triples[:, 1] = np.divmod(rest, shape.relations)
    return triples


class Zipf:
    """Draws ids with probability proportional to rank^-exponent; which id has which rank is random."""

    def __init__(self, count: int, exponent: float, random: np.random.Generator) -> None:
        weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
        self._upto = np.cumsum(weights / weights.sum())
        self._ids = random.permutation(count)
        self._random = random

    def draw(self, count: int) -> np.ndarray:
        """So many ids, int64."""
        ranks = np.searchsorted(self._upto, self._random.random(count), side="right")
        return self._ids[np.minimum(ranks, len(self._ids) - 1)]


if __name__ == "__main__":
    main()

"""How ranking and training of kelbench scale with the number of entities, the dimension and the threads.

    python benchmarks/scaling.py [--models complex transe] [--seconds 1.5]

Synthetic: normal vectors, triples drawn evenly, as many as there are entities. Ranking is of 1,000 triples, both sides;
training is of batches of 1024 with 256 negatives a side that the batch shares. One axis changes at a time, the others
stay at 16,384 entities, 256 reals and the most threads.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import harness
import numpy as np
import own_engine
import torch

from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods import ke
from kelbench.ranking.exact import rank_side
from kelbench.ranking.known_answers import KnownAnswers
from kelbench.tasks.link_prediction import SIDES
from kelbench.training.session import set_threads

RELATIONS = 100
RANKED = 1000
BATCH_SIZE = 1024
NEGATIVES = 256
AXES = {"entities": (1024, 4096, 16384, 65536), "dimension": (64, 128, 256, 512), "threads": (1, 2)}
DEFAULT = {"entities": 16384, "dimension": 256}


def main() -> None:
    """Measure every point of every axis for the models asked for."""
    options = harness.parser(__doc__, models=False)
    options.add_argument("--models", nargs="+", choices=("distmult", "complex", "simple", "rotate", "transe"))
    options.add_argument("--seconds", type=float, default=1.5, help="a measurement lasts at least so long")
    options.add_argument("--largest", type=int, default=max(AXES["entities"]), help="most entities, for a quick look")
    chosen = options.parse_args()
    models = chosen.models or ["complex", "transe"]
    settings = {
        "relations": RELATIONS,
        "ranked_triples": RANKED,
        "batch_size": BATCH_SIZE,
        "negatives": NEGATIVES,
        "seconds": chosen.seconds,
        **DEFAULT,
        "threads": chosen.threads,
    }
    harness.start(chosen.threads)
    harness.show_heading("scaling", settings)
    section = harness.Section(chosen.out, "scaling", settings)
    for method in models:
        record = {axis: _axis(method, axis, chosen) for axis in AXES}
        section.add(method, record)


def _axis(method: str, axis: str, chosen: argparse.Namespace) -> list[dict[str, float]]:
    """Figures at each value of one axis."""
    points = []
    for value in AXES[axis]:
        place = DEFAULT | {"threads": chosen.threads} | {axis: value}
        if place["entities"] > chosen.largest or place["threads"] > chosen.threads:
            continue
        set_threads(place["threads"])
        point = {axis: value, **measure(method, place["entities"], place["dimension"], chosen.seconds)}
        harness.show("scaling", method, **place, **{key: point[key] for key in point if key != axis})
        points.append(point)
    return points


def measure(method: str, entities: int, dimension: int, seconds: float) -> dict[str, float]:
    """Queries ranked and positives learned a second."""
    settings = own_engine.settings_for(method, dimension, NEGATIVES, shared=True, batch_size=BATCH_SIZE)
    tables = ke.initial_tables(method, settings, entities, RELATIONS, own_engine.SEED)
    random = np.random.default_rng(1)
    triples = np.stack(
        [random.integers(bound, size=max(entities, RANKED)) for bound in (entities, RELATIONS, entities)], axis=1
    ).astype(np.int32)
    queries_per_second = _ranking_rate(tables, triples, seconds)
    steps = own_engine.Steps(tables, settings, triples).take(seconds, warm_up=1)
    return {
        "queries_per_second": harness.rounded(queries_per_second),
        "positives_per_second": harness.rounded(min(BATCH_SIZE, len(triples)) / harness.median(steps)),
    }


def _ranking_rate(tables: EmbeddingTables, triples: np.ndarray, seconds: float) -> float:
    ranked, known = triples[:RANKED], np.unique(triples, axis=0)
    indexes = {side: KnownAnswers.build(known, side, RELATIONS) for side in SIDES}
    everyone = [np.arange(tables.num_entities)]

    def rank() -> None:
        with torch.no_grad():
            for side in SIDES:
                rank_side(tables, ranked, side, everyone, indexes[side], RELATIONS)

    return 2 * len(ranked) / _median_of(rank, seconds)


def _median_of(work: Any, seconds: float) -> float:
    """Median time of a call, over calls for so many seconds, three at least, after one that does not count."""
    work()
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - begin < seconds:
        taken.append(harness.seconds_of(work)[0])
    return harness.median(taken)


if __name__ == "__main__":
    main()

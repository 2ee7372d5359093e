"""Ranking and training on a graph of the shape of Wikidata5M, with the peak of resident memory.

    python benchmarks/size.py [--models distmult transe] [--parts ranking training] [--share 0.02]

Every measurement is a process of its own, so that its peak is its own. The graph is made where it is not yet there
(benchmarks/wikidata5m_shaped.py). Vectors are drawn from a normal distribution: exact ranking of the test triples, both
sides, costs dot-product models what it costs trained ones, and distance models more, as early termination finds less to
leave out among random vectors. `--share` ranks only that share of the test triples, for a quick look that is printed
and not kept.

Training: 1000 negatives a side, shared by the batch; steps only, batches of 1024 and 4096.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import harness
import own_engine
import wikidata5m_shaped

from kelbench.base.provenance import peak_memory_mib
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods import ke
from kelbench.tasks.link_prediction import SplitRanker

PARTS = ("ranking", "training")
TRAINED = ("complex", "transe")
BATCH_SIZES = (1024, 4096)
WARM_UP_STEPS = 3


def main() -> None:
    """Measure the parts and models asked for, or, as a child of itself, one of them."""
    options = harness.parser(__doc__)
    options.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--prepared", type=Path, default=wikidata5m_shaped.FOLDER)
    options.add_argument("--ranking-dimension", type=int, default=256)
    options.add_argument("--training-dimension", type=int, default=128)
    options.add_argument("--negatives", type=int, default=1000)
    options.add_argument("--share", type=float, default=1.0, help="of the test triples, for a quick look")
    options.add_argument("--seconds", type=float, default=60.0, help="training steps of one measurement")
    options.add_argument("--child", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child is not None:
        _child(json.loads(chosen.child))
        return
    if chosen.prepared == wikidata5m_shaped.FOLDER and not wikidata5m_shaped.present(chosen.prepared):
        seconds, _ = harness.seconds_of(lambda: _make_graph(chosen.prepared))
        print(f"# made {chosen.prepared} in {seconds:.0f} s", flush=True)
    if "ranking" in chosen.parts:
        _rank_all(chosen)
    if "training" in chosen.parts:
        _train_all(chosen)


def _make_graph(folder: Path) -> None:
    subprocess.run([sys.executable, str(Path(wikidata5m_shaped.__file__)), "--folder", str(folder)], check=True)


def _rank_all(chosen: argparse.Namespace) -> None:
    settings = _settings(chosen, dimension=chosen.ranking_dimension, share=chosen.share)
    harness.show_heading("size-ranking", settings)
    section = harness.Section(chosen.out, "size-ranking", settings)
    for method in chosen.models:
        record = _measure_apart({"part": "ranking", "method": method, **settings, "prepared": str(chosen.prepared)})
        if chosen.share == 1.0:
            section.add(method, record)
        fields = {name: record[name] for name in ("seconds", "peak_rss_gib", "queries", "index_seconds", "mrr")}
        harness.show("size-ranking", method, **fields, **({} if chosen.share == 1.0 else {"share": chosen.share}))


def _train_all(chosen: argparse.Namespace) -> None:
    settings = _settings(
        chosen, dimension=chosen.training_dimension, negatives=chosen.negatives, seconds=chosen.seconds
    )
    harness.show_heading("size-training", settings)
    section = harness.Section(chosen.out, "size-training", settings)
    for method in (method for method in TRAINED if method in chosen.models):
        for batch_size in BATCH_SIZES:
            task = {"part": "training", "method": method, "batch_size": batch_size, **settings}
            record = _measure_apart(task | {"prepared": str(chosen.prepared)})
            section.add(f"{method}-{batch_size}", record | {"method": method, "batch_size": batch_size})
            fields = {name: record[name] for name in ("positives_per_second", "peak_rss_gib", "steps")}
            harness.show("size-training", method, **fields, batch_size=batch_size)


def _settings(chosen: argparse.Namespace, **own: Any) -> dict[str, Any]:
    dataset = PreparedDataset(chosen.prepared)
    counts = {
        "entities": dataset.num_entities,
        "relations": dataset.num_relations,
        "train_triples": len(dataset.triples("train")),
        "test_triples": len(dataset.triples("test")),
    }
    return {"dataset": dataset.name, **counts, "threads": chosen.threads, **own}


def _measure_apart(task: dict[str, Any]) -> dict[str, Any]:
    """Run one task in a process of its own; its last line is the record.

    Raises:
        RuntimeError: the process failed, or was killed for memory.
    """
    command = [sys.executable, str(Path(__file__)), "--child", json.dumps(task)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{task['part']} {task['method']}: ended with code {done.returncode} (-9: out of memory)")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _child(task: dict[str, Any]) -> None:
    harness.start(task["threads"])
    dataset = PreparedDataset(Path(task["prepared"]))
    record = rank(task, dataset) if task["part"] == "ranking" else train(task, dataset)
    record["peak_rss_gib"] = round(peak_memory_mib() / 1024, 2)
    print(json.dumps(record))


def random_tables(method: str, dataset: PreparedDataset, dimension: int) -> EmbeddingTables:
    """Normal vectors of unit variance (RotatE's phases uniform), relations not doubled, float32."""
    settings = own_engine.settings_for(method, dimension, negatives=1, shared=True, initial_scale=1.0)
    return ke.initial_tables(method, settings, dataset.num_entities, dataset.num_relations, own_engine.SEED)


def rank(task: dict[str, Any], dataset: PreparedDataset) -> dict[str, Any]:
    """Seconds of exactly ranking the test triples, both sides; those of building the index apart."""
    tables = random_tables(task["method"], dataset, task["dimension"])
    index_seconds, ranker = harness.seconds_of(lambda: SplitRanker(dataset, "test", dataset.protocols("test")[0]))
    if task["share"] < 1:
        ranker.triples = ranker.triples[: max(1, round(task["share"] * len(ranker.triples)))]
    seconds, mrr = harness.seconds_of(lambda: ranker.mrr(tables))
    return {
        "seconds": round(seconds, 1),
        "index_seconds": round(index_seconds, 1),
        "queries": 2 * len(ranker.triples),
        "mrr": harness.rounded(mrr),
    }


def train(task: dict[str, Any], dataset: PreparedDataset) -> dict[str, Any]:
    """Positives a second over steps of shuffled training triples, three steps of warm-up left out."""
    settings = own_engine.settings_for(
        task["method"], task["dimension"], task["negatives"], shared=True, batch_size=task["batch_size"]
    )
    tables = ke.initial_tables(task["method"], settings, dataset.num_entities, dataset.num_relations, own_engine.SEED)
    steps = own_engine.Steps(tables, settings, dataset.triples("train")).take(task["seconds"], WARM_UP_STEPS)
    return {"positives_per_second": round(settings.batch_size / harness.median(steps)), "steps": len(steps)}


if __name__ == "__main__":
    main()

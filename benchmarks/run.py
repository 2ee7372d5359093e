"""Filtered ranking of a whole test set: kelbench beside PyKEEN, same vectors, same threads, one run.

    python benchmarks/run.py [--dataset kinships] [--dimension 200] [--threads 2] [--repeats 3]

Prints a line a model: queries (two a test triple) a second of either, medians over the repeats, and their ratio. PyKEEN
has its best of three batch sizes; kelbench ranks in float64, PyKEEN in float32. Both MRRs are printed: where a model
is the same in both they agree to rounding. Training speed, large graphs and scaling are not measured here yet.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pykeen.evaluation import RankBasedEvaluator

from kelbench.base.provenance import cpu_model, package_versions
from kelbench.config.datasets import load_dataset
from kelbench.config.methods import SCORE_FUNCTION_METHODS, PykeenSettings
from kelbench.data.fetch import fetch_dataset
from kelbench.data.prepare import prepare_dataset
from kelbench.data.prepared import PreparedDataset
from kelbench.methods.pykeen_engine.baselines import make_model, training_factory
from kelbench.methods.pykeen_engine.export import export_baseline
from kelbench.tasks.link_prediction import SplitRanker, set_threads
from kelbench.training.job import TrainingJob

BATCH_SIZES = (32, 128, 512)


def main() -> None:
    """Measure every model and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="kinships")
    parser.add_argument("--dimension", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for noisy in ("pykeen", "torch_max_mem"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    set_threads(options.threads)
    dataset = prepared(options.dataset)
    versions = package_versions()
    print(
        f"# {options.dataset}, {2 * len(dataset.triples('test'))} queries, d = {options.dimension}, "
        f"{options.threads} threads, {cpu_model()}, torch {versions['torch']}, pykeen {versions['pykeen']}"
    )
    for method in SCORE_FUNCTION_METHODS:
        measure(method, dataset, options.dimension, options.repeats)


def prepared(name: str) -> PreparedDataset:
    """The dataset, fetched and prepared where it is not yet."""
    folder = Path("data/prepared") / name
    if not (folder / "manifest.json").is_file():
        fetch_dataset(load_dataset(name), Path("data/fetched") / f"{name}.json")
        prepare_dataset(load_dataset(name), folder)
    return PreparedDataset(folder)


def measure(method: str, dataset: PreparedDataset, dimension: int, repeats: int) -> None:
    """Rank the test set with both and print one line."""
    settings = PykeenSettings.model_validate(
        {
            "dimension": dimension,
            "distance": "l1" if method == "transe" else None,
            "training": "slcwa",
            "negatives_per_positive": 1,
            "loss": "cross_entropy",
            "optimizer": "adam",
            "learning_rate": 0.01,
            "batch_size": 256,
            "epochs": 1,
            "early_stopping": {"every": 1, "patience": 1},
        }
    )
    job = TrainingJob(dataset, method, settings, 1, torch.get_num_threads(), Path())
    model = make_model(method, settings, training_factory(job, settings), seed=1)
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    tables = export_baseline(model, method, settings).double()
    triples = torch.from_numpy(np.asarray(dataset.triples("test"), dtype=np.int64))
    known = [torch.from_numpy(np.asarray(dataset.triples(split), dtype=np.int64)) for split in ("train", "valid")]

    def with_pykeen(batch_size: int) -> float:
        results = RankBasedEvaluator(filtered=True).evaluate(
            model,
            triples,
            batch_size=batch_size,
            additional_filter_triples=known,
            use_tqdm=False,
        )
        return float(results.get_metric("both.realistic.inverse_harmonic_mean_rank"))

    ours, our_mrr = median_seconds(lambda: ranker.mrr(tables), repeats)
    theirs, their_mrr = min(
        (median_seconds(lambda size=size: with_pykeen(size), repeats) for size in BATCH_SIZES),  # type: ignore[misc]
        key=lambda measured: measured[0],
    )
    queries = 2 * len(triples)
    print(
        f"ranking {method} kelbench={queries / ours:.0f} pykeen={queries / theirs:.0f} ratio={theirs / ours:.1f} "
        f"mrr_kelbench={our_mrr:.5f} mrr_pykeen={their_mrr:.5f}",
        flush=True,
    )


def median_seconds(work: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Median time of `work` after one run that is not counted, and what it returned."""
    result = work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


if __name__ == "__main__":
    main()

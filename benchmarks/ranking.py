"""Filtered ranking of FB15k-237: kelbench beside PyKEEN, the same trained vectors, the same threads, one run.

    python benchmarks/ranking.py [--dimension 200] [--threads 2] [--repeats 5] [--models distmult complex]

kelbench ranks the whole test set, both sides. PyKEEN ranks triples drawn uniformly from it, both sides, at its best of
three batch sizes. Figures are queries a second, two a triple, medians over the runs. kelbench's index of the filter is
built once for all models and reported apart; PyKEEN has none, it looks its filter up anew for every batch.

The vectors were trained shortly by kelbench's own engine. Ranking PyKEEN's triples with PyKEEN's score function, both
programs must have the same MRR to 1e-4, or this script fails.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np
import own_engine
import pykeen_twins

from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods.pykeen_engine.export import export_baseline
from kelbench.tasks.link_prediction import SplitRanker

BATCH_SIZES = (32, 128, 512)
# One full batch, or several, of each size.
TRIAL_TRIPLES = {32: 128, 128: 128, 512: 512}
TOLERANCE = 1e-4
# PyKEEN holds an array of batch x entities x dimension (one, by the peak of its resident memory); twice that must fit.
PYKEEN_ARRAYS = 2
REPEATS_OF_PYKEEN = {"rotate": 1}


def main() -> int:
    """Measure the models asked for; 1 where two MRRs that must agree do not."""
    options = harness.parser(__doc__)
    harness.add_dataset_options(options, "fb15k-237")
    options.add_argument("--dimension", type=int, default=200, help="reals in an entity's vector")
    options.add_argument("--repeats", type=int, default=5, help="runs of kelbench")
    options.add_argument("--pykeen-repeats", type=int, default=3, help="runs of PyKEEN; RotatE has one")
    options.add_argument("--sample", type=int, default=1000, help="test triples that PyKEEN ranks")
    options.add_argument("--train-seconds", type=float, default=20.0, help="training that makes the vectors")
    chosen = options.parse_args()
    harness.start(chosen.threads)
    dataset = harness.open_dataset(chosen.dataset, chosen.prepared)
    names = ("dimension", "threads", "repeats", "pykeen_repeats", "sample", "train_seconds")
    settings = {"dataset": dataset.name, **{name: getattr(chosen, name) for name in names}}
    harness.show_heading("ranking", settings)
    index_seconds, _ = harness.seconds_of(lambda: _ranker(dataset))
    print(f"# kelbench's index of the filter, built once: {index_seconds:.2f} s", flush=True)
    section = harness.Section(chosen.out, "ranking", settings)
    agreed = True
    for method in chosen.models:
        record = measure(method, dataset, settings)
        record["index_seconds"] = harness.rounded(index_seconds)
        section.add(method, record)
        _print(method, record)
        agreed = agreed and record["mrr_difference"] <= TOLERANCE
    return 0 if agreed else 1


def measure(method: str, dataset: PreparedDataset, settings: dict[str, Any]) -> dict[str, Any]:
    """Train, rank with both programs, compare.

    Args:
        method: name of the model.
        dataset: what is ranked.
        settings: the options of `main`.

    Returns:
        queries a second of either (`kelbench`, `pykeen`), their `ratio`, the runs, and both MRRs on PyKEEN's triples.
    """
    tables = own_engine.trained_tables(method, dataset, settings["dimension"], settings["train_seconds"])
    triples = np.asarray(dataset.triples("test"))
    record: dict[str, Any] = {"queries": 2 * len(triples)}
    record |= _rate(lambda: _ranker(dataset), tables, settings["repeats"], "kelbench")
    if method == "transe":
        exhaustive = lambda: _ranker(dataset, early_termination=False)  # noqa: E731
        record |= _rate(exhaustive, tables, settings["repeats"], "kelbench_exhaustive")
    record |= _pykeen(method, dataset, tables, settings)
    record["ratio"] = harness.rounded(record["kelbench"] / record["pykeen"])
    if "kelbench_exhaustive" in record:
        record["ratio_exhaustive"] = harness.rounded(record["kelbench_exhaustive"] / record["pykeen"])
    if method in pykeen_twins.NOTES:
        record["note"] = pykeen_twins.NOTES[method]
    return record


def _ranker(dataset: PreparedDataset, **options: bool) -> SplitRanker:
    return SplitRanker(dataset, "test", dataset.protocols("test")[0], **options)


def _rate(make: Callable[[], SplitRanker], tables: EmbeddingTables, repeats: int, name: str) -> dict[str, Any]:
    """Queries a second over the whole test set."""
    ranker = make()
    seconds, mrr = harness.median_seconds(lambda: ranker.mrr(tables), repeats)
    return {
        name: harness.rounded(2 * len(ranker.triples) / statistics.median(seconds)),
        f"{name}_seconds": [harness.rounded(taken) for taken in seconds],
        f"{name}_mrr_of_all": round(mrr, 6),
    }


def _pykeen(method: str, dataset: PreparedDataset, tables: EmbeddingTables, settings: dict[str, Any]) -> dict[str, Any]:
    """PyKEEN's queries a second on a uniform draw of test triples, and both MRRs on that draw by PyKEEN's function."""
    pykeen_settings = pykeen_twins.settings_for(method, settings["dimension"])
    model = pykeen_twins.new_model(method, pykeen_settings, dataset)
    pykeen_twins.put(model, method, tables)
    triples = np.asarray(dataset.triples("test"))
    draw = triples[np.random.default_rng(1).permutation(len(triples))[: settings["sample"]]]
    trials = _trials(model, dataset, draw, settings["dimension"])
    best = min(trials, key=lambda size: trials[size])
    repeats = min(settings["pykeen_repeats"], REPEATS_OF_PYKEEN.get(method, settings["pykeen_repeats"]))
    # The trials were its warm-up.
    seconds, theirs = harness.median_seconds(
        lambda: pykeen_twins.filtered_mrr(model, dataset, draw, best), repeats, warm_up=False
    )
    ranker = _ranker(dataset)
    ranker.triples = draw
    same_function = export_baseline(model, method, pykeen_settings)
    ours = ranker.mrr(same_function)
    return {
        "pykeen": harness.rounded(2 * len(draw) / statistics.median(seconds)),
        "pykeen_seconds": [harness.rounded(taken) for taken in seconds],
        "pykeen_batch_size": best,
        "pykeen_trials_seconds_a_triple": {str(size): harness.rounded(taken) for size, taken in trials.items()},
        "pykeen_triples": len(draw),
        "mrr_pykeen": round(theirs, 6),
        "mrr_kelbench": round(ours, 6),
        "mrr_difference": abs(ours - theirs),
    }


def _trials(model: Any, dataset: PreparedDataset, draw: np.ndarray, dimension: int) -> dict[int, float]:
    """Batch size -> seconds a triple, without the fixed cost of a call; sizes that would not fit in memory left out."""
    pykeen_twins.filtered_mrr(model, dataset, draw[:2], 2)
    fixed, _ = harness.seconds_of(lambda: pykeen_twins.filtered_mrr(model, dataset, draw[:2], 2))
    trials = {}
    for size in BATCH_SIZES:
        needed = PYKEEN_ARRAYS * size * dataset.num_entities * dimension * 4
        if needed > _available_memory():
            print(f"# PyKEEN's batch size {size} left out: it may need {needed / harness.GIB:.0f} GiB", flush=True)
            continue
        trial = draw[: TRIAL_TRIPLES[size]]
        taken, _ = harness.seconds_of(
            lambda trial=trial, size=size: pykeen_twins.filtered_mrr(model, dataset, trial, size)
        )  # type: ignore[misc]
        trials[size] = max(taken - fixed, 1e-9) / len(trial)
    return trials


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _print(method: str, record: dict[str, Any]) -> None:
    fields = {
        "kelbench": f"{record['kelbench']:.0f}",
        "pykeen": f"{record['pykeen']:.1f}",
        "ratio": f"{record['ratio']:.1f}",
    }
    if "kelbench_exhaustive" in record:
        fields |= {
            "kelbench_without_early_termination": f"{record['kelbench_exhaustive']:.0f}",
            "ratio_without_early_termination": f"{record['ratio_exhaustive']:.1f}",
        }
    fields |= {
        "pykeen_batch_size": record["pykeen_batch_size"],
        "pykeen_runs": len(record["pykeen_seconds"]),
        "mrr_kelbench": f"{record['mrr_kelbench']:.5f}",
        "mrr_pykeen": f"{record['mrr_pykeen']:.5f}",
    }
    harness.show("ranking", method, **fields)
    if "note" in record:
        print(f"# {method}: {record['note']}; the MRRs above are both by PyKEEN's function", flush=True)
    if record["mrr_difference"] > TOLERANCE:
        print(f"# {method}: the MRRs differ by {record['mrr_difference']:.1e}, more than {TOLERANCE}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

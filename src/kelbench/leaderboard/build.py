"""leaderboard.json: rows over seeds, differences between runs, claims with verdicts. No times and no machine facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kelbench.base.errors import UserError
from kelbench.base.files import read_json, write_json
from kelbench.config.claims import CLAIMS_FOLDER, load_claims
from kelbench.config.experiment import Experiment
from kelbench.config.methods import is_scrambled, training_setup
from kelbench.data.prepared import PREPARED_FOLDER, PreparedDataset
from kelbench.leaderboard.claims import attach_published, judge_claims
from kelbench.leaderboard.fine_tuning import starts_compared
from kelbench.leaderboard.records import difference_record
from kelbench.leaderboard.results import (
    KEYS,
    SIDES,
    UNSEEN,
    RunResult,
    read_run,
    reciprocal_ranks,
    sums_by_triple,
)
from kelbench.leaderboard.rows import Row, Rows
from kelbench.leaderboard.statistics import (
    Difference,
    Interval,
    holm,
    mean,
    paired_differences,
    seed_interval,
    standard_deviation,
    triple_intervals,
)
from kelbench.leaderboard.text_tasks import task_rows
from kelbench.leaderboard.word_bags import bags_against_transformers

# The facts of training that are the same on every machine.
FACTS = (
    "parameters",
    "converged",
    "epochs",
    "best_epoch",
    "computes",
    "same_vectors",
    "output_layer",
    "aligned_space",
)
CONTROL = "control"
_SUMMARY = (
    "title",
    "version",
    "layout",
    "source",
    "licences",
    "num_relations",
    "entity_spaces",
    "splits",
    "selection_split",
    "input_files",
    "normalised",
    "texts",
    "notes",
)


def build_leaderboard(experiment: Experiment, out: Path) -> None:
    """Write leaderboard.json from everything that the experiment's runs left.

    Rows are sorted by dataset, run and then by the other columns of a key; equal inputs give equal bytes.

    Args:
        experiment: which runs and seeds are expected.
        out: the JSON file.

    Raises:
        UserError: a dataset, run or seed is missing or damaged; names the file and the step that makes it.
    """
    datasets = {name: PreparedDataset(PREPARED_FOLDER / name) for name in experiment.datasets}
    results = {key: read_run(experiment, run) for key, run in sorted(experiment.runs.items())}
    comparison = _Comparison(results)
    rows = [row for (name, _), result in results.items() for row in run_rows(datasets[name], result)]
    rows.sort(key=lambda row: [str(row[column]) for column in ("dataset", "run", *KEYS)])
    claims = load_claims(CLAIMS_FOLDER)
    primary: dict[str, str] = {name: dataset.protocols("test")[0].candidates for name, dataset in datasets.items()}
    setups = {key: training_setup(run.settings) for key, run in experiment.runs.items()}
    whole = Rows(rows, primary, setups, _altered_runs(experiment))
    attach_published(whole, claims)
    controls = {run.method_label for run in experiment.runs.values() if run.kind == CONTROL}
    board = {
        "experiment": experiment.name,
        "title": experiment.settings.title,
        "rows": rows,
        "differences": [item for name in datasets for item in differences_to_best(name, whole, results, comparison)],
        "comparisons": [
            item
            for name in datasets
            for item in differences_to_chosen(name, experiment.settings.compared_with, whole, results, comparison)
        ],
        "fine_tuning": [
            item
            for name in datasets
            for item in starts_compared(whole, name, _settings_on(name, experiment), comparison.between)
        ],
        "datasets": {name: _dataset_record(dataset) for name, dataset in datasets.items()},
        "runs": _run_records(experiment, results),
        "text_tasks": [row for _, result in sorted(results.items()) for row in task_rows(result)],
        "word_bags": bags_against_transformers(whole, list(datasets), controls, comparison.between),
        "claims": judge_claims(whole, claims, controls, comparison.between),
    }
    write_json(out, board)


def _altered_runs(experiment: Experiment) -> frozenset[tuple[str, str]]:
    """Runs whose graph or texts were scrambled, and those that go on from one; one goes on from what does not."""
    runs = experiment.runs
    scrambled = {key for key, run in runs.items() if is_scrambled(run.settings)}
    after = {(dataset, name) for (dataset, name), run in runs.items() if (dataset, run.start) in scrambled}
    return frozenset(scrambled | after)


def run_rows(dataset: PreparedDataset, result: RunResult) -> list[Row]:
    """One row a metric and key of a run on one dataset, over its seeds; `published` is empty."""
    intervals: dict[tuple[str, ...], Interval] = {
        (split, *key): interval
        for split in ("valid", "test")
        for key, interval in _test_intervals(dataset, result, split)
    }
    run = result.run
    rows = []
    for key, records in result.records.items():
        named = dict(zip(KEYS, key, strict=True))
        values = result.values(key)
        whole = named["ties"] == "realistic" and named["breakdown"] is None
        place = tuple(str(named[name]) for name in ("split", "candidates", "unseen", "side", "metric"))
        rows.append(
            {
                **named,
                "dataset": run.dataset,
                "dataset_version": dataset.version,
                "run": run.name,
                "preset": run.preset,
                "method": run.method_label,
                "engine": run.engine,
                "encoder": run.encoder,
                "mean": mean(values),
                "sd": standard_deviation(values),
                "ci_seed": seed_interval(values),
                "ci_test": intervals.get(place) if whole else None,
                "values": values.tolist(),
                "n_seeds": len(values),
                "n_triples": records[0]["n_triples"],
                "n_candidates": records[0]["n_candidates"],
                "published": [],
                "verdict": None,
            }
        )
    return rows


def _test_intervals(dataset: PreparedDataset, result: RunResult, split: Any) -> list[tuple[tuple[str, ...], Interval]]:
    """Bootstrap intervals of MRR and Hits@10: (candidates, unseen, side, metric) -> interval."""
    ranks = result.ranks(split)
    found: list[tuple[tuple[str, ...], Interval]] = []
    for index, protocol in enumerate(dataset.protocols(split)):
        for unseen in UNSEEN:
            sums, counts = sums_by_triple(ranks, index, unseen)
            if not len(sums):
                continue
            names = [(side, metric) for metric in ("mrr", "hits@10") for side in SIDES]
            for (side, metric), interval in zip(names, triple_intervals(sums, counts), strict=True):
                found.append(((protocol.candidates, unseen, side, metric), interval))
    return found


class _Comparison:
    """Paired differences of test MRR between runs; the ranks of a run are read once."""

    def __init__(self, results: dict[tuple[str, str], RunResult]) -> None:
        self._results = results
        self._reciprocals: dict[tuple[str, str], np.ndarray] = {}

    def reciprocals(self, dataset: str, run: str) -> np.ndarray:
        """float64 `(seeds, test triples)`, see `reciprocal_ranks`."""
        key = (dataset, run)
        if key not in self._reciprocals:
            self._reciprocals[key] = reciprocal_ranks(self._results[key])
        return self._reciprocals[key]

    def between(self, dataset: str, run: str, other: str) -> Difference:
        """`run` minus `other`."""
        return self.to_others(dataset, run, [other])[0]

    def to_others(self, dataset: str, run: str, others: list[str]) -> list[Difference]:
        """`run` minus each of `others`, all with the same draws."""
        first = self.reciprocals(dataset, run)
        seconds = [self.reciprocals(dataset, other) for other in others]
        for other, second in zip(others, seconds, strict=True):
            if second.shape != first.shape:
                raise UserError(
                    f"{dataset}: runs {run} and {other} ranked {first.shape[1]} and {second.shape[1]} test triples; "
                    "expected the same ones; run kelbench evaluate for both again"
                )
        return paired_differences(first, np.stack(seconds))

    def table(self, dataset: str, run: str, others: list[str]) -> list[dict[str, Any]]:
        """A record for each of `others`: `run` minus it, Holm over them all."""
        differences = self.to_others(dataset, run, others)
        adjusted = holm([difference.p for difference in differences])
        return [
            {"dataset": dataset, "metric": "mrr", **difference_record(difference), "p_holm": p_holm}
            for difference, p_holm in zip(differences, adjusted, strict=True)
        ]


def differences_to_best(
    dataset: str, rows: Rows, results: dict[tuple[str, str], RunResult], comparison: _Comparison
) -> list[dict[str, Any]]:
    """The run with the best test MRR against every other run on the dataset, Holm over the table.

    Controls are compared, and are never the best.
    """
    means: dict[str, float] = {}
    for name, run in results:
        primary = rows.mrr(dataset, run, "test") if name == dataset else None
        if primary is not None:
            means[run] = primary["mean"]
    contenders = [run for run in means if results[dataset, run].run.kind != CONTROL] or list(means)
    best = max(contenders, key=lambda run: means[run])
    others = [run for run in sorted(means) if run != best]
    if not others:
        return []
    table = comparison.table(dataset, best, others)
    return [{"best": best, "other": other, **record} for other, record in zip(others, table, strict=True)]


def differences_to_chosen(
    dataset: str, chosen: list[str], rows: Rows, results: dict[tuple[str, str], RunResult], comparison: _Comparison
) -> list[dict[str, Any]]:
    """Every run on the dataset minus a chosen one, whichever is better: that of its own method, else the first.

    Holm over all runs that are compared with the same one. Chosen runs that the dataset lacks are passed over.
    """
    method = {
        run: result.run.method
        for (name, run), result in sorted(results.items())
        if name == dataset and rows.mrr(dataset, run, "test") is not None
    }
    present = [run for run in chosen if run in method]
    records = []
    for number, one in enumerate(present):
        others = [run for run in method if run != one and _beside(run, present, method) == number]
        for run, record in zip(others, comparison.table(dataset, one, others) if others else [], strict=True):
            low, high = record["interval"]
            turned = {"difference": -record["difference"], "interval": (-high, -low)}
            records.append({"run": run, "compared_with": one, **record, **turned})
    return records


def _beside(run: str, chosen: list[str], method: dict[str, str]) -> int:
    """Which of the chosen runs another is compared with: a chosen one with the first, as others without a match."""
    if run in chosen:
        return 0
    return next((number for number, one in enumerate(chosen) if method[one] == method[run]), 0)


def _settings_on(dataset: str, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Run -> its settings, of the runs on a dataset."""
    return {
        run: found.settings.model_dump(mode="json") for (name, run), found in experiment.runs.items() if name == dataset
    }


def _dataset_record(dataset: PreparedDataset) -> dict[str, Any]:
    summary = {key: dataset.manifest.get(key) for key in _SUMMARY}
    path = dataset.folder / "audit.json"
    if not path.is_file():
        raise UserError(f"{path}: expected the audit here, found none; run kelbench audit {dataset.name} --out {path}")
    return {**summary, "audit": read_json(path)}


def _run_records(experiment: Experiment, results: dict[tuple[str, str], RunResult]) -> dict[str, dict[str, Any]]:
    """By dataset and run -> what was trained: settings, paper, facts a seed."""
    records: dict[str, dict[str, Any]] = {name: {} for name in experiment.datasets}
    for (dataset, name), result in results.items():
        run = result.run
        entry = experiment.method_entry(run.method)
        facts = {
            str(seed): {key: of_seed[key] for key in FACTS if key in of_seed}
            for seed, of_seed in zip(run.seeds, result.facts, strict=True)
        }
        records[dataset][name] = {
            "method": run.method_label,
            "kind": run.kind,
            "engine": run.engine,
            "preset": run.preset,
            "seeds": list(run.seeds),
            "threads": run.threads,
            "settings": run.settings.model_dump(mode="json"),
            "settings_digest": run.digest(),
            "summary": entry.summary,
            "paper": entry.paper.model_dump() if entry.paper else None,
            "facts": facts,
        }
    return records

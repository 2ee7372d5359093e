"""What runs reach on text tasks, over seeds and with intervals over examples."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from kelbench.base.errors import UserError
from kelbench.base.files import read_json
from kelbench.leaderboard.results import RunResult, seed_folder
from kelbench.leaderboard.statistics import Interval, mean, seed_interval, standard_deviation, triple_intervals
from kelbench.tasks.entity_linking import CANDIDATES, SUBSETS, accuracies, counted

# Metrics of which an interval over examples is given, as functions of optimistic and pessimistic ranks.
_OF_RANKS = {
    "accuracy": accuracies,
    "hits@1": lambda optimistic, pessimistic: pessimistic <= 1,
    "mrr": lambda optimistic, pessimistic: 2 / (optimistic.astype(np.float64) + pessimistic),
}


def task_rows(result: RunResult) -> list[dict[str, Any]]:
    """A row a task, subset of mentions, candidate set and metric of a run, in the order in which they were written.

    Raises:
        UserError: a seed's file is missing.
    """
    rows: list[dict[str, Any]] = []
    for task in result.run.tasks:
        seeds = [_read(result, seed, task) for seed in result.run.seeds]
        intervals = _intervals(result, task)
        for number, record in enumerate(seeds[0]):
            values = np.array([records[number]["value"] for records in seeds], dtype=np.float64)
            rows.append(
                {
                    "dataset": result.run.dataset,
                    "task": task,
                    "run": result.run.name,
                    "method": result.run.method_label,
                    "encoder": result.run.encoder,
                    "preset": result.run.preset,
                    "subset": record["subset"],
                    "candidates": record["candidates"],
                    "metric": record["metric"],
                    "mean": mean(values),
                    "sd": standard_deviation(values),
                    "ci_seed": seed_interval(values),
                    "ci_test": intervals.get((record["subset"], record["candidates"], record["metric"])),
                    "values": values.tolist(),
                    "n_seeds": len(values),
                    "n_examples": record["n_examples"],
                    "n_candidates": record["n_candidates"],
                }
            )
    return rows


def _read(result: RunResult, seed: int, task: str) -> Any:
    path = seed_folder(result.run, seed) / f"{task}.json"
    if not path.is_file():
        raise UserError(f"{path}: expected what seed {seed} reached, found nothing; run kelbench task --task {task}")
    return read_json(path)


def _intervals(result: RunResult, task: str) -> dict[tuple[str, str, str], Interval]:
    """Bootstrap over examples of the mean over seeds: (subset, candidates, metric) -> interval."""
    ranks = []
    for seed in result.run.seeds:
        with np.load(seed_folder(result.run, seed) / f"{task}.npz", allow_pickle=False) as stored:
            arrays = dict(stored)
            ranks.append((arrays["optimistic"], arrays["pessimistic"]))
    intervals: dict[tuple[str, str, str], Interval] = {}
    for subset, candidates in product(SUBSETS, CANDIDATES):
        rows, column = counted(arrays, subset, candidates), CANDIDATES.index(candidates)
        if not rows.any():
            continue
        sums = np.stack(
            [
                np.mean([of_rank(*(r[rows, column] for r in of_seed)) for of_seed in ranks], axis=0, dtype=np.float64)
                for of_rank in _OF_RANKS.values()
            ],
            axis=1,
        )
        found = triple_intervals(sums, np.ones_like(sums))
        intervals |= {(subset, candidates, metric): some for metric, some in zip(_OF_RANKS, found, strict=True)}
    return intervals

"""What train and evaluate left for one run: metrics, ranks and facts of each seed, read and checked."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kelbench.base.errors import UserError
from kelbench.base.files import read_json
from kelbench.config.experiment import Experiment, Run

RESULTS_FOLDER = Path("results")

# What identifies a record of metrics.json; the other keys are its value and counts.
KEYS = ("split", "candidates", "unseen", "side", "filter", "ties", "metric", "breakdown")
Key = tuple[str | None, ...]

_RANK_ARRAYS = ("triple", "side", "protocol", "unseen", "optimistic", "pessimistic", "candidates")
UNSEEN = ("keep", "drop")
SIDES = ("head", "tail", "both")


def run_folder(run: Run) -> Path:
    """Where a run's seeds stand: results/EXPERIMENT/DATASET/RUN."""
    return RESULTS_FOLDER / run.experiment / run.dataset / run.name


def seed_folder(run: Run, seed: int) -> Path:
    """Where one seed's files stand."""
    return run_folder(run) / f"seed-{seed}"


@dataclass(frozen=True)
class RunResult:
    """A run with what its seeds gave, in the order of `run.seeds`.

    Attributes:
        run: the resolved run.
        records: key -> its record of each seed.
        facts: what training reported, a dict a seed.
    """

    run: Run
    records: dict[Key, list[dict[str, Any]]]
    facts: list[dict[str, Any]]

    def values(self, key: Key) -> np.ndarray:
        """float64 `(seeds,)`: the metric of each seed."""
        return np.array([record["value"] for record in self.records[key]], dtype=np.float64)

    def ranks(self, split: str) -> list[Ranks]:
        """Every rank of a split, one item a seed.

        Raises:
            UserError: a file is missing, damaged, or the seeds did not rank the same triples.
        """
        loaded = [_read_ranks(seed_folder(self.run, seed) / f"ranks.{split}.npz") for seed in self.run.seeds]
        for seed, ranks in zip(self.run.seeds[1:], loaded[1:], strict=True):
            if not ranks.same_queries(loaded[0]):
                path = seed_folder(self.run, seed) / f"ranks.{split}.npz"
                raise UserError(
                    f"{path}: expected the triples that seed {self.run.seeds[0]} ranked, found others; "
                    f"run kelbench evaluate again for run {self.run.name} on {self.run.dataset}"
                )
        return loaded


@dataclass(frozen=True)
class Ranks:
    """ranks.SPLIT.npz of one seed: arrays of equal length, one item a ranked side of a triple."""

    arrays: dict[str, np.ndarray]

    def same_queries(self, other: Ranks) -> bool:
        """Whether both hold ranks of the same triples, sides and protocols, in the same order."""
        names = ("triple", "side", "protocol", "unseen")
        return all(np.array_equal(self.arrays[name], other.arrays[name]) for name in names)

    def realistic(self) -> np.ndarray:
        """float64: the mean of optimistic and pessimistic rank."""
        return (self.arrays["optimistic"].astype(np.float64) + self.arrays["pessimistic"]) / 2

    def where(self, protocol: int, unseen: str) -> np.ndarray:
        """Mask, bool, of the ranks of one protocol and one treatment of unseen entities."""
        return (self.arrays["protocol"] == protocol) & (self.arrays["unseen"] == UNSEEN.index(unseen))


def read_run(experiment: Experiment, run: Run) -> RunResult:
    """Read metrics and facts of every seed of a run.

    Raises:
        UserError: a seed's file is missing, or seeds differ in what was measured; names the file and the step.
    """
    records: dict[Key, list[dict[str, Any]]] = {}
    facts = []
    for position, seed in enumerate(run.seeds):
        folder = seed_folder(run, seed)
        words = f"--config {experiment.path} --dataset {run.dataset} --run {run.name}"
        metrics = _read_result(folder / "metrics.json", f"the metrics of seed {seed}", f"kelbench evaluate {words}")
        provenance = _read_result(folder / "provenance.json", "facts of training", f"kelbench train {words}")
        facts.append(dict(provenance.get("facts", {})))
        seen = {tuple(record[name] for name in KEYS): record for record in metrics}
        if position and set(seen) != set(records):
            raise UserError(
                f"{folder}/metrics.json: expected the metrics that seed {run.seeds[0]} has, found others; "
                f"run kelbench evaluate {words}"
            )
        for key, record in seen.items():
            records.setdefault(key, []).append(record)
    return RunResult(run, records, facts)


def _read_result(path: Path, what: str, step: str) -> Any:
    if not path.is_file():
        raise UserError(f"{path}: expected {what} here, found none; run {step}")
    return read_json(path)


def _read_ranks(path: Path) -> Ranks:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Ranks({name: stored[name] for name in _RANK_ARRAYS})
    except FileNotFoundError:
        raise UserError(f"{path}: expected ranks here, found none; run kelbench evaluate for its run") from None
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: expected the arrays {', '.join(_RANK_ARRAYS)} ({error}); evaluate again") from None


def sums_by_triple(ranks: list[Ranks], protocol: int, unseen: str) -> tuple[np.ndarray, np.ndarray]:
    """Sums for bootstrapping the means of 1 / rank and of Hits@10 over triples, realistic ranks.

    Args:
        ranks: the same split of each seed.
        protocol: index into the manifest's protocols.
        unseen: keep or drop.

    Returns:
        sums float64 `(triples, 6)`, averaged over seeds, and counts float64 `(triples, 6)`. Columns: MRR of head, tail
        and both, then Hits@10 of the same. Triples without a rank are left out; both are empty where none has one.
    """
    mask = ranks[0].where(protocol, unseen)
    side = ranks[0].arrays["side"][mask]
    _, triple = np.unique(ranks[0].arrays["triple"][mask], return_inverse=True)
    size = int(triple.max()) + 1 if len(triple) else 0
    chosen = [side == 0, side == 1, np.ones(len(side), dtype=bool)]
    counts = np.stack([np.bincount(triple[of], minlength=size) for of in chosen], axis=1).astype(np.float64)
    realistic = np.stack([one.realistic()[mask] for one in ranks])
    columns = []
    for value in ((1.0 / realistic).mean(axis=0), (realistic <= 10).mean(axis=0)):
        columns += [np.bincount(triple[of], weights=value[of], minlength=size) for of in chosen]
    return np.stack(columns, axis=1), np.concatenate([counts, counts], axis=1)


def reciprocal_ranks(result: RunResult) -> np.ndarray:
    """float64 `(seeds, test triples)`: 1 / realistic rank, the mean over both sides; primary protocol, unseen kept."""
    ranks = result.ranks("test")
    mask = ranks[0].where(0, "keep")
    _, triple = np.unique(ranks[0].arrays["triple"][mask], return_inverse=True)
    counts = np.bincount(triple)
    return np.stack([np.bincount(triple, weights=1.0 / one.realistic()[mask]) / counts for one in ranks])

"""Training and evaluation of a run: every seed in its own folder, what made it beside it."""

from __future__ import annotations

import importlib
import json
import logging
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from kelbench.base.errors import UserError
from kelbench.base.files import locked, write_json, write_text
from kelbench.base.provenance import code_commit, provenance
from kelbench.config.clep import ContrastiveSettings
from kelbench.config.experiment import Run
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.config.methods import MODULE_OF
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.load import load_model
from kelbench.encoders.sparse import SparseTables
from kelbench.tasks.link_prediction import evaluate
from kelbench.training.job import VECTORS_FILE, TrainedModel, TrainingJob
from kelbench.training.session import start_session

_LOG = logging.getLogger("kelbench.run")

# Settings of methods that several processes may train together.
_SHARED = (TextKnowledgeEmbeddingSettings, ContrastiveSettings)


def train_run(run: Run, prepared: Path, results: Path, threads: int) -> None:
    """Train every seed of a run and write its settings.

    Args:
        run: what to train.
        prepared: the folder of prepared datasets.
        results: the folder of results.
        threads: threads granted to this process.

    Raises:
        UserError: fewer threads are granted than configured, the dataset is not prepared, or training diverged.
    """
    commit = code_commit()
    start_session(run, threads)
    dataset = PreparedDataset(prepared / run.dataset)
    module = importlib.import_module(MODULE_OF[run.method, run.engine])
    if os.environ.get("WORLD_SIZE", "1") != "1" and not isinstance(run.settings, _SHARED):
        raise UserError(f"{run.name}: {run.method} trains in one process; run it without torchrun")
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started; the others write nothing
    if first:
        write_json(run.folder(results) / "settings.json", run.resolved() | {"preset": run.preset, "run": run.name})
    for seed in run.seeds:
        folder = run.seed_folder(results, seed)
        with locked(folder / ".lock", f"{folder}") if first else nullcontext():
            _LOG.info("training %s on %s, seed %d", run.name, run.dataset, seed)
            began = time.monotonic()
            start = run.started_from(results, seed)
            job = TrainingJob(dataset, run.method, run.settings, seed, run.threads, folder, run.device, start)
            model = module.train(job)
            if first:
                _write_model(folder, model, run, seed, time.monotonic() - began, commit)


def evaluate_run(run: Run, prepared: Path, results: Path, threads: int) -> None:
    """Rank validation and test triples with every seed of a run and write ranks and metrics.

    Raises:
        UserError: fewer threads are granted than configured, a model is missing, or a score is not finite.
    """
    start_session(run, threads)
    dataset = PreparedDataset(prepared / run.dataset)
    for seed in run.seeds:
        folder = run.seed_folder(results, seed)
        _LOG.info("ranking %s on %s, seed %d", run.name, run.dataset, seed)
        model = load_model(folder / "model.safetensors", dataset)
        evaluate(model if isinstance(model, SparseTables) else model.to(run.device), dataset, folder)


def _write_model(folder: Path, model: TrainedModel, run: Run, seed: int, seconds: float, commit: str | None) -> None:
    """Write what a seed left; the weights last, since they say that the seed is done."""
    write_text(folder / "curve.jsonl", _lines(model.curve))
    write_text(folder / "timing.jsonl", _lines(model.timing))
    record = provenance(
        commit,
        run=f"{run.name} on {run.dataset}",
        seed=seed,
        seconds=round(seconds, 2),
        settings_digest=run.digest(),
        facts=model.facts,
    )
    write_json(folder / "provenance.json", record)
    if model.tables is None:
        raise ValueError("the first process has the weights")
    model.tables.save(folder / "model.safetensors")
    (folder / VECTORS_FILE).unlink(missing_ok=True)


def _lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, sort_keys=True, allow_nan=False) + "\n" for record in records)

"""Text tasks of trained runs: a method hands over scores, the task ranks and measures."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

from kelbench.base.errors import UserError, nearest
from kelbench.config.experiment import Run
from kelbench.config.methods import MODULE_OF
from kelbench.data.linking import read_mentions
from kelbench.data.prepared import PreparedDataset
from kelbench.tasks.entity_linking import evaluate_linking
from kelbench.training.session import start_session

_LOG = logging.getLogger("kelbench.run")


def run_task(run: Run, task: str, prepared: Path, results: Path, threads: int) -> None:
    """Test every seed of a run on a text task of its dataset; write what was predicted and what that amounts to.

    Raises:
        UserError: the experiment does not test the run on the task, fewer threads are granted than configured, or a
            model or the task's files are missing.
    """
    if task not in run.tasks:
        known = ", ".join(run.tasks) or "none"
        raise UserError(f"run {run.name} is not tested on {task!r}{nearest(task, run.tasks)}; its tasks are: {known}")
    start_session(run, threads)
    dataset = PreparedDataset(prepared / run.dataset)
    mentions = read_mentions(dataset, "test")
    module = importlib.import_module(f"{MODULE_OF[run.method, run.engine]}.linking")
    for seed in run.seeds:
        folder = run.seed_folder(results, seed)
        _LOG.info("%s of %s on %s, seed %d", task.replace("_", " "), run.name, run.dataset, seed)
        evaluate_linking(mentions, module.scorer(run, dataset, folder, mentions), folder)

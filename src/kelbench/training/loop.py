"""The training loop: epochs over shuffled triples, early stopping, checkpoints. It knows no model and no ranking."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.progress import Progress
from kelbench.config.parts import EarlyStopping
from kelbench.ranking.metrics import VALIDATION_METRICS
from kelbench.training.checkpoints import BestWeights, load_checkpoint, remove_checkpoint, save_checkpoint
from kelbench.training.processes import Processes

_LOG = logging.getLogger("kelbench.training")
SECONDS_BETWEEN_CHECKPOINTS = 60.0


class Trainable(Protocol):
    """What the loop trains."""

    def batches(self, triples: np.ndarray, epoch: int) -> Iterator[Any]:
        """The batches of one epoch, a function of the epoch alone; `len` of one is its weight in the epoch's loss."""

    def step(self, batch: Any, epoch: int, step: int) -> Tensor:
        """Learn from a batch and return its loss, a scalar without gradient."""

    def weights(self) -> dict[str, Tensor]:
        """The tensors that make the model; changed in place by `step`."""

    def optimizer_state(self) -> dict[str, Tensor]:
        """The other tensors that `step` changes in place."""


@dataclass(frozen=True)
class Schedule:
    """How long to train: see KnowledgeEmbeddingSettings for each key."""

    epochs: int
    early_stopping: EarlyStopping
    max_minutes: float | None


@dataclass
class Course:
    """What happened so far: whole epochs, and the steps of the next one with their summed loss and weight."""

    epoch: int = 0
    steps: int = 0
    summed_loss: float = 0.0
    seen: int = 0
    best_mrr: float = -math.inf
    best_epoch: int = 0
    validations_without_gain: int = 0
    seconds: float = 0.0
    ended_by: str = ""
    curve: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)

    @property
    def converged(self) -> bool:
        """False where the wall-clock limit ended training."""
        return self.ended_by != "time"

    def facts(self) -> dict[str, Any]:
        """What the report is told of it."""
        return {
            "best_epoch": self.best_epoch,
            "best_validation_mrr": self.best_mrr,
            "converged": self.converged,
            "ended_by": self.ended_by,
            "epochs": self.epoch,
        }

    def note_validation(self, mrr: float, minimal_gain: float) -> bool:
        """Count a validation of the present epoch; whether its weights are the best so far."""
        self.validations_without_gain = 0 if mrr > self.best_mrr + minimal_gain else self.validations_without_gain + 1
        if mrr <= self.best_mrr:
            return False
        # Even a gain too small to reset the patience gives better weights.
        self.best_mrr, self.best_epoch = mrr, self.epoch
        return True

    def note_epoch(
        self, loss: float, found: dict[str, float] | None, out_of_time: bool, patience: int, epochs: int
    ) -> None:
        """Record the present epoch, with the metrics of its validation or None, and decide whether training ends."""
        validated = {f"validation_{name}": found[name] if found else None for name in VALIDATION_METRICS}
        self.curve.append({"epoch": self.epoch, "loss": loss} | validated)
        self.timing.append({"epoch": self.epoch, "seconds": round(self.seconds, 3)})
        if out_of_time:
            self.ended_by = "time"
        elif self.validations_without_gain >= patience:
            self.ended_by = "patience"
        elif self.epoch >= epochs:
            self.ended_by = "epochs"

    def log_end(self) -> None:
        """Say how training ended."""
        _LOG.info(
            "ended by %s after %d epochs; best validation MRR %.4f in epoch %d",
            self.ended_by,
            self.epoch,
            self.best_mrr,
            self.best_epoch,
        )


ALONE = Processes()


def run_epochs(
    trainable: Trainable,
    triples: np.ndarray,
    schedule: Schedule,
    validate: Callable[[], dict[str, float]],
    checkpoint: Path,
    key: str,
    processes: Processes = ALONE,
) -> Course:
    """Train until patience, epochs or time run out; resume from `checkpoint` where it is one of this job.

    Args:
        trainable: holds the weights, which are those of the best validation afterwards.
        triples: int `(n, 3)`.
        schedule: when to stop.
        validate: the VALIDATION_METRICS of the present weights.
        checkpoint: where to keep state, within an epoch or after one, and beside it the best weights; removed at the
            end.
        key: identifies the job; a checkpoint with another key is not used.
        processes: those that train together; the first writes.

    Raises:
        UserError: the loss is not finite.
    """
    best = BestWeights(checkpoint.parent, key)
    course = _resume(trainable, checkpoint, key, best)
    saver = _Saver(trainable, course, checkpoint, key, best, processes)
    triples = np.ascontiguousarray(triples)  # in memory, where the file would be read at random
    start = time.monotonic() - course.seconds
    stopping = schedule.early_stopping
    with Progress("training", total=schedule.epochs, unit="epoch") as progress:
        progress.advance(course.epoch)
        while not course.ended_by:
            deadline = math.inf if schedule.max_minutes is None else start + 60 * schedule.max_minutes
            loss, out_of_time = _one_epoch(trainable, triples, course, start, deadline, saver, progress)
            course.epoch += 1
            found = None
            if course.epoch % stopping.every == 0 or course.epoch == schedule.epochs or out_of_time:
                found = validate()
                if course.note_validation(found["mrr"], stopping.minimal_gain):
                    saver.keep_best()
            course.seconds = time.monotonic() - start
            course.note_epoch(loss, found, out_of_time, stopping.patience, schedule.epochs)
            progress.advance(1, note=f"loss {loss:.4f}" + (f", validation MRR {found['mrr']:.4f}" if found else ""))
            if found is not None and not course.ended_by:
                saver.save_when_due()
    processes.wait()
    if course.best_epoch != course.epoch and not best.restore(course.best_epoch, trainable.weights()):
        raise UserError(f"{checkpoint.parent}: the best weights were removed while training ran; train again")
    processes.wait()
    if processes.rank == 0:
        remove_checkpoint(checkpoint)
        best.forget_all_but()
    course.log_end()
    return course


class _Saver:
    """Writes checkpoints, and the best weights that they speak of."""

    def __init__(
        self,
        trainable: Trainable,
        course: Course,
        checkpoint: Path,
        key: str,
        best: BestWeights,
        processes: Processes,
    ) -> None:
        self._trainable, self._course, self._checkpoint, self._key = trainable, course, checkpoint, key
        self._best, self.processes = best, processes
        self._best_at_save = course.best_epoch
        self._last_save = time.monotonic()

    def keep_best(self) -> None:
        """Keep the present weights as the best; and those that a resumed run would start from."""
        if self.processes.rank == 0:
            self._best.keep(self._course.epoch, self._trainable.weights())
            self._best.forget_all_but(self._course.epoch, self._best_at_save)

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough."""
        return self.processes.rank == 0 and time.monotonic() - self._last_save >= SECONDS_BETWEEN_CHECKPOINTS

    def save_when_due(self) -> None:
        """Write a checkpoint where the last is old enough."""
        if not self.is_due:
            return
        save_checkpoint(self._checkpoint, self._key, _state(self._trainable, self._course))
        self._best_at_save, self._last_save = self._course.best_epoch, time.monotonic()
        self._best.forget_all_but(self._course.best_epoch)


def _one_epoch(
    trainable: Trainable,
    triples: np.ndarray,
    course: Course,
    start: float,
    deadline: float,
    saver: _Saver,
    progress: Progress,
) -> tuple[float, bool]:
    """Mean loss of the batches seen, and whether the deadline cut the epoch short."""
    epoch = course.epoch + 1
    # Read when a checkpoint is written and once an epoch: a step waits for no device.
    total: Tensor | float = course.summed_loss
    out_of_time = False
    for batch in islice(trainable.batches(triples, epoch), course.steps, None):
        total = trainable.step(batch, epoch, course.steps).double() * len(batch) + total
        course.seen += len(batch)
        course.steps += 1
        progress.advance(0, note=f"step {course.steps} of epoch {epoch}")
        if saver.is_due:
            course.summed_loss, course.seconds = float(total), time.monotonic() - start
            saver.save_when_due()
        out_of_time = saver.processes.any(time.monotonic() > deadline)
        if out_of_time:
            break
    mean = float(total) / course.seen if course.seen else 0.0
    course.steps, course.seen, course.summed_loss = 0, 0, 0.0
    if not math.isfinite(mean):
        raise UserError(f"the loss of epoch {epoch} is not finite: training diverged; lower the learning rate")
    return mean, out_of_time


_PLAIN_FIELDS = (
    "epoch",
    "steps",
    "summed_loss",
    "seen",
    "best_mrr",
    "best_epoch",
    "validations_without_gain",
    "seconds",
    "curve",
    "timing",
)


def _state(trainable: Trainable, course: Course) -> dict[str, Any]:
    return {
        "weights": trainable.weights(),
        "optimizer": trainable.optimizer_state(),
        **{name: getattr(course, name) for name in _PLAIN_FIELDS},
    }


def _resume(trainable: Trainable, checkpoint: Path, key: str, best: BestWeights) -> Course:
    state = load_checkpoint(checkpoint, key)
    if state is None:
        best.forget_all_but()
        return Course()
    if state["best_epoch"] and not best.has(state["best_epoch"]):  # before the first validation there are none
        _LOG.info("%s: the best weights that it speaks of are missing; training starts anew", checkpoint)
        return Course()
    for stored, live in ((state["weights"], trainable.weights()), (state["optimizer"], trainable.optimizer_state())):
        for name, tensor in live.items():
            tensor.copy_(stored[name])
    _LOG.info("resuming after epoch %d, step %d", state["epoch"], state["steps"])
    return Course(**{name: state[name] for name in _PLAIN_FIELDS})

"""PyKEEN's training loops under our selection: validation MRR by our ranker decides when to stop and what to keep."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pykeen.losses import CrossEntropyLoss, Loss, MarginRankingLoss, NSSALoss, SoftplusLoss
from pykeen.models import ERModel
from pykeen.training import LCWATrainingLoop, SLCWATrainingLoop, TrainingCallback, TrainingLoop
from pykeen.training.training_loop import NonFiniteLossError
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import InductiveMode

from kelbench.base.errors import UserError
from kelbench.base.progress import Progress
from kelbench.config.methods import NodePieceSettings, PykeenSettings
from kelbench.encoders.tables import EmbeddingTables
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob
from kelbench.training.loop import Course

_OPTIMIZERS = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}

AnySettings = PykeenSettings | NodePieceSettings


class _OutOfTime(Exception):  # noqa: N818 (not an error)
    """Ends an epoch early. PyKEEN's loop catches RuntimeError and MemoryError, so it is neither."""


def make_loss(settings: AnySettings) -> Loss:
    """PyKEEN's loss of that name, averaged over the batch."""
    match settings.loss:
        case "cross_entropy":
            return CrossEntropyLoss(reduction="mean")
        case "margin":
            return MarginRankingLoss(margin=settings.margin, reduction="mean")
        case "self_adversarial":
            return NSSALoss(
                margin=settings.margin,
                adversarial_temperature=settings.adversarial_temperature,
                reduction="mean",
            )
        case "softplus":
            return SoftplusLoss(reduction="mean")


def run(
    model: ERModel,
    factory: CoreTriplesFactory,
    job: TrainingJob,
    settings: AnySettings,
    export: Callable[[], EmbeddingTables],
    mode: InductiveMode | None = None,
) -> TrainedModel:
    """Train `model` in place until patience, epochs or time run out.

    Args:
        model: PyKEEN's model; its weights are those of the last epoch afterwards.
        factory: the training triples that it was built with.
        job: seed, dataset and folder.
        settings: those of the job, of the type that was checked.
        export: copies the present weights into tables.
        mode: PyKEEN's inductive mode, `training` for inductive models; there None is an error, not a default.

    Returns:
        The tables of the best validation, the curve, the timing, and the facts that every method reports.

    Raises:
        UserError: training diverged.
    """
    loop = _make_loop(model, factory, settings, mode)
    with Progress("training (PyKEEN)", total=settings.epochs, unit="epoch") as progress, _loaded_modules_set_aside():
        selection = _Selection(job, settings, export, progress)
        try:
            loop.train(
                triples_factory=factory,
                num_epochs=settings.epochs,
                batch_size=settings.batch_size,
                use_tqdm=False,
                callbacks=selection,
                pin_memory=False,
                # PyKEEN creates its checkpoint folder in the home directory unless it is given another.
                checkpoint_directory=job.folder,
            )
        except _OutOfTime:
            selection.finish_cut_epoch()
        except NonFiniteLossError:
            raise UserError(
                f"the loss of epoch {selection.course.epoch + 1} is not finite: training diverged; "
                "lower the learning rate"
            ) from None
    return _result(model, selection)


def _make_loop(
    model: ERModel, factory: CoreTriplesFactory, settings: AnySettings, mode: InductiveMode | None
) -> TrainingLoop:
    shared: dict[str, Any] = {
        "model": model,
        "triples_factory": factory,
        "optimizer": _OPTIMIZERS[settings.optimizer],
        "optimizer_kwargs": {"lr": settings.learning_rate},
        # The search for a batch size would draw random numbers, and on a CPU it finds nothing.
        "automatic_memory_optimization": False,
        "mode": mode,
    }
    if isinstance(settings, PykeenSettings) and settings.training == "lcwa":
        return LCWATrainingLoop(**shared)
    return SLCWATrainingLoop(
        negative_sampler="basic",
        negative_sampler_kwargs={"num_negs_per_pos": settings.negatives_per_positive},
        **shared,
    )


@contextmanager
def _loaded_modules_set_aside() -> Iterator[None]:
    """Keep what is loaded by now out of the garbage collections that PyKEEN runs after every epoch.

    A full collection walks all of torch's and PyKEEN's objects, which on a small graph takes longer than the epoch.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Selection(TrainingCallback):  # type: ignore[misc]
    """Validates, keeps the best tables, and ends training. The rules are those of kelbench's own loop."""

    def __init__(
        self, job: TrainingJob, settings: AnySettings, export: Callable[[], EmbeddingTables], progress: Progress
    ) -> None:
        super().__init__()
        self.course = Course()
        self.best: EmbeddingTables | None = None
        self._ranker = validation_ranker(job.dataset)
        self._settings, self._export, self._progress = settings, export, progress
        self._batch_losses: list[float] = []
        self._start = time.monotonic()
        self._deadline = math.inf if settings.max_minutes is None else self._start + 60 * settings.max_minutes

    def pre_batch(self, **kwargs: Any) -> None:
        """End the epoch here if time is up; every epoch has at least one batch."""
        if self._batch_losses and time.monotonic() > self._deadline:
            raise _OutOfTime

    def on_batch(self, epoch: int, batch: Any, batch_loss: float, **kwargs: Any) -> None:
        """Note a batch's loss."""
        self._batch_losses.append(batch_loss)

    def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
        """Note the epoch; validate when it is time to; end training when it is time to."""
        self._end_epoch(out_of_time=time.monotonic() > self._deadline)
        if self.course.ended_by:
            self.training_loop._should_stop = True

    def finish_cut_epoch(self) -> None:
        """Note and validate the epoch that time cut short."""
        self._end_epoch(out_of_time=True)

    def _end_epoch(self, out_of_time: bool) -> None:
        course, settings = self.course, self._settings
        course.epoch += 1
        loss = math.fsum(self._batch_losses) / len(self._batch_losses)
        self._batch_losses = []
        found = None
        if course.epoch % settings.early_stopping.every == 0 or course.epoch == settings.epochs or out_of_time:
            found = self._validate()
        course.seconds = time.monotonic() - self._start
        course.note_epoch(loss, found, out_of_time, settings.early_stopping.patience, settings.epochs)
        self._progress.advance(1, note=f"loss {loss:.4f}" + (f", validation MRR {found['mrr']:.4f}" if found else ""))

    def _validate(self) -> dict[str, float]:
        tables = self._export()
        found = self._ranker.metrics(tables)
        if self.course.note_validation(found["mrr"], self._settings.early_stopping.minimal_gain):
            self.best = tables
        return found


def _result(model: ERModel, selection: _Selection) -> TrainedModel:
    course = selection.course
    if selection.best is None:
        raise AssertionError("training ended without a validation")
    course.log_end()
    facts = {
        "best_epoch": course.best_epoch,
        "best_validation_mrr": course.best_mrr,
        "converged": course.converged,
        "ended_by": course.ended_by,
        "epochs": course.epoch,
        "parameters": model.num_parameters,
    }
    return TrainedModel(selection.best, course.curve, course.timing, facts)

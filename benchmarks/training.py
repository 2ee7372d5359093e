"""Training steps: kelbench beside PyKEEN with PyKEEN's settings, the same threads, one run.

    python benchmarks/training.py [--dimension 200] [--threads 2] [--rounds 3] [--models distmult complex]

Steps only: no validation, no loading. 256 negatives a positive in all: PyKEEN corrupts the heads of one half of a batch
and the tails of the other, kelbench draws 128 for either side of each. Same dimension, batch, loss and optimizer.
PyKEEN's step is what its own SLCWATrainingLoop does between two batches (sampling, forward, backward, optimizer;
constrainers and regularisers off); kelbench's is what its loop does (taking the batch, drawing, gradients, updates).
PyKEEN's optimizer goes over whole tables, kelbench's over the rows that a batch used; that is part of what is compared.

`training-shared` is kelbench with 256 negatives a side that all positives of a batch share, beside the same figure of
PyKEEN, which has no such mode. Figures are positives a second, medians over all steps of all rounds; rounds of the two
programs alternate.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
import own_engine
import pykeen_twins
import torch
from pykeen.models import ERModel
from pykeen.training import SLCWATrainingLoop, TrainingCallback
from pykeen.triples import CoreTriplesFactory

from kelbench.data.prepared import PreparedDataset
from kelbench.methods import ke

NEGATIVES = 256
OPTIMIZERS = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad}
MARGIN = 1.0
LEARNING_RATE = 0.001
# Of each round, these first steps of either program do not count.
WARM_UP_STEPS = 2


def main() -> None:
    """Measure the models asked for."""
    options = harness.parser(__doc__)
    harness.add_dataset_options(options, "fb15k-237")
    options.add_argument("--dimension", type=int, default=200, help="reals in an entity's vector")
    options.add_argument("--batch-size", type=int, default=1024)
    options.add_argument("--loss", choices=("margin", "cross_entropy"), default="margin")
    options.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="adam")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=6.0, help="a round of one program lasts at least so long")
    chosen = options.parse_args()
    harness.start(chosen.threads)
    dataset = harness.open_dataset(chosen.dataset, chosen.prepared)
    names = ("dimension", "threads", "batch_size", "loss", "optimizer", "rounds", "seconds")
    settings = {"dataset": dataset.name, "negatives": NEGATIVES, **{name: getattr(chosen, name) for name in names}}
    harness.show_heading("training", settings)
    section = harness.Section(chosen.out, "training", settings)
    for method in chosen.models:
        record = measure(method, dataset, settings)
        section.add(method, record)
        _print(method, record)


def measure(method: str, dataset: PreparedDataset, settings: dict[str, Any]) -> dict[str, Any]:
    """Positives a second of kelbench with per-triple and with shared negatives, and of PyKEEN."""
    programs = {
        "pykeen": PykeenSteps(method, dataset, settings),
        "kelbench": kelbench_steps(method, dataset, settings, shared=False),
        "kelbench_shared": kelbench_steps(method, dataset, settings, shared=True),
    }
    steps: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(settings["rounds"]):
        for name, program in programs.items():
            steps[name] += program.take(settings["seconds"], WARM_UP_STEPS)
    record: dict[str, Any] = {}
    for name, seconds in steps.items():
        record[name] = harness.rounded(settings["batch_size"] / harness.median(seconds))
        record[f"{name}_steps"] = len(seconds)
    record["ratio"] = harness.rounded(record["kelbench"] / record["pykeen"])
    record["ratio_shared"] = harness.rounded(record["kelbench_shared"] / record["pykeen"])
    return record


def kelbench_steps(method: str, dataset: PreparedDataset, settings: dict[str, Any], shared: bool) -> own_engine.Steps:
    """kelbench's engine with the dimension, batch, loss and optimizer of `settings`."""
    resolved = own_engine.settings_for(
        method,
        settings["dimension"],
        NEGATIVES if shared else NEGATIVES // 2,
        shared,
        settings["batch_size"],
        loss=settings["loss"],
        margin=MARGIN if settings["loss"] == "margin" else None,
        optimizer=settings["optimizer"],
        learning_rate=LEARNING_RATE,
    )
    tables = ke.initial_tables(method, resolved, dataset.num_entities, dataset.num_relations, own_engine.SEED)
    return own_engine.Steps(tables, resolved, dataset.triples("train"))


class _Stop(Exception):  # noqa: N818 (not an error; PyKEEN's loop catches RuntimeError and MemoryError)
    """Ends an epoch of PyKEEN's loop."""


class _Clock(TrainingCallback):  # type: ignore[misc]
    """Notes the time at which each batch begins, and ends the epoch when there are enough."""

    def __init__(self, seconds: float, warm_up: int) -> None:
        super().__init__()
        self.begins: list[float] = []
        self._seconds, self._steps = seconds, warm_up + 3

    def pre_batch(self, **kwargs: Any) -> None:
        """A batch begins: the one before has been sampled, learned from and applied."""
        now = time.perf_counter()
        self.begins.append(now)
        if len(self.begins) > self._steps and now - self.begins[0] >= self._seconds:
            raise _Stop


class PykeenSteps:
    """PyKEEN's own training loop on the whole training graph, ended after some batches."""

    def __init__(self, method: str, dataset: PreparedDataset, settings: dict[str, Any]) -> None:
        self._settings = settings
        resolved = pykeen_twins.settings_for(
            method,
            settings["dimension"],
            loss=settings["loss"],
            margin=MARGIN if settings["loss"] == "margin" else None,
        )
        self._model: ERModel = pykeen_twins.new_model(method, resolved, dataset)
        self._factory = CoreTriplesFactory(
            mapped_triples=torch.from_numpy(np.asarray(dataset.triples("train"), dtype=np.int64)),
            num_entities=dataset.num_entities,
            num_relations=dataset.num_relations,
        )

    def take(self, seconds: float, warm_up: int) -> list[float]:
        """Seconds from the begin of one batch to that of the next; arguments as for `own_engine.Steps.take`."""
        loop = SLCWATrainingLoop(
            model=self._model,
            triples_factory=self._factory,
            optimizer=OPTIMIZERS[self._settings["optimizer"]],
            optimizer_kwargs={"lr": LEARNING_RATE},
            automatic_memory_optimization=False,
            negative_sampler="basic",
            negative_sampler_kwargs={"num_negs_per_pos": NEGATIVES},
        )
        clock = _Clock(seconds, warm_up)
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Stop):
            loop.train(
                triples_factory=self._factory,
                num_epochs=10**6,
                batch_size=min(self._settings["batch_size"], self._factory.num_triples),
                drop_last=True,
                use_tqdm=False,
                callbacks=clock,
                pin_memory=False,
                checkpoint_directory=Path(folder),
            )
        steps = np.diff(clock.begins)[warm_up:]
        per_epoch = self._factory.num_triples // self._settings["batch_size"]
        # Between two epochs PyKEEN does more than a step; such differences are left out where there are others.
        within = [i for i in range(len(steps)) if (i + warm_up + 1) % max(per_epoch, 1)]
        return [float(steps[i]) for i in within or range(len(steps))]


def _print(method: str, record: dict[str, Any]) -> None:
    pykeen = f"{record['pykeen']:.0f}"
    for name, figure, ratio in (
        ("training", "kelbench", "ratio"),
        ("training-shared", "kelbench_shared", "ratio_shared"),
    ):
        fields = {"kelbench": f"{record[figure]:.0f}", "pykeen": pykeen, "ratio": f"{record[ratio]:.1f}"}
        fields |= {"steps_kelbench": record[f"{figure}_steps"], "steps_pykeen": record["pykeen_steps"]}
        harness.show(name, method, **fields)


if __name__ == "__main__":
    main()

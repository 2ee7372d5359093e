"""kelbench's own engine as the scripts use it: settings of negative sampling, timed steps, vectors trained shortly."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods import ke
from kelbench.training.loop import Schedule, run_epochs

SEED = 1


def settings_for(
    method: str, dimension: int, negatives: int, shared: bool, batch_size: int = 1024, **changes: Any
) -> KnowledgeEmbeddingSettings:
    """Settings of negative sampling; relations not doubled, as in PyKEEN.

    Args:
        method: name of the model.
        dimension: reals in an entity's vector.
        negatives: drawn for each side, by each positive or, where `shared`, by the batch.
        shared: see there.
        batch_size: positives a step.
        **changes: keys that replace others.
    """
    return KnowledgeEmbeddingSettings.model_validate(
        {
            "dimension": dimension,
            "distance": "l1" if method == "transe" else None,
            "reciprocal": False,
            "training": "negative_sampling",
            "negatives": {"per_positive": negatives, "shared": shared},
            "loss": "cross_entropy",
            "optimizer": "adagrad",
            "learning_rate": 0.1,
            "batch_size": batch_size,
            "epochs": 10**6,
            "initial_scale": 0.1,
            "early_stopping": {"every": 10**6, "patience": 1},
        }
        | changes
    )


class Steps:
    """An engine that steps through shuffled triples for as long as it is told, epoch after epoch."""

    def __init__(self, tables: EmbeddingTables, settings: KnowledgeEmbeddingSettings, triples: np.ndarray) -> None:
        self._trainable = ke.KnowledgeEmbedding(tables, settings, SEED)
        self._triples = np.ascontiguousarray(triples)
        self._batch_size = min(settings.batch_size, len(triples))
        self._epoch = 0

    def take(self, seconds: float, warm_up: int) -> list[float]:
        """Seconds of each full step, the drawing of its batch included.

        Args:
            seconds: steps are taken for at least so long, and at least three of them.
            warm_up: first steps that do not count.
        """
        taken: list[float] = []
        begin = time.perf_counter()
        while True:
            self._epoch += 1
            here = time.perf_counter()
            for step, batch in enumerate(self._trainable.batches(self._triples, self._epoch)):
                self._trainable.step(batch, self._epoch, step)
                now = time.perf_counter()
                if len(batch) == self._batch_size:
                    taken.append(now - here)
                if len(taken) >= warm_up + 3 and now - begin >= seconds:
                    return taken[warm_up:]
                here = time.perf_counter()


def trained_tables(method: str, dataset: PreparedDataset, dimension: int, seconds: float) -> EmbeddingTables:
    """Vectors after so many seconds of training with shared negatives: realistic, far from converged."""
    settings = settings_for(method, dimension, negatives=256, shared=True, max_minutes=seconds / 60)
    tables = ke.initial_tables(method, settings, dataset.num_entities, dataset.num_relations, SEED)
    with tempfile.TemporaryDirectory() as folder:
        run_epochs(
            ke.KnowledgeEmbedding(tables, settings, SEED),
            dataset.triples("train"),
            Schedule(settings.epochs, settings.early_stopping, settings.max_minutes),
            validate=lambda: 0.0,
            checkpoint=Path(folder) / "checkpoint.pt",
            key="",
        )
    return tables

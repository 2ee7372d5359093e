"""What a method is asked to train, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kelbench.config.methods import MethodSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.conditioned import ConditionedTables
from kelbench.encoders.sparse import SparseTables
from kelbench.encoders.tables import EmbeddingTables

# Where a method may keep vectors that memory would not hold, until they are written with the model.
VECTORS_FILE = "vectors.npy"


@dataclass(frozen=True)
class TrainingJob:
    """One model to train: a method on a dataset with one seed.

    Attributes:
        dataset: what is read: train, valid and support triples, entities and texts; never the test triples.
        method: registry name, `complex` say.
        settings: every setting decided.
        seed: decides every random number.
        threads: threads granted, equal to those configured.
        folder: where checkpoints may be kept while training runs.
        device: where kelbench's own engine keeps its tables.
    """

    dataset: PreparedDataset
    method: str
    settings: MethodSettings
    seed: int
    threads: int
    folder: Path
    device: str = "cpu"


@dataclass
class TrainedModel:
    """A trained link predictor and how it came to be.

    Attributes:
        tables: the weights kept, those of the best validation; None in processes other than the first.
        curve: a record an epoch that was validated, or an epoch: `epoch`, `loss` (mean over the epoch),
            `validation_mrr` (None where the epoch was not validated). The same bits for the same job.
        timing: a record an epoch: `epoch`, `seconds` since training began.
        facts: what else the report should show: `converged`, `epochs`, `best_epoch`, `parameters` and so on.
    """

    tables: EmbeddingTables | SparseTables | ConditionedTables | None
    curve: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

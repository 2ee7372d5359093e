"""What a method is asked to train, and what it hands back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kelbench.base.code_digest import code_digest
from kelbench.base.errors import UserError
from kelbench.base.files import digest_of, sha256_file
from kelbench.config.methods import MethodSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import AlignedTables
from kelbench.encoders.conditioned import ConditionedTables
from kelbench.encoders.decoded import DecodedTables
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
        started_from: the file of the model that training goes on from; None for none.
    """

    dataset: PreparedDataset
    method: str
    settings: MethodSettings
    seed: int
    threads: int
    folder: Path
    device: str = "cpu"
    started_from: Path | None = None

    def refuse_new_entities(
        self, instead: str = "use a method that reads texts, or one of kind inductive, such as nodepiece"
    ) -> None:
        """For methods that learn a vector for each entity of training.

        Args:
            instead: what the user can do.

        Raises:
            UserError: the dataset is ranked with entities that training never sees.
        """
        if self.dataset.is_inductive:
            raise UserError(
                f"{self.method} learns a vector for each entity of training, and the test entities of "
                f"{self.dataset.name} are others; {instead}"
            )

    def key(self, module: str, files: Iterable[Path]) -> str:
        """Identifies the job for its checkpoint: settings, seed, and digests of code and of what is learned from.

        Args:
            module: the method's, whose imports are the code.
            files: what training reads.
        """
        return digest_of(
            {
                "method": self.method,
                "settings": self.settings.model_dump(mode="json"),
                "seed": self.seed,
                "threads": self.threads,
                "device": self.device,
                "torch": torch.__version__,
                "code": code_digest(module),
                "data": [sha256_file(file) for file in files],
            }
        )


@dataclass
class TrainedModel:
    """A trained link predictor and how it came to be.

    Attributes:
        tables: the weights kept, those of the best validation; None in processes other than the first.
        curve: a record an epoch: `epoch`, `loss` (mean over the epoch), and of its validation `validation_mrr`,
            `validation_hits@1` and `validation_hits@10`, None where there was none. The same bits for the same job.
        timing: a record an epoch: `epoch`, `seconds` since training began.
        facts: what else the report should show: `converged`, `epochs`, `best_epoch`, `parameters` and so on.
    """

    tables: EmbeddingTables | SparseTables | ConditionedTables | AlignedTables | DecodedTables | None
    curve: list[dict[str, Any]] = field(default_factory=list)
    timing: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

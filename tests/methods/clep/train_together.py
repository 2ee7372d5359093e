"""Train jobs in the processes that torchrun started; each writes the losses, the first its tables.

    python -m torch.distributed.run --standalone --nproc-per-node 2 train_together.py FOLDER

FOLDER holds the dataset `described` and `jobs.json`: name -> settings.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from kelbench.config.clep import ContrastiveSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.methods.clep import run, train
from kelbench.methods.clep.training import ContrastiveTraining
from kelbench.training.job import TrainingJob

trainings = []


class Watched(ContrastiveTraining):
    """Keeps what trains in reach; in the job `words`, the second process computes other gradients than the first."""

    disturbed = False

    def __init__(self, *arguments):
        super().__init__(*arguments)
        trainings.append(self)

    def _learn(self, *arguments):
        loss = super()._learn(*arguments)
        if self.disturbed:
            for parameter in self._parameters.values():
                parameter.grad += 0.1
        return loss


def main(folder):
    torch.set_num_threads(1)
    rank = os.environ["RANK"]
    run.ContrastiveTraining = Watched
    for name, values in json.loads((folder / "jobs.json").read_text()).items():
        settings = ContrastiveSettings.model_validate(values)
        Watched.disturbed = name == "words" and rank == "1"
        work = folder / "work" / name
        trained = train(TrainingJob(PreparedDataset(folder / "described"), "clep", settings, 1, 1, work))
        tables = {} if trained.tables is None else {part: getattr(trained.tables, part) for part in ("node", "text")}
        curve = [[record["loss"], record["validation_mrr"]] for record in trained.curve]
        np.savez(
            folder / f"{name}.{rank}.npz",
            **tables,
            weights=torch.cat([weight.flatten() for weight in trainings[-1].weights().values()]),
            curve=np.array(curve, dtype=float),
            processes=trained.facts["processes"],
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

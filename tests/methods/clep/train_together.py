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
from kelbench.methods.clep import train
from kelbench.training.job import TrainingJob


def main(folder):
    torch.set_num_threads(1)
    rank = os.environ["RANK"]
    for name, values in json.loads((folder / "jobs.json").read_text()).items():
        settings = ContrastiveSettings.model_validate(values)
        work = folder / "work" / name
        trained = train(TrainingJob(PreparedDataset(folder / "described"), "clep", settings, 1, 1, work))
        tables = {} if trained.tables is None else {part: getattr(trained.tables, part) for part in ("node", "text")}
        curve = [[record["loss"], record["validation_mrr"]] for record in trained.curve]
        np.savez(
            folder / f"{name}.{rank}.npz",
            **tables,
            curve=np.array(curve, dtype=float),
            processes=trained.facts["processes"],
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

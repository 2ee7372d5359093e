"""Train jobs in the processes that torchrun started; each writes what it has in the end, and what it wrote meanwhile.

    python -m torch.distributed.run --standalone --nproc-per-node 2 train_together.py FOLDER

FOLDER holds the dataset `described` and `jobs.json`: name -> settings, and `on disk`, whether vectors are kept there.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders import text_model
from kelbench.methods.kepler import train
from kelbench.methods.kepler.training import TextTraining
from kelbench.training.job import TrainingJob


def main(folder):
    rank = os.environ.get("RANK", "0")
    torch.set_num_threads(1)
    written, begun = [], []
    original = TextTraining.__init__
    TextTraining.__init__ = lambda self, *arguments: (begun.append(self), original(self, *arguments))[1]

    def note(event, arguments):
        if event == "open" and str(arguments[0]).startswith(str(folder / "work")):
            mode, flags = arguments[1] or "", arguments[2] or 0
            if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                written.append(str(Path(arguments[0]).relative_to(folder / "work")))

    sys.addaudithook(note)
    for name, options in json.loads((folder / "jobs.json").read_text()).items():
        text_model._IN_MEMORY_BYTES = 0 if options["on disk"] else 1 << 30
        settings = TextKnowledgeEmbeddingSettings.model_validate(options["settings"])
        work = folder / "work" / name
        trained = train(TrainingJob(PreparedDataset(folder / "described"), "kepler_ke", settings, 1, 1, work))
        tables = trained.tables if rank == "0" else None
        curve = [[record["loss"], record["validation_mrr"]] for record in trained.curve]
        tables = (
            {} if trained.tables is None else {t: getattr(trained.tables, t).numpy() for t in ("entity", "relation")}
        )
        np.savez(
            folder / f"{name}.{rank}.npz",
            **tables,
            curve=np.array(curve),
            processes=trained.facts["processes"],
            written=np.array(written, dtype=np.str_),
        )
        written.clear()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

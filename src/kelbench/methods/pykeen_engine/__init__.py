"""The second engine: PyKEEN trains, kelbench feeds it its ids, exports what it really computes, and ranks that.

Five baselines and InductiveNodePiece, an explicit list: each has traps of its own, which the modules here take care of
one by one, so another PyKEEN model cannot be added by its name alone.
"""

from __future__ import annotations

from kelbench.base.errors import UserError
from kelbench.methods.pykeen_engine import baselines, nodepiece
from kelbench.training.job import TrainedModel, TrainingJob

METHODS = (*baselines.MODELS, "nodepiece")


def train(job: TrainingJob) -> TrainedModel:
    """Train one model with PyKEEN and export it.

    Raises:
        UserError: the method is not one of `METHODS`, does not fit the dataset, or training diverged.
    """
    if job.method not in METHODS:
        raise UserError(
            f"engine pykeen trains {', '.join(METHODS)} and nothing else, found method {job.method!r}; "
            "choose one of these or another engine"
        )
    return nodepiece.train(job) if job.method == "nodepiece" else baselines.train(job)

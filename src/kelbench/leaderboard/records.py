"""What leaderboard.json says of a claim, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kelbench.config.claims import Claim, ClaimFile
from kelbench.leaderboard.rows import Row
from kelbench.leaderboard.statistics import Difference

# (dataset, run, other run) -> paired difference of test MRR
Compare = Callable[[str, str, str], Difference]


def claim_record(file: ClaimFile, claim: Claim, kind: str, statement: str, metric: str, **more: Any) -> Row:
    """A record without verdict: what is claimed, by whom, under which protocol; `more` is of this kind of claim."""
    experiment = claim.experiment or file.experiment
    return {
        "id": claim.id,
        "kind": kind,
        "dataset": claim.dataset,
        "dataset_version": claim.dataset_version,
        "engine": claim.engine,
        "metric": metric,
        "source": file.source.model_dump(),
        "protocol": file.protocol.model_dump(),
        "experiment": experiment.as_posix() if experiment else None,
        "statement": statement,
        "rows": [],
        "tested_on": None,
        **more,
    }


def difference_record(difference: Difference) -> dict[str, Any]:
    """Value, 95 % interval and p of a paired difference."""
    return {"difference": difference.value, "interval": difference.interval, "p": difference.p}

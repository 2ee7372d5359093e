"""Whether the leaderboards at hand reach the quality that this project promises.

    snakemake --cores 2                                            # UMLS
    snakemake --cores 2 --configfile config/kinships.yaml
    snakemake --cores 2 --configfile config/inductive.yaml         # ILPC22-small
    snakemake --cores 2 --configfile config/engines.yaml           # Nations, both engines, five seeds
    python benchmarks/quality_floors.py

Prints a line a floor: what was reached, what is promised, `reached` or `MISSED`, or which leaderboard is missing. The
exit code is 1 where a floor is missed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FLOORS = [
    ("quick", "umls", "complex", 0.94),
    ("kinships", "kinships", "complex", 0.86),
    ("inductive", "ilpc22-small", "nodepiece", 0.035),
]
ENGINES = ("transe", "distmult", "complex")
TOLERANCE = 0.01


def main() -> int:
    """Print every floor; 1 if one is missed."""
    missed = 0
    for experiment, dataset, run, floor in FLOORS:
        found = test_mrr(experiment, dataset, run)
        missed += show(f"{dataset} {run}", found, floor)
    for method in ENGINES:
        peer = test_mrr("engines", "nations", f"{method}-pykeen")
        found = test_mrr("engines", "nations", method)
        missed += show(f"nations {method} beside PyKEEN's minus {TOLERANCE}", found, peer and (peer[0] - TOLERANCE))
    return int(missed > 0)


def test_mrr(experiment: str, dataset: str, run: str) -> tuple[float, int] | None:
    """Mean test MRR over seeds and the number of seeds; None where there is no leaderboard."""
    path = Path("results") / experiment / "leaderboard.json"
    if not path.is_file():
        return None
    wanted = {
        "dataset": dataset,
        "run": run,
        "split": "test",
        "metric": "mrr",
        "side": "both",
        "ties": "realistic",
        "unseen": "keep",
        "breakdown": None,
    }
    rows = json.loads(path.read_text())["rows"]
    row = next(row for row in rows if all(row[key] == value for key, value in wanted.items()))
    return float(row["mean"]), int(row["n_seeds"])


def show(what: str, found: tuple[float, int] | None, floor: float | None) -> bool:
    """Print one line; whether the floor is missed."""
    if found is None or floor is None:
        print(f"{what}: no leaderboard yet")
        return False
    missed = found[0] < floor
    print(f"{what}: MRR {found[0]:.4f} over {found[1]} seeds, floor {floor:.4f}: {'MISSED' if missed else 'reached'}")
    return missed


if __name__ == "__main__":
    sys.exit(main())

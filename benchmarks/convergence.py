"""ComplEx on FB15k-237 from zero: seconds until the validation MRR reaches a target that was fixed beforehand.

    python benchmarks/convergence.py [--config config/fb15k-237-fast.yaml] [--target 0.335]

Settings are those of the run `complex` of the experiment file. The clock runs from the first draw of the vectors to the
end of the validation that meets the target; validations are on it. Training goes on to the end that its settings
choose, and then the test set is read, once, with the weights of the best validation.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import harness

from kelbench.config.experiment import Experiment
from kelbench.methods import ke
from kelbench.tasks.link_prediction import SplitRanker
from kelbench.training.job import TrainedModel, TrainingJob


def main() -> None:
    """Train, and say when the target was met."""
    options = harness.parser(__doc__, models=False)
    options.add_argument("--config", type=Path, default=Path("config/fb15k-237-fast.yaml"))
    options.add_argument("--run", default="complex")
    options.add_argument("--target", type=float, default=0.335)
    harness.add_dataset_options(options, "fb15k-237")
    chosen = options.parse_args()
    harness.start(chosen.threads)
    run = Experiment(chosen.config).run(chosen.dataset, chosen.run)
    dataset = harness.open_dataset(chosen.dataset, chosen.prepared)
    if dataset.name != chosen.dataset:
        raise SystemExit(f"convergence is measured on {chosen.dataset} alone")
    settings = {
        "dataset": dataset.name,
        "target": chosen.target,
        "threads": chosen.threads,
        "config": str(chosen.config),
    }
    harness.show_heading("convergence", settings)
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob(dataset, run.method, run.settings, run.seeds[0], chosen.threads, Path(folder))
        trained = ke.train(job)
    curve = curve_of(trained)
    reached = next((seconds for seconds, mrr in curve if mrr >= chosen.target), None)
    best_seconds, best = max(curve, key=lambda point: point[1])
    test = SplitRanker(dataset, "test", dataset.protocols("test")[0]).mrr(trained.tables)
    record = {
        "reached": reached is not None,
        "seconds": reached if reached is not None else best_seconds,
        "best_validation_mrr": round(best, 5),
        "test_mrr": round(test, 5),
        "curve": curve,
        "method_settings": json.loads(run.settings.model_dump_json()),
    }
    harness.Section(chosen.out, "convergence", settings).add(run.method, record)
    fields = {"seconds": record["seconds"], "best": record["best_validation_mrr"], "test": record["test_mrr"]}
    harness.show("convergence", run.method, target=chosen.target, reached=str(record["reached"]).lower(), **fields)


def curve_of(trained: TrainedModel) -> list[tuple[float, float]]:
    """Seconds since training began and validation MRR, one pair a validation."""
    seconds = {record["epoch"]: record["seconds"] for record in trained.timing}
    return [
        (seconds[record["epoch"]], round(record["validation_mrr"], 6))
        for record in trained.curve
        if record["validation_mrr"] is not None
    ]


if __name__ == "__main__":
    main()

"""Time to quality on CoDEx-S: PyKEEN's best validation MRR in 15 minutes, and how soon kelbench has it.

    python benchmarks/quality.py [--minutes 15] [--models complex transe] [--again kelbench|both]

Both train the same method on the same two threads, each with settings that suit it (config/methods/METHOD.yaml and
benchmarks/quality.yaml), and not the same: what is compared is time to a quality. Both are validated after every epoch
by kelbench's ranker, and both have that on their clock. PyKEEN's clock begins with the first epoch, kelbench's before
its vectors are drawn; reading the data, indexing the filter and loading compiled code are on neither.

PyKEEN's time is that at which its best validation MRR was reached, kelbench's the first at which it has at least that;
where it never does, the time and the MRR of its best are printed, and `reached=false`.

A model is written down as soon as it is done. A run that was interrupted goes on with the models that are missing;
`--again both` measures them anew, `--again kelbench` keeps PyKEEN's curves.
"""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import yaml

from kelbench.config.methods import SETTINGS_OF, KnowledgeEmbeddingSettings, MethodSettings, PykeenSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.methods import ke
from kelbench.methods.pykeen_engine.baselines import make_model, training_factory
from kelbench.methods.pykeen_engine.export import export_baseline
from kelbench.methods.pykeen_engine.run_loop import run
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainingJob
from kelbench.training.loop import Schedule, run_epochs

CHANGES = Path(__file__).with_name("quality.yaml")
SEED = 1

Curve = list[tuple[float, float]]


class _Reached(Exception):  # noqa: N818 (not an error)
    """Ends kelbench's training: it has the MRR that it was to reach."""


def main() -> None:
    """Measure the models that have no record yet."""
    options = harness.parser(__doc__)
    harness.add_dataset_options(options, "codex-s")
    options.add_argument("--minutes", type=float, default=15.0, help="PyKEEN's wall clock, a model")
    options.add_argument("--kelbench-minutes", type=float, default=5.0, help="kelbench's at most")
    options.add_argument("--again", choices=("kelbench", "both"), help="measure models anew that have a record")
    chosen = options.parse_args()
    harness.start(chosen.threads)
    dataset = harness.open_dataset(chosen.dataset, chosen.prepared)
    settings = {"dataset": dataset.name, "minutes": chosen.minutes, "threads": chosen.threads}
    harness.show_heading("quality", settings)
    section = harness.Section(chosen.out, "quality", settings)
    for method in chosen.models:
        record = section.records().get(method, {})
        if chosen.again == "both" or "pykeen" not in record:
            record = {"pykeen": with_pykeen(method, dataset, chosen.minutes, chosen.threads)}
            section.add(method, record)
        if chosen.again is not None or "kelbench" not in record:
            ours = with_kelbench(method, dataset, record["pykeen"]["mrr"], chosen.kelbench_minutes)
            record = {"pykeen": record["pykeen"], "kelbench": ours}
            record["ratio"] = harness.rounded(record["pykeen"]["seconds"] / ours["seconds"])
            section.add(method, record)
        _print(method, record)


def with_pykeen(method: str, dataset: PreparedDataset, minutes: float, threads: int) -> dict[str, Any]:
    """Train with PyKEEN for so long; its best validation MRR, when it was reached, and the curve."""
    settings = resolved(method, "pykeen", max_minutes=minutes)
    if not isinstance(settings, PykeenSettings):
        raise TypeError(f"expected PykeenSettings, got {type(settings).__name__}")
    with tempfile.TemporaryDirectory() as folder:
        job = TrainingJob(dataset, method, settings, SEED, threads, Path(folder))
        factory = training_factory(job, settings)
        model = make_model(method, settings, factory, SEED)
        export = lambda: export_baseline(model, method, settings)  # noqa: E731
        validation_ranker(dataset).mrr(export())  # loads the compiled code
        trained = run(model, factory, job, settings, export)
    seconds = {record["epoch"]: record["seconds"] for record in trained.timing}
    curve = [(seconds[record["epoch"]], record["validation_mrr"]) for record in trained.curve]
    return _summary(curve, settings)


def with_kelbench(method: str, dataset: PreparedDataset, target: float, minutes: float) -> dict[str, Any]:
    """Train with kelbench until the validation MRR is at least `target`, or for so long."""
    settings = resolved(method, "native", max_minutes=minutes)
    if not isinstance(settings, KnowledgeEmbeddingSettings):
        raise TypeError(f"expected KnowledgeEmbeddingSettings, got {type(settings).__name__}")
    ranker = validation_ranker(dataset)
    _load_compiled_code(method, dataset, settings)
    curve: Curve = []
    begin = time.monotonic()
    tables = ke.initial_tables(method, settings, dataset.num_entities, dataset.num_relations, SEED)

    def validate() -> float:
        mrr = ranker.mrr(tables)
        curve.append((round(time.monotonic() - begin, 3), mrr))
        if mrr >= target:
            raise _Reached
        return mrr

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Reached):
        run_epochs(
            ke.KnowledgeEmbedding(tables, settings, SEED),
            dataset.triples("train"),
            Schedule(settings.epochs, settings.early_stopping, settings.max_minutes),
            validate=validate,
            checkpoint=Path(folder) / "checkpoint.pt",
            key="",
        )
    return _summary(curve, settings) | {"reached": curve[-1][1] >= target}


def _load_compiled_code(method: str, dataset: PreparedDataset, settings: KnowledgeEmbeddingSettings) -> None:
    """Two steps and one ranking of vectors that are thrown away."""
    tables = ke.initial_tables(method, settings, dataset.num_entities, dataset.num_relations, SEED)
    trainable = ke.KnowledgeEmbedding(tables, settings, SEED)
    for step, batch in zip(range(2), trainable.batches(dataset.triples("train"), 1), strict=False):
        trainable.step(batch, 1, step)
    validation_ranker(dataset).mrr(tables)


def resolved(method: str, engine: str, **changes: Any) -> MethodSettings:
    """Settings of the registry, with those of quality.yaml and `changes` over them.

    Args:
        method: name of the method.
        engine: `native` or `pykeen`.
        **changes: come last.
    """
    registry = yaml.safe_load(Path(f"config/methods/{method}.yaml").read_text(encoding="utf-8"))["settings"][engine]
    ours = yaml.safe_load(CHANGES.read_text(encoding="utf-8"))
    name = "kelbench" if engine == "native" else engine
    merged = registry | ours["every_model"][name] | ours[method][name] | changes
    settings = SETTINGS_OF[method, engine].model_validate(merged)
    settings.check_method(method)
    return settings


def _summary(curve: Curve, settings: MethodSettings) -> dict[str, Any]:
    """Best MRR, when it was reached, the settings, and the points of the curve above all before them."""
    best_seconds, best = max(curve, key=lambda point: (point[1], -point[0]))
    if not math.isfinite(best):
        raise ValueError(f"a validation MRR is not finite: {best}")
    above_before: Curve = []
    for point in curve:
        if not above_before or point[1] > above_before[-1][1]:
            above_before.append(point)
    return {
        "mrr": best,
        "seconds": best_seconds,
        "curve": [(seconds, round(mrr, 6)) for seconds, mrr in above_before],
        "method_settings": json.loads(settings.model_dump_json()),
    }


def _print(method: str, record: dict[str, Any]) -> None:
    theirs, ours = record["pykeen"], record["kelbench"]
    fields = {"mrr": f"{theirs['mrr']:.4f}", "kelbench": f"{ours['seconds']:.1f}", "pykeen": f"{theirs['seconds']:.1f}"}
    fields["ratio"] = f"{record['ratio']:.1f}"
    if not ours["reached"]:
        fields |= {"reached": "false", "mrr_kelbench": f"{ours['mrr']:.4f}"}
    harness.show("quality", method, **fields)


if __name__ == "__main__":
    main()

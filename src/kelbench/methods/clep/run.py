"""Pre-train one CLEP model: encoders, loop, validation across spaces, and what the report is told."""

from __future__ import annotations

from pathlib import Path

from kelbench.config.clep import ContrastiveSettings
from kelbench.encoders.conditioned import ENCODER_FOLDER
from kelbench.encoders.text_encoder import save_encoder
from kelbench.methods.clep.model import WORDS_FOLDER, ContrastiveModel
from kelbench.methods.clep.training import ContrastiveTraining
from kelbench.ranking.metrics import VALIDATION_METRICS
from kelbench.tasks.aligned_space import AlignedSpace
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob
from kelbench.training.loop import Schedule, run_epochs
from kelbench.training.processes import Processes


def train(job: TrainingJob) -> TrainedModel:
    """Pre-train one model; its validation MRR is that of link prediction across spaces.

    Raises:
        UserError: texts or a checkpoint are missing, the dataset's test entities are new and nodes have free vectors,
            or training diverged.
    """
    settings = job.settings
    if not isinstance(settings, ContrastiveSettings):
        raise TypeError(f"expected ContrastiveSettings, got {type(settings).__name__}")
    if settings.graph.features != "text":
        job.refuse_new_entities("set graph: {features: text}, and a node is its text alone")
    processes = Processes.joined(job.device)
    triples = job.dataset.triples("train")
    model = ContrastiveModel(settings, job.dataset, job.seed, job.device)
    training = ContrastiveTraining(model, triples, job.dataset.num_relations, job.seed, processes)
    ranker = validation_ranker(job.dataset)
    space = AlignedSpace(job.dataset, settings.target == "own_description")
    # The weights are still those that the seed draws, also where a checkpoint waits: a resumed run says the same.
    before = space.describe(model.tables()) if processes.rank == 0 else None
    course = run_epochs(
        training,
        triples,
        Schedule(settings.epochs, settings.early_stopping, settings.max_minutes),
        validate=lambda: processes.told_by_first(VALIDATION_METRICS, lambda: ranker.metrics(model.tables())),
        checkpoint=job.folder / "checkpoint.pt",
        key=job.key(__name__, _read_in_training(job)),
        processes=processes,
    )
    tables, after = None, None
    if processes.rank == 0:
        if not settings.frozen:
            save_encoder(model.text_encoder, job.folder / ENCODER_FOLDER)
        if model.words is not None:
            save_encoder(model.words, job.folder / WORDS_FOLDER)
        tables = model.tables()
        after = space.describe(tables)
    facts = course.facts() | {
        "computes": None,
        "parameters": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "encoder": settings.encoder.kind,
        "texts": model.descriptions.count,
        "temperature": float((-model.log_scale.detach()).exp()),
        "processes": processes.count,
        "aligned_space": {"before": before, "after": after},
    }
    return TrainedModel(tables, course.curve, course.timing, facts)


def _read_in_training(job: TrainingJob) -> list[Path]:
    """The files that the weights and their selection depend on."""
    names = ("train/triples.npy", "valid/triples.npy", "valid/support.npy", "train/entities.tsv", "valid/entities.tsv")
    return [path for path in (job.dataset.folder / name for name in names) if path.is_file()]

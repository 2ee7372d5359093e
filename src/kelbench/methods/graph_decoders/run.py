"""Train one graph encoder with its decoder: model, loop, validation, and what the report is told."""

from __future__ import annotations

from pathlib import Path

from kelbench.base.memory import keep_few_products
from kelbench.config.graph_decoders import GraphDecoderSettings
from kelbench.methods.graph_decoders.model import GraphDecoder
from kelbench.methods.graph_decoders.training import GraphDecoderTraining
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob
from kelbench.training.loop import Schedule, run_epochs


def train(job: TrainingJob) -> TrainedModel:
    """Train one model.

    Raises:
        UserError: the dataset's test entities are not those of training, the model to start from is missing or
            another, or training diverged.
    """
    settings = job.settings
    if not isinstance(settings, GraphDecoderSettings):
        raise TypeError(f"expected GraphDecoderSettings, got {type(settings).__name__}")
    if (settings.start is None) != (job.started_from is None):
        raise ValueError(f"the key start and the model to start from go together; found {job.started_from}")
    job.refuse_new_entities()
    # The others' large products are of all nodes, or are rounded up to a few sizes.
    if settings.decoder == "conve":
        keep_few_products()
    triples = job.dataset.triples("train")
    model = GraphDecoder(settings, job.dataset, job.seed, job.started_from, job.device)
    training = GraphDecoderTraining(model, triples, job.dataset.num_relations, job.seed)
    ranker = validation_ranker(job.dataset)
    course = run_epochs(
        training,
        triples,
        Schedule(settings.epochs, settings.early_stopping, settings.max_minutes),
        validate=lambda: ranker.metrics(model.tables()),
        checkpoint=job.folder / "checkpoint.pt",
        key=job.key(__name__, _read_in_training(job)),
    )
    facts = course.facts() | {
        "computes": None,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "started_from": settings.start,
    }
    return TrainedModel(model.tables(), course.curve, course.timing, facts)


def _read_in_training(job: TrainingJob) -> list[Path]:
    """The files that the weights and their selection depend on."""
    files = [job.dataset.folder / name for name in ("train/triples.npy", "valid/triples.npy")]
    return files if job.started_from is None else [*files, job.started_from]

"""Train one knowledge embedding: tables, loop, validation, and what the report is told."""

from __future__ import annotations

from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.methods.ke.embedding import KnowledgeEmbedding, initial_tables
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob
from kelbench.training.loop import Schedule, run_epochs


def train(job: TrainingJob) -> TrainedModel:
    """Train one knowledge embedding.

    Raises:
        UserError: the dataset's test entities are not those of training, or training diverged.
    """
    settings = job.settings
    if not isinstance(settings, KnowledgeEmbeddingSettings):
        raise TypeError(f"expected KnowledgeEmbeddingSettings, got {type(settings).__name__}")
    job.refuse_new_entities()
    start, stop = job.dataset.spaces["train"]
    tables = initial_tables(job.method, settings, stop - start, job.dataset.num_relations, job.seed).to(job.device)
    ranker = validation_ranker(job.dataset)
    course = run_epochs(
        KnowledgeEmbedding(tables, settings, job.seed),
        job.dataset.triples("train"),
        Schedule(settings.epochs, settings.early_stopping, settings.max_minutes),
        validate=lambda: ranker.metrics(tables),
        checkpoint=job.folder / "checkpoint.pt",
        key=job.key(__name__, [job.dataset.folder / file for file in ("train/triples.npy", "valid/triples.npy")]),
    )
    facts = course.facts() | {"computes": None, "parameters": tables.entity.numel() + tables.relation.numel()}
    return TrainedModel(tables, course.curve, course.timing, facts)

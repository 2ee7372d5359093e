"""Train one knowledge embedding: tables, loop, validation, and what the report is told."""

from __future__ import annotations

import torch

from kelbench.base.code_digest import code_digest
from kelbench.base.files import digest_of, sha256_file
from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.methods.ke.embedding import KnowledgeEmbedding, initial_tables
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob
from kelbench.training.loop import Schedule, run_epochs


def train(job: TrainingJob) -> TrainedModel:
    """Train one knowledge embedding.

    Raises:
        UserError: training diverged.
    """
    settings = job.settings
    if not isinstance(settings, KnowledgeEmbeddingSettings):
        raise TypeError(f"expected KnowledgeEmbeddingSettings, got {type(settings).__name__}")
    start, stop = job.dataset.spaces["train"]
    tables = initial_tables(job.method, settings, stop - start, job.dataset.num_relations, job.seed).to(job.device)
    ranker = validation_ranker(job.dataset)
    course = run_epochs(
        KnowledgeEmbedding(tables, settings, job.seed),
        job.dataset.triples("train"),
        Schedule(settings.epochs, settings.early_stopping, settings.max_minutes),
        validate=lambda: ranker.mrr(tables),
        checkpoint=job.folder / "checkpoint.pt",
        key=_job_key(job),
    )
    facts = {
        "best_epoch": course.best_epoch,
        "best_validation_mrr": course.best_mrr,
        "computes": None,
        "converged": course.converged,
        "ended_by": course.ended_by,
        "epochs": course.epoch,
        "parameters": tables.entity.numel() + tables.relation.numel(),
    }
    return TrainedModel(tables, course.curve, course.timing, facts)


def _job_key(job: TrainingJob) -> str:
    """Identifies a job for its checkpoint: settings, seed, and the digests of the code and of what is learned from."""
    files = ("train/triples.npy", "valid/triples.npy")
    return digest_of(
        {
            "method": job.method,
            "settings": job.settings.model_dump(mode="json"),
            "seed": job.seed,
            "threads": job.threads,
            "device": job.device,
            "torch": torch.__version__,
            "code": code_digest(__name__),
            "data": [sha256_file(job.dataset.folder / file) for file in files],
        }
    )

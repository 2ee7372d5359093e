"""The making of a control: its tables at once, and the facts of a training that had nothing to train."""

from __future__ import annotations

from kelbench.config.methods import FrequencySettings, NameMatchSettings, RandomSettings, TextCosineSettings
from kelbench.encoders.sparse import SparseTables
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods.controls.graph import frequency_tables, random_tables
from kelbench.methods.controls.texts import cosine_tables, name_match_tables
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob


def train(job: TrainingJob) -> TrainedModel:
    """Make the control that the job names."""
    tables = _tables(job)
    facts = {
        "best_epoch": 0,
        "best_validation_mrr": validation_ranker(job.dataset).mrr(tables),
        "computes": None,
        "converged": True,
        "ended_by": "nothing to train",
        "epochs": 0,
        "parameters": 0,
    }
    return TrainedModel(tables, facts=facts)


def _tables(job: TrainingJob) -> EmbeddingTables | SparseTables:
    match job.settings:
        case RandomSettings():
            return random_tables(job.dataset, job.seed)
        case FrequencySettings():
            return frequency_tables(job.dataset)
        case TextCosineSettings():
            return cosine_tables(job.dataset, job.settings)
        case NameMatchSettings():
            return name_match_tables(job.dataset, job.settings.texts)
    raise TypeError(f"expected settings of a control, got {type(job.settings).__name__}")

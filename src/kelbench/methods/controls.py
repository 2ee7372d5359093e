"""Controls: what a scorer reaches that knows nothing, or only how often an entity answers a relation."""

from __future__ import annotations

import numpy as np
import torch

from kelbench.base.errors import UserError
from kelbench.encoders.tables import EmbeddingTables
from kelbench.scoring import FREQUENCY, RANDOM
from kelbench.tasks.breakdowns import known_graph
from kelbench.tasks.link_prediction import validation_ranker
from kelbench.training.job import TrainedModel, TrainingJob
from kelbench.training.randomness import generator

RANDOM_WIDTH = 32
_MAX_COUNT_TABLE_BYTES = 8 << 30


def train(job: TrainingJob) -> TrainedModel:
    """Make the control that the job names: `random` or `frequency`."""
    tables = random_tables(job) if job.method == "random" else frequency_tables(job)
    mrr = validation_ranker(job.dataset).mrr(tables)
    facts = {
        "best_epoch": 0,
        "best_validation_mrr": mrr,
        "computes": None,
        "converged": True,
        "ended_by": "nothing to train",
        "epochs": 0,
        "parameters": 0,
    }
    return TrainedModel(tables, facts=facts)


def random_tables(job: TrainingJob) -> EmbeddingTables:
    """Independent normal vectors for queries and candidates: each rank of an answer is equally likely."""
    entities, relations = job.dataset.num_entities, job.dataset.num_relations
    entity = torch.randn(entities, 2 * RANDOM_WIDTH, generator=generator(job.seed, "random entities"))
    relation = torch.randn(2 * relations, RANDOM_WIDTH, generator=generator(job.seed, "random relations"))
    return EmbeddingTables(RANDOM, RANDOM.similarity, entity, relation, reciprocal=True)


def frequency_tables(job: TrainingJob) -> EmbeddingTables:
    """Score of an answer: how many known triples have it on that side of that relation, whatever the other end.

    Counts come from the training triples and, for an inference graph, from its support; never from ranked triples.

    Raises:
        UserError: the table of counts would not fit into 8 GiB.
    """
    entities, relations = job.dataset.num_entities, job.dataset.num_relations
    if entities * 2 * relations * 4 > _MAX_COUNT_TABLE_BYTES:
        raise UserError(
            f"{job.dataset.name}: counts of {entities} entities by {2 * relations} relation sides need more than 8 GiB;"
            " leave the run with method: frequency out for this dataset"
        )
    graph = known_graph(job.dataset).astype(np.int64)
    counts = np.zeros((entities, 2 * relations), dtype=np.float32)
    np.add.at(counts, (graph[:, 2], graph[:, 1]), 1.0)
    np.add.at(counts, (graph[:, 0], graph[:, 1] + relations), 1.0)
    return EmbeddingTables(
        FREQUENCY, FREQUENCY.similarity, torch.from_numpy(counts), torch.eye(2 * relations), reciprocal=True
    )

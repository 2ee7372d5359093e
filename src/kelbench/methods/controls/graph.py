"""Controls made of the graph: chance, and how often an entity answers a relation whatever the other end."""

from __future__ import annotations

import numpy as np
import torch

from kelbench.base.errors import UserError
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.tables import EmbeddingTables
from kelbench.scoring import FREQUENCY, RANDOM
from kelbench.tasks.breakdowns import known_graph
from kelbench.training.randomness import generator

RANDOM_WIDTH = 32
_MAX_COUNT_TABLE_BYTES = 8 << 30


def random_tables(dataset: PreparedDataset, seed: int) -> EmbeddingTables:
    """Independent normal vectors for queries and candidates: each rank of an answer is equally likely."""
    entities, relations = dataset.num_entities, dataset.num_relations
    entity = torch.randn(entities, 2 * RANDOM_WIDTH, generator=generator(seed, "random entities"))
    relation = torch.randn(2 * relations, RANDOM_WIDTH, generator=generator(seed, "random relations"))
    return EmbeddingTables(RANDOM, RANDOM.similarity, entity, relation, reciprocal=True)


def frequency_tables(dataset: PreparedDataset) -> EmbeddingTables:
    """Score of an answer: how many known triples have it on that side of that relation, whatever the other end.

    Counts come from the training triples and, for an inference graph, from its support; never from ranked triples.

    Raises:
        UserError: the table of counts would not fit into 8 GiB.
    """
    entities, relations = dataset.num_entities, dataset.num_relations
    if entities * 2 * relations * 4 > _MAX_COUNT_TABLE_BYTES:
        raise UserError(
            f"{dataset.name}: counts of {entities} entities by {2 * relations} relation sides need more than 8 GiB;"
            " leave the run with method: frequency out for this dataset"
        )
    graph = known_graph(dataset).astype(np.int64)
    counts = np.zeros((entities, 2 * relations), dtype=np.float32)
    np.add.at(counts, (graph[:, 2], graph[:, 1]), 1.0)
    np.add.at(counts, (graph[:, 0], graph[:, 1] + relations), 1.0)
    return EmbeddingTables(
        FREQUENCY, FREQUENCY.similarity, torch.from_numpy(counts), torch.eye(2 * relations), reciprocal=True
    )

"""What texts can tell: the oracle's ceiling against ranks counted one by one."""

import numpy as np

from kelbench.data.prepared import PreparedDataset
from kelbench.data.text_audits import oracle_mrr


def slow_oracle(dataset, group):
    protocol = dataset.protocols("test")[0]
    known = {tuple(row) for row in dataset.known(protocol).tolist()}
    reciprocal = []
    for head, relation, tail in dataset.triples("test").tolist():
        for side in ("tail", "head"):
            ties = 0
            for entity in dataset.candidates(protocol).tolist():
                triple = (head, relation, entity) if side == "tail" else (entity, relation, tail)
                answer = tail if side == "tail" else head
                if entity != answer and triple not in known and group[entity] == group[answer]:
                    ties += 1
            reciprocal.append(1 / (1 + ties / 2))
    return np.mean(reciprocal)


def test_the_oracle_equals_a_count_one_by_one(small_graph):
    dataset = PreparedDataset(small_graph)
    for groups in (1, 3, 24):
        group = np.random.default_rng(groups).integers(groups, size=dataset.num_entities)
        assert abs(oracle_mrr(dataset, group) - slow_oracle(dataset, group)) < 1e-12
    assert oracle_mrr(dataset, np.arange(dataset.num_entities)) == 1.0

"""The random scorer is at chance; the frequency baseline counts what it says."""

from pathlib import Path

import numpy as np
import pytest

from kelbench.config.methods import FrequencySettings, RandomSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.methods import controls
from kelbench.tasks.link_prediction import SplitRanker
from kelbench.training.job import TrainingJob


def make(folder, method, seed=1):
    options = RandomSettings() if method == "random" else FrequencySettings()
    return controls.train(TrainingJob(PreparedDataset(folder), method, options, seed, 1, Path("unused"))).tables


def test_random_is_at_chance(prepared_folder):
    dataset = PreparedDataset(prepared_folder / "kinships")
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    amri = []
    for seed in range(5):
        for side in ("head", "tail"):
            ranks = ranker.rank(make(prepared_folder / "kinships", "random", seed), side)
            expected = (ranks.candidates[0] + 1) / 2
            amri.append(1 - (ranks.optimistic[0].mean() - 1) / (expected.mean() - 1))
    assert abs(np.mean(amri)) < 0.02


def test_frequency_ranks_by_counts(small_graph):
    dataset = PreparedDataset(small_graph)
    tables = make(small_graph, "frequency")
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    ranks = ranker.rank(tables, "tail")
    train, known = dataset.triples("train"), dataset.known(dataset.protocols("test")[0])
    for i, (h, r, t) in enumerate(dataset.triples("test").tolist()):
        count = {e: int(((train[:, 1] == r) & (train[:, 2] == e)).sum()) for e in range(24)}
        others = {int(b) for a, p, b in known if a == h and p == r} - {t}
        competing = [count[e] for e in range(24) if e not in others]
        assert ranks.optimistic[0, i] == 1 + sum(c > count[t] for c in competing)
        assert ranks.pessimistic[0, i] == sum(c >= count[t] for c in competing)


def test_frequency_of_an_inference_graph_counts_its_support(prepared_folder):
    dataset = PreparedDataset(prepared_folder / "umls-ind")
    tables = make(prepared_folder / "umls-ind", "frequency")
    support = dataset.support("test")
    assert len(support) > 0
    h, r, t = support[0].tolist()
    assert tables.entity[t, r] == ((support[:, 1] == r) & (support[:, 2] == t)).sum()
    assert tables.entity[h, r + dataset.num_relations] == ((support[:, 1] == r) & (support[:, 0] == h)).sum()
    with pytest.raises(IndexError):
        tables.entity[dataset.num_entities]

import numpy as np
import pytest
import torch

from kelbench.data.prepared import PreparedDataset
from kelbench.methods import ke
from kelbench.methods.pykeen_engine.export import export_baseline
from kelbench.tasks.link_prediction import SplitRanker


@pytest.fixture
def dataset(script, tmp_path):
    shaped = script("wikidata5m_shaped")
    shaped.write(tmp_path / "graph", shaped.Shape(entities=60, relations=4, train=300, valid=20, test=30), seed=1)
    return PreparedDataset(tmp_path / "graph")


@pytest.mark.parametrize("method", ["transe", "distmult", "complex", "rotate", "simple"])
def test_pykeen_ranks_our_vectors_as_we_do(script, dataset, method):
    twins, own_engine = script("pykeen_twins"), script("own_engine")
    tables = ke.initial_tables(method, own_engine.settings_for(method, 8, 1, shared=True), 60, 4, seed=1)
    settings = twins.settings_for(method, 8)
    model = twins.new_model(method, settings, dataset)
    twins.put(model, method, tables)
    exported = export_baseline(model, method, settings)
    assert torch.equal(exported.entity, tables.entity)
    torch.testing.assert_close(exported.relation, tables.relation / (2 if method == "simple" else 1))
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    theirs = twins.filtered_mrr(model, dataset, np.asarray(dataset.triples("test")), batch_size=7)
    assert ranker.mrr(exported) == pytest.approx(theirs, abs=1e-6)
    if method not in twins.NOTES:
        assert ranker.mrr(tables) == pytest.approx(theirs, abs=1e-6)

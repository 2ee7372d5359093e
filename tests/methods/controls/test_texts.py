"""Untrained controls made of texts: what they score, through the ranker of every method."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kelbench.base.errors import UserError
from kelbench.config.methods import NameMatchSettings, TextCosineSettings
from kelbench.data.linking import Mentions
from kelbench.data.name_match import words
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.sparse import SparseTables
from kelbench.methods.controls import linking, texts, train
from kelbench.tasks.link_prediction import evaluate
from kelbench.training.job import TrainingJob

TEXTS = ["Paris: the city", "Seine: a river of Paris", "Nile: a river", "Cairo: a city on the Nile"]


@pytest.fixture
def described(tmp_path, make_prepared):
    """Four entities with texts and names; the relation's text is one word."""
    splits = {
        "train": [[0, 0, 1], [3, 0, 2]],
        "valid": [[1, 0, 0]],
        "test": [[2, 0, 3], [0, 0, 3]],
    }
    folder = make_prepared(tmp_path / "described", splits, 4, 1, relation_label="river")
    rows = [f"{i}\t{text.split(':')[0]}\t{text}\t{text.split(':')[0]}\n" for i, text in enumerate(TEXTS)]
    (folder / "train/entities.tsv").write_text("".join(rows))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"text_sources": ["text", "name"], "entity_names": "name"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return PreparedDataset(folder)


def job(dataset, method, settings):
    return TrainingJob(dataset, method, settings, 1, 1, dataset.folder)


def scores(tables, side, entity):
    query = tables.sparse_queries(side, np.array([entity]), np.array([0]))
    return (query @ tables.sparse_candidates(np.arange(4)).T).toarray()[0]


def test_name_match_scores_names_in_texts_of_either(described):
    tables = train(job(described, "name_match", NameMatchSettings())).tables
    assert isinstance(tables, SparseTables)
    assert scores(tables, "tail", 0).tolist() == [0, 1, 0, 0]
    assert scores(tables, "head", 2).tolist() == [0, 0, 0, 1]


def test_a_mention_is_like_a_name_by_the_words_of_both(described):
    surfaces = ["paris", "Nile, the NILE", "?"]
    none = np.zeros(len(surfaces), dtype=np.int64)
    mentions = Mentions(surfaces, surfaces, none, none - 1, np.append(0, none), none[:0], none > 0)
    run = SimpleNamespace(settings=NameMatchSettings())
    found = linking.scorer(run, described, Path(), mentions)(np.arange(len(surfaces)))
    names = [set(words(text.split(":")[0])) for text in TEXTS]
    asked = [set(words(surface)) for surface in surfaces]
    np.testing.assert_allclose(found, [[len(a & n) / len(a | n) for n in names] for a in asked])
    assert (found[:2] > 0).any()


def test_cosine_of_words(described):
    with_relation = train(job(described, "text_cosine", TextCosineSettings(encoder="bow", relation=True))).tables
    without = train(job(described, "text_cosine", TextCosineSettings(encoder="bow", relation=False))).tables
    plain = scores(without, "tail", 0)
    assert plain[0] == pytest.approx(1)
    assert plain[1] > plain[2]
    assert scores(with_relation, "tail", 0)[2] > plain[2]  # the relation is called river
    np.testing.assert_allclose(plain, scores(without, "head", 0))


def test_ranks_are_broken_down_by_name_match(described, tmp_path):
    tables = train(job(described, "name_match", NameMatchSettings())).tables
    evaluate(tables, described, tmp_path)
    records = json.loads((tmp_path / "metrics.json").read_text())
    found = {
        record["breakdown"]: (record["value"], record["n_triples"])
        for record in records
        if record["metric"] == "mrr" and str(record["breakdown"]).startswith("name match")
    }
    assert found["name match=yes"] == (1.0, 1)  # Nile and Cairo
    assert found["name match=no"][1] == 1
    assert found["name match=no"][0] < 1


def test_sentence_vectors_are_compared_by_their_cosine(described, monkeypatch):
    monkeypatch.setattr(texts, "minilm_vectors", lambda given: torch.eye(4)[: len(given)] * 3)
    tables = train(job(described, "text_cosine", TextCosineSettings(encoder="minilm", relation=False))).tables
    assert tables.similarity == "cosine"
    queries = tables.queries("tail", torch.tensor([2]), torch.tensor([0]))
    assert queries.tolist() == [[0, 0, 3, 0]]


def test_datasets_without_texts_or_names_are_refused(described, small_graph):
    bare = PreparedDataset(small_graph)
    with pytest.raises(UserError, match="needs texts of the entities, and the dataset has none"):
        train(job(bare, "text_cosine", TextCosineSettings(encoder="bow", relation=True)))
    with pytest.raises(UserError, match="needs a source of names"):
        train(job(bare, "name_match", NameMatchSettings()))
    table = described.folder / "train/entities.tsv"
    table.write_text("".join(f"{i}\te{i}\t\t\n" for i in range(4)))
    with pytest.raises(UserError, match="no entity of the training graph has a text"):
        train(job(described, "text_cosine", TextCosineSettings(encoder="bow", relation=True)))
    with pytest.raises(UserError, match="no source of texts 'nam'; did you mean 'name'"):
        train(job(described, "name_match", NameMatchSettings(texts="nam")))

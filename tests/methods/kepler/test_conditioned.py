"""Queries encoded when they are asked: saved, loaded, asked by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kelbench.base.errors import UserError
from kelbench.encoders.bag_of_words import BagOfWords
from kelbench.encoders.conditioned import ConditionedTables
from kelbench.encoders.load import load_model
from kelbench.methods.kepler import train
from kelbench.methods.predict import predict_table
from kelbench.tasks.link_prediction import SplitRanker

VARIANTS = {
    "cond bow": ("bow", {}),
    "cond tiny": ("tiny", {"masked_language_modelling": {"corpus": "descriptions", "batch_size": 10}}),
    "bi-encoder": ("tiny", {"relation": "none", "score": "cosine", "loss": "cross_entropy", "temperature": 0.1}),
    "cond distmult": ("cnn", {"score": "distmult", "loss": "cross_entropy"}),
}


@pytest.fixture
def trained(request, described, make_settings, make_job):
    """A job, what it trained, and the file where that was written."""
    encoder, changes = VARIANTS[getattr(request, "param", "cond bow")]
    job = make_job(described, make_settings(encoder, conditioned=True, epochs=2, **changes), method="kepler_cond")
    model = train(job)
    path = job.folder / "model.safetensors"
    model.tables.save(path)
    return SimpleNamespace(job=job, model=model, path=path)


ENTITIES = torch.tensor([4, 21, 4, 1, 2, 25, 4])
RELATIONS = torch.tensor([0, 2, 0, 1, 1, 0, 1])


@pytest.mark.parametrize("trained", VARIANTS, indirect=True)
def test_a_loaded_model_asks_the_same_queries(described, trained):
    loaded = load_model(trained.path, described)
    assert isinstance(loaded, ConditionedTables)
    for side in ("tail", "head"):
        found = loaded.queries(side, ENTITIES, RELATIONS)
        torch.testing.assert_close(found, trained.model.tables.queries(side, ENTITIES, RELATIONS))
        assert not torch.allclose(found[0], found[6])  # another relation
    everyone = torch.arange(26)
    assert torch.equal(loaded.candidates(everyone), trained.model.tables.candidates(everyone))
    assert loaded.similarity == trained.model.tables.similarity
    mrr = SplitRanker(described, "valid", described.protocols("valid")[0]).mrr(loaded)
    assert mrr == pytest.approx(trained.model.facts["best_validation_mrr"])


def test_a_query_adds_the_relation_to_the_text_read_with_it_and_candidates_are_plain(described, trained):
    tables = trained.model.tables
    texts, model = tables.texts, tables.model
    for side, sign in (("tail", 1), ("head", -1)):
        pair = texts.inputs(texts.of_pairs(np.array([4]), np.array([2]), side))
        expected = model.vectors(pair)[0] + sign * model.relation[2]
        torch.testing.assert_close(tables.queries(side, torch.tensor([4]), torch.tensor([2]))[0], expected.detach())
    plain = model.vectors(texts.inputs(texts.of_entities(np.array([4]))))
    torch.testing.assert_close(tables.candidates(torch.tensor([4])), plain.detach())


def test_equal_questions_are_encoded_once(described, trained, monkeypatch):
    loaded = load_model(trained.path, described)
    asked = []
    original = BagOfWords.forward
    monkeypatch.setattr(
        BagOfWords, "forward", lambda self, tokens: (asked.append(len(tokens)), original(self, tokens))[1]
    )
    queries = loaded.queries("tail", ENTITIES, RELATIONS)
    assert sum(asked) == 5  # entities 1 and 2 share a text
    assert torch.equal(queries[0], queries[2])
    assert torch.equal(queries[3], queries[4])


@pytest.mark.parametrize("name", ["model.safetensors", "words.json", "ke_head.safetensors"])
def test_an_encoder_that_was_changed_is_refused(described, trained, name):
    file = trained.job.folder / "encoder" / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="expected the encoder that was trained with"):
        load_model(trained.path, described)


def test_an_encoder_that_is_missing_is_refused(described, trained):
    (trained.job.folder / "encoder").rename(trained.job.folder / "elsewhere")
    with pytest.raises(UserError, match="expected the encoder that was trained with"):
        load_model(trained.path, described)


@pytest.mark.parametrize(("head", "tail"), [("e20", None), (None, "e21")])
def test_predictions_are_the_best_candidates(described, trained, head, tail):
    run = SimpleNamespace(
        dataset=described.folder.name,
        chosen_seed=lambda seed: 1,
        seed_folder=lambda results, seed: trained.job.folder,
    )
    table = predict_table(run, None, described.folder.parent, trained.job.folder, head, "r0", tail, 4)
    header, *rows = [line.split("\t") for line in table.splitlines()]
    assert header == ["rank", "score", "answer", "known in"]
    side, known = ("tail", 20) if head else ("head", 21)
    query = trained.model.tables.queries(side, torch.tensor([known]), torch.tensor([0]))
    distances = torch.linalg.vector_norm(query - trained.model.tables.candidates(torch.arange(20, 26)), dim=1)
    best = distances.argsort()[:4]
    assert [row[2] for row in rows] == [f"e{20 + int(number)}" for number in best]
    assert [float(row[1]) for row in rows] == pytest.approx([-float(distances[n]) for n in best], abs=1e-3)


def test_a_model_without_conditioned_queries_is_a_plain_table(described, make_settings, make_job):
    job = make_job(described, make_settings())
    tables = train(job).tables
    tables.save(job.folder / "model.safetensors")
    loaded = load_model(job.folder / "model.safetensors", described)
    assert torch.equal(loaded.entity, tables.entity)
    assert torch.equal(loaded.queries("tail", ENTITIES, RELATIONS), tables.queries("tail", ENTITIES, RELATIONS))

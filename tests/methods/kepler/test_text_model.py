"""The encoder with relation vectors, projection and temperature: files, first values, vectors of a whole graph."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kelbench.base.errors import UserError
from kelbench.encoders.text_model import TextModel
from kelbench.methods.kepler import train
from kelbench.methods.kepler.run import initial_model


@pytest.mark.parametrize("encoder", ["bow", "cnn", "tiny"])
def test_a_model_is_read_back_as_it_was_written(described, make_settings, tmp_path, encoder):
    encoder = make_settings(encoder).encoder.model_dump() | {"projection": 6}
    options = make_settings(encoder, loss="cross_entropy", temperature=0.05, score="cosine")
    model, texts = initial_model(described, options, 1)
    model.save(tmp_path / "encoder")
    head = load_file(tmp_path / "encoder" / "ke_head.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in head.items()} == {
        "projection": (6, model.encoder.width),
        "relation": (3, 6),
        "log_scale": (),
    }
    assert head["log_scale"].exp().item() == pytest.approx(20)
    read = TextModel.load(tmp_path / "encoder", options, 3)
    for name in head:
        assert torch.equal(getattr(read, name), getattr(model, name))
    inputs = texts.descriptions(np.arange(20))
    assert torch.equal(read.encode(inputs), model.encode(inputs))
    assert read.encode(inputs).shape == (len(inputs), 6)


def test_the_head_of_a_trained_run_holds_its_relations(described, make_settings, make_job):
    job = make_job(described, make_settings("tiny"))
    trained = train(job)
    head = load_file(job.folder / "encoder" / "ke_head.safetensors")
    assert list(head) == ["relation"]
    assert torch.equal(head["relation"], trained.tables.relation)
    names = {path.name for path in (job.folder / "encoder").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names


def test_a_missing_encoder_is_named(make_settings, tmp_path):
    with pytest.raises(UserError, match="absent"):
        TextModel.load(tmp_path / "absent", make_settings(), 3)
    with pytest.raises(UserError, match="absent"):
        TextModel.load(tmp_path / "absent", make_settings("tiny"), 3)


@pytest.mark.parametrize("encoder", ["bow", "tiny"])
def test_every_entity_has_the_vector_of_its_text(described, make_settings, tmp_path, encoder):
    model, texts = initial_model(described, make_settings(encoder), 1)
    vectors = model.entity_vectors(texts, tmp_path / "vectors.npy")
    assert vectors.shape == (26, model.width)
    for entity in range(26):
        alone = model.vectors(texts.inputs(texts.of_entities(np.array([entity]))))[0]
        torch.testing.assert_close(vectors[entity], alone.detach(), atol=1e-5, rtol=1e-5)
    assert torch.equal(vectors[1], vectors[2])
    assert not (tmp_path / "vectors.npy").exists()


def test_a_relation_without_a_table_has_the_vector_of_its_text(described, make_settings):
    model, texts = initial_model(described, make_settings("tiny", relation="text"), 1)
    assert model.relation is None
    assert model.own_parameters() == []
    vectors = model.relation_vectors(texts)
    for relation in range(3):
        alone = model.vectors(texts.inputs(texts.of_relations(np.array([relation]))))[0]
        torch.testing.assert_close(vectors[relation], alone.detach(), atol=1e-5, rtol=1e-5)


def test_relations_begin_in_the_range_of_the_released_code(described, make_settings):
    model, _ = initial_model(described, make_settings(margin=9.0), 1)
    bound = 11 / 8  # (gamma + 2) / width
    assert 0.7 * bound < model.relation.abs().max() <= bound
    factors, _ = initial_model(described, make_settings(score="distmult"), 1)
    assert 1 < factors.relation.abs().max() <= math.sqrt(3)
    phases, _ = initial_model(described, make_settings(score="rotate"), 1)
    assert phases.relation.shape == (3, 4)
    assert 2 < phases.relation.abs().max() <= math.pi


def test_another_source_of_texts_makes_another_model(described, make_settings):
    manifest = json.loads((described.folder / "manifest.json").read_text())
    manifest["text_sources"] = ["description", "name"]
    (described.folder / "manifest.json").write_text(json.dumps(manifest))
    for space, (start, stop) in described.spaces.items():
        file = described.folder / space / "entities.tsv"
        rows = file.read_text().splitlines()
        file.write_text("".join(f"{row}\tname{n}\n" for n, row in zip(range(start, stop), rows, strict=True)))
    dataset = type(described)(described.folder)
    encoder = make_settings().encoder.model_dump()
    for source in ("description", "name", None):
        count = len(set(dataset.entity_texts(source or "description")[:20]))
        model, texts = initial_model(dataset, make_settings(encoder | {"texts": source}), 1)
        assert len(set(texts.text_of_entity[:20].tolist())) == count
        assert ("name4" in model.encoder.tokenizer.vocabulary) == (source == "name")
    with pytest.raises(UserError, match="no source of texts 'names'"):
        initial_model(dataset, make_settings(encoder | {"texts": "names"}), 1)


def test_the_vocabulary_comes_from_the_training_graph_alone(described, make_settings):
    for encoder in ("bow", "cnn"):
        model, _ = initial_model(described, make_settings(encoder), 1)
        assert "red" in model.encoder.tokenizer.vocabulary
        assert "strange" not in model.encoder.tokenizer.vocabulary

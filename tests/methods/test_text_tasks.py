"""Text tasks of trained runs: CLEP and controls link mentions, and the leaderboard gathers it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from kelbench.base.errors import UserError
from kelbench.config.experiment import Experiment
from kelbench.data.linking import read_mentions
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders import description_vectors
from kelbench.encoders.load import load_model
from kelbench.leaderboard.results import RunResult
from kelbench.leaderboard.text_tasks import task_rows
from kelbench.methods.clep.linking import scorer
from kelbench.methods.export import export_embeddings
from kelbench.methods.predict import predict_table
from kelbench.methods.run import train_run
from kelbench.methods.text_tasks import run_task

EXPERIMENT = """
experiment: linked
title: "Mentions"
seeds: [1, 2]
runs:
  clep:
    method: clep
    datasets: [atlas-tasks]
    tasks: [entity_linking]
    settings:
      graph: {kind: compgcn, composition: sub, layers: 1, width: 8, features: both}
      encoder: {kind: bow, width: 8, max_tokens: 12}
      width: 6
      head: mlp
      epochs: 2
  cosine: {method: text_cosine, datasets: [atlas-tasks], tasks: [entity_linking]}
  names: {method: name_match, datasets: [atlas-tasks], tasks: [entity_linking]}
"""


@pytest.fixture
def linked(closed, tmp_path, monkeypatch):
    """An experiment on a small graph under the name of the registered one, with two mentions to link."""
    texts = closed.entity_texts("description")
    manifest = json.loads((closed.folder / "manifest.json").read_text())
    manifest["dataset"], manifest["entity_names"] = "atlas-tasks", "description"
    (closed.folder / "manifest.json").write_text(json.dumps(manifest))
    examples = [
        {
            "text": f"See {texts[5]} there",
            "mention": [4, 4 + len(texts[5])],
            "entity": "e5",
            "document": "e6",
            "candidates": ["e5", "e6", "e8"],
        },
        {
            "text": f"And {texts[7]}",
            "mention": [4, 4 + len(texts[7])],
            "entity": "e7",
            "document": "e1",
            "candidates": ["e7", "e8", "e9"],
        },
    ]
    folder = closed.folder / "tasks/entity_linking"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("".join(json.dumps(example) + "\n" for example in examples))
    closed.folder.rename(tmp_path / "atlas-tasks")
    (tmp_path / "linked.yaml").write_text(EXPERIMENT)
    return Experiment(tmp_path / "linked.yaml")


def test_every_method_that_can_be_asked_links(linked, tmp_path, monkeypatch):
    monkeypatch.setattr("kelbench.leaderboard.results.RESULTS_FOLDER", tmp_path / "results")
    rows = {}
    for name in ("clep", "cosine", "names"):
        run = linked.run("atlas-tasks", name)
        train_run(run, tmp_path, tmp_path / "results", threads=1)
        run_task(run, "entity_linking", tmp_path, tmp_path / "results", threads=1)
        found = task_rows(RunResult(run, {}, []))
        rows[name] = {(row["candidates"], row["metric"]): row for row in found if row["subset"] == "every"}
    for found in rows.values():
        assert found["all", "mrr"]["n_examples"] == 2
        assert found["all", "mrr"]["n_candidates"] == 19
        assert found["given", "hits@1"]["n_candidates"] == 2.5
        low, high = found["given", "accuracy"]["ci_test"]
        assert low <= found["given", "accuracy"]["mean"] <= high
    assert rows["names"]["given", "hits@1"]["mean"] == 1  # a mention is the whole name of what it means
    assert rows["cosine"]["given", "hits@1"]["mean"] == 1
    assert rows["names"]["all", "mrr"]["sd"] == 0
    one, same = (
        (tmp_path / "results/linked/atlas-tasks" / name / "seed-1/entity_linking.npz") for name in ("clep", "names")
    )
    assert not np.array_equal(np.load(one)["pessimistic"], np.load(same)["pessimistic"])


@pytest.mark.parametrize("words", [None, 5])
def test_a_frozen_encoder_reads_the_mentions_once_for_all_seeds(linked, tiny_checkpoint, tmp_path, monkeypatch, words):
    values = yaml.safe_load(EXPERIMENT)
    frozen = {"encoder": tiny_checkpoint, "frozen": True, "text_learning_rate": None, "words": words}
    values["runs"]["clep"]["settings"] |= frozen
    (tmp_path / "linked.yaml").write_text(yaml.safe_dump(values))
    run = Experiment(tmp_path / "linked.yaml").run("atlas-tasks", "clep")
    train_run(run, tmp_path, tmp_path / "results", threads=1)
    read, encoded = [], description_vectors._encoded

    def counted(encoder, inputs):
        read.append(len(inputs))
        return encoded(encoder, inputs)

    monkeypatch.setattr(description_vectors, "_encoded", counted)
    run_task(run, "entity_linking", tmp_path, tmp_path / "results", threads=1)
    assert read == [2]
    if words is not None:
        (tmp_path / "results/linked/atlas-tasks/clep/seed-1/words").rename(tmp_path / "moved")
        with pytest.raises(UserError, match="words: expected a trained encoder, found none"):
            run_task(run, "entity_linking", tmp_path, tmp_path / "results", threads=1)


@pytest.mark.parametrize("encoder", ["bag of words", "frozen", "frozen with words"])
def test_a_mention_that_reads_like_a_description_scores_as_it_does_with_nodes_alone(
    linked, tiny_checkpoint, tmp_path, encoder
):
    values = yaml.safe_load(EXPERIMENT)
    if encoder != "bag of words":
        words = 5 if encoder == "frozen with words" else None
        frozen = {"encoder": tiny_checkpoint, "frozen": True, "text_learning_rate": None, "words": words}
        values["runs"]["clep"]["settings"] |= frozen
    (tmp_path / "linked.yaml").write_text(yaml.safe_dump(values))
    run = Experiment(tmp_path / "linked.yaml").run("atlas-tasks", "clep")
    train_run(run, tmp_path, tmp_path / "results", threads=1)
    dataset = PreparedDataset(tmp_path / "atlas-tasks")
    folder = tmp_path / "results/linked/atlas-tasks/clep/seed-1"
    tables = load_model(folder / "model.safetensors", dataset)
    asked = [0, 5, 7]
    # Read as the entity's description is, a mention stands where the description stands.
    texts = dataset.entity_texts("description")
    mentions = SimpleNamespace(described=lambda: [texts[entity] for entity in asked])
    scores = scorer(run, dataset, folder, mentions)(np.arange(3))
    nodes = tables.node @ tables.head.weights[0] + tables.head.biases[0]
    nodes = torch.relu(nodes) @ tables.head.weights[1] + tables.head.biases[1]
    right = tables.text[tables.text_of_entity[asked]]
    wanted = torch.nn.functional.cosine_similarity(right[:, None], nodes[None], dim=-1)
    np.testing.assert_allclose(scores, wanted.detach().numpy(), atol=1e-5)


def test_a_run_is_asked_its_own_tasks_alone(linked, tmp_path):
    run = linked.run("atlas-tasks", "names")
    with pytest.raises(UserError, match="names is not tested on 'entity_linkin'; did you mean 'entity_linking'"):
        run_task(run, "entity_linkin", tmp_path, tmp_path / "results", threads=1)


def test_mentions_of_what_the_dataset_lacks_are_named_with_their_line(linked, tmp_path):
    file = tmp_path / "atlas-tasks/tasks/entity_linking/test.jsonl"
    file.write_text(file.read_text().replace('"e9"', '"nobody"'))
    with pytest.raises(UserError, match=r"test.jsonl:2: nobody is no entity of atlas-tasks"):
        read_mentions(PreparedDataset(tmp_path / "atlas-tasks"), "test")
    file.unlink()
    with pytest.raises(UserError, match="expected mentions to link, found no such file"):
        read_mentions(PreparedDataset(tmp_path / "atlas-tasks"), "test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("method: text_cosine", "method: frequency"),
            "frequency cannot be asked entity_linking; clep, text_cosine, name",
        ),
        (
            (
                "cosine: {method: text_cosine, datasets: [atlas-tasks]",
                "cosine: {method: text_cosine, datasets: [nations]",
            ),
            "nations has no text tasks; use atlas-tasks",
        ),
        (
            ("names: {method: name_match, datasets: [atlas-tasks]", "names: {method: name_match, datasets: [atlas]"),
            "atlas tells in its triples what the tasks ask for; use atlas-tasks",
        ),
    ],
)
def test_tasks_that_do_not_fit_are_refused_when_the_experiment_is_read(tmp_path, change, message):
    (tmp_path / "wrong.yaml").write_text(EXPERIMENT.replace(*change))
    with pytest.raises(UserError, match=rf"wrong.yaml:\d+: {message}"):
        Experiment(tmp_path / "wrong.yaml")


def test_a_model_of_clep_answers_and_is_exported(linked, tmp_path):
    run = linked.run("atlas-tasks", "clep")
    train_run(run, tmp_path, tmp_path / "results", threads=1)
    for ends in ({"head": "e4", "tail": None}, {"head": None, "tail": "e4"}):
        lines = predict_table(run, 2, tmp_path, tmp_path / "results", relation="r1", top=3, **ends).splitlines()
        assert len(lines) == 4
        scores = [float(line.split("\t")[1]) for line in lines[1:]]
        assert scores == sorted(scores, reverse=True)
        assert all(-1 <= score <= 1 for score in scores)
    paths = export_embeddings(run, 1, tmp_path, tmp_path / "results", tmp_path / "out")
    rows = {path.name: path.read_text().splitlines() for path in paths[1:]}
    assert {name: len(lines) for name, lines in rows.items()} == {
        "entities.tsv": 20,
        "relations.tsv": 6,
        "descriptions.tsv": 20,
    }
    assert rows["relations.tsv"][3].startswith("inverse of r0\t")
    assert len(rows["entities.tsv"][0].split("\t")) == 1 + 8
    assert rows["descriptions.tsv"][1].split("\t")[1:] == rows["descriptions.tsv"][2].split("\t")[1:]

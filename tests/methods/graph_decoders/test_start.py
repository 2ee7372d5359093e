"""A run that starts from another: from whose weights, what stays the same, and what is refused."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kelbench.base.errors import UserError
from kelbench.config.experiment import Experiment
from kelbench.encoders.load import load_model
from kelbench.methods import graph_decoders
from kelbench.methods.export import export_embeddings
from kelbench.methods.graph_decoders.model import GraphDecoder
from kelbench.methods.predict import predict_table
from kelbench.methods.run import evaluate_run, train_run

GRAPH = {"kind": "compgcn", "composition": "sub", "layers": 1, "width": 8, "features": "free"}
SHORT = {"learning_rate": 0.01, "batch_size": 40, "epochs": 2, "early_stopping": {"every": 1, "patience": 9}}
CLEP = {
    **SHORT,
    "graph": GRAPH,
    "encoder": {"kind": "bow", "width": 8, "max_tokens": 12},
    "width": 6,
    "text_learning_rate": 0.01,
}
RUNS = {
    "clep": {"method": "clep", "settings": CLEP},
    "scratch": {"method": "compgcn_distmult", "settings": {**SHORT, "graph": GRAPH | {"layer_dropout": 0.2}}},
    "tuned": {"method": "clep_distmult", "settings": {**SHORT, "graph": GRAPH, "start": "clep"}},
    "warm": {"method": "warm_distmult", "settings": {**SHORT, "graph": GRAPH, "start": "scratch"}},
}


@pytest.fixture
def experiment(tmp_path, closed):
    """The function that opens an experiment of runs on the small graph."""

    def opened(**runs):
        files = {split: f"{split}.tsv" for split in ("train", "valid", "test")}
        content = {
            "experiment": "tuning",
            "title": "Tuning",
            "seeds": [1, 2],
            "custom": {"described": files},
            "runs": {name: {"datasets": ["described"], **run} for name, run in (RUNS | runs).items()},
        }
        (tmp_path / "tuning.yaml").write_text(yaml.safe_dump(content))
        return Experiment(tmp_path / "tuning.yaml")

    return opened


@pytest.fixture
def trained(tmp_path, closed, experiment):
    """The function that trains runs, and gives the folder of a run's seed."""
    results = tmp_path / "results"

    def folders(*names):
        opened = experiment()
        for name in names:
            train_run(opened.run("described", name), closed.folder.parent, results, 1)
        return lambda name, seed: opened.run("described", name).seed_folder(results, seed)

    return folders


def graph_of(path):
    return {name: tensor for name, tensor in load_file(path).items() if name.startswith("graph.")}


def initial(monkeypatch):
    """Records the weights of each model before it is trained."""
    records = []
    original = GraphDecoder.__init__

    def noting(self, *arguments, **named):
        original(self, *arguments, **named)
        records.append({name: tensor.clone() for name, tensor in self.state_dict().items()})

    monkeypatch.setattr(GraphDecoder, "__init__", noting)
    return records


def test_each_seed_starts_from_the_weights_of_its_own_seed_and_nothing_else_changes(trained, monkeypatch):
    place = trained("clep")
    records = initial(monkeypatch)
    trained("scratch", "tuned", "warm")
    fresh, tuned, warm = records[:2], records[2:4], records[4:]
    for number, seed in enumerate((1, 2)):
        for started, origin in ((tuned, "clep"), (warm, "scratch")):
            stored = graph_of(place(origin, seed) / "model.safetensors")
            begun = {name: tensor for name, tensor in started[number].items() if name.startswith("graph.")}
            assert begun.keys() == stored.keys()
            assert all(torch.equal(begun[name], stored[name]) for name in stored)
            assert not torch.equal(begun["graph.free"], fresh[number]["graph.free"])
            others = [name for name in fresh[number] if not name.startswith("graph.")]
            assert {"bias", "mapping.weights.0"} <= set(others)
            assert all(torch.equal(started[number][name], fresh[number][name]) for name in others)
    assert not torch.equal(tuned[0]["graph.free"], tuned[1]["graph.free"])
    evidence = json.loads((place("tuned", 1) / "provenance.json").read_text())
    assert "clep" in json.dumps(evidence)


def test_a_started_run_is_ranked_and_may_be_asked(trained, experiment, closed, tmp_path):
    place = trained("clep", "tuned")
    evaluate_run(experiment().run("described", "tuned"), closed.folder.parent, tmp_path / "results", 1)
    assert (place("tuned", 2) / "metrics.json").is_file()
    model = load_model(place("tuned", 1) / "model.safetensors", closed)
    assert model.notes["graph"]["layers"] == 1
    asked = (experiment().run("described", "tuned"), 2, closed.folder.parent, tmp_path / "results")
    for given in (("e4", "r1", None), (None, "r1", "e4")):
        answers = predict_table(*asked, *given, 5).splitlines()
        assert answers[0].split("\t")[:3] == ["rank", "score", "answer"]
        assert len(answers) == 6
    files = {path.name: path for path in export_embeddings(*asked, tmp_path / "out")}
    assert set(files) == {"model.safetensors", "entities.tsv", "relations.tsv"}
    assert len(files["entities.tsv"].read_text().splitlines()) == 20
    assert [line.split("\t")[0] for line in files["relations.tsv"].read_text().splitlines()][3:] == [
        "inverse of r0",
        "inverse of r1",
        "inverse of r2",
    ]


def test_the_model_to_start_from_must_be_there_and_fit(trained, experiment, closed, tmp_path):
    run = experiment().run("described", "tuned")
    with pytest.raises(UserError, match=r"clep/seed-1/model\.safetensors: .*found none; train that run first"):
        train_run(run, closed.folder.parent, tmp_path / "results", 1)
    place = trained("scratch")
    other = place("scratch", 1) / "model.safetensors"
    for changes, message in (({"width": 6}, "expected a graph encoder of"), ({"layers": 2}, "'layers': 2")):
        options = run.settings.model_copy(update={"graph": run.settings.graph.model_copy(update=changes)})
        with pytest.raises(UserError, match=message):
            GraphDecoder(options, closed, 1, other)
    (tmp_path / "text.safetensors").write_bytes(b"no model")
    with pytest.raises(UserError, match="expected a model written by kelbench"):
        GraphDecoder(run.settings, closed, 1, tmp_path / "text.safetensors")


def test_the_checkpoint_of_another_start_is_not_used(trained, experiment, closed, tmp_path):
    from kelbench.methods.graph_decoders.run import _read_in_training
    from kelbench.training.job import TrainingJob

    place = trained("clep")
    run = experiment().run("described", "tuned")
    keys = []
    for seed in (1, 2):
        start = place("clep", seed) / "model.safetensors"
        job = TrainingJob(closed, run.method, run.settings, 1, 1, tmp_path, started_from=start)
        keys.append(job.key(graph_decoders.__name__, _read_in_training(job)))
    assert keys[0] != keys[1]


def test_an_encoder_of_a_faulty_graph_is_not_gone_on_from(experiment):
    faulty = {"method": "clep", "settings": CLEP | {"loss": "diagonal", "faults": ["edges_interleaved"]}}
    with pytest.raises(UserError, match="faults that this method cannot repeat: edges_interleaved"):
        experiment(clep=faulty)


def test_the_encoder_of_a_fine_tuned_run_is_that_of_its_start(experiment):
    runs = {name: run.encoder for (_, name), run in experiment().runs.items()}
    assert runs == {"clep": "bow", "scratch": None, "tuned": "bow", "warm": None}


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("tuned", {"start": "clepp"}, "start names clepp, which is no other run on described; did you mean 'clep'?"),
        ("tuned", {"start": "tuned"}, "start names tuned, which is no other run on described"),
        ("tuned", {"start": "scratch"}, "start names a run of compgcn_distmult; clep_distmult starts from one of clep"),
        ("warm", {"start": "clep"}, "start names a run of clep; warm_distmult starts from one of compgcn_transe or"),
        ("tuned", {"graph": GRAPH | {"layers": 2}}, "the graph encoder of clep is another (layers: 2 here, 1 there)"),
        ("tuned", {"start": None}, "clep_distmult needs the key start, a run of clep"),
        ("scratch", {"start": "clep"}, "compgcn_distmult starts from nothing; remove the key start"),
    ],
)
def test_a_start_that_does_not_fit_is_an_error_with_its_line(experiment, tmp_path, name, changes, expected):
    run = RUNS[name] | {"settings": RUNS[name]["settings"] | changes}
    with pytest.raises(UserError) as error:
        experiment(**{name: run})
    message = next(line for line in str(error.value).splitlines() if expected in line)
    value = next(iter(changes.values()))
    number = int(message.split(": ")[0].rpartition(":")[2])
    line = (tmp_path / "tuning.yaml").read_text().splitlines()[number - 1].strip()
    # A key that is missing, or that only the method's other keys forbid, is a mistake of the whole run.
    assert line in (f"start: {value}", f"start: {RUNS[name]['settings'].get('start')}", f"{name}:")

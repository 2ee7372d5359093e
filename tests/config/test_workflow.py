"""What the rules are told about an experiment."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from kelbench.base.errors import UserError
from kelbench.config import workflow
from kelbench.config.corpora import load_corpus
from kelbench.config.experiment import Experiment
from kelbench.config.methods import MODULE_OF, SETTINGS_OF
from kelbench.config.workflow import MODULES_OF_VERB, Plan, load_plan, plan_or_exit

ROOT = Path(__file__).parents[2]
CONTENT = {
    "experiment": "tiny",
    "title": "Tiny",
    "seeds": [1, 2],
    "custom": {"own": {"train": "a.tsv", "valid": "b.tsv", "test": "c.tsv", "entity_texts": "texts/e.tsv"}},
    "runs": {
        "complex": {"method": "complex", "datasets": ["nations", "own"]},
        "random": {"method": "random", "datasets": ["nations"]},
    },
}


def of(dataset: str, run: str = "") -> SimpleNamespace:
    return SimpleNamespace(dataset=dataset, run=run)


@pytest.fixture
def make(tmp_path):
    """Writes an experiment file with some keys changed, and gives its plan."""

    def plan(**changes) -> Plan:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(CONTENT | changes))
        return Plan(Experiment(path))

    return plan


def test_training_never_takes_the_test_triples(make):
    files = make().training_files(of("nations", "complex"))
    assert "data/prepared/nations/test/support.npy" in files
    assert "data/prepared/nations/valid/triples.npy" in files
    assert not [file for file in files if file.endswith(("test/triples.npy", "test/known.npy"))]


def test_training_takes_the_prose_that_it_learns_language_from(make, tmp_path, monkeypatch):
    def wiki(file) -> dict:
        settings = {"masked_language_modelling": {"corpus": "file", "file": str(file), "batch_size": 4}}
        return {"method": "kepler_wiki", "datasets": ["nations"], "settings": settings}

    files = {"made": "data/corpus/prose.txt", "dotted": "./data//corpus/prose.txt", "own": "texts/own.txt"}
    files |= {"absolute": tmp_path / "data/corpus/prose.txt", "elsewhere": "/nowhere/own.txt"}
    runs = {name: wiki(file) for name, file in files.items()} | {"complex": CONTENT["runs"]["complex"]}
    plan = make(runs=runs)
    monkeypatch.chdir(tmp_path)
    before = plan.training_files(of("nations", "complex"))
    added = {name: plan.training_files(of("nations", name)) for name in files}
    assert all(found[:-1] == before for found in added.values())
    assert {name: found[-1] for name, found in added.items()} == {
        "made": "data/corpus/prose.txt",
        "dotted": "data/corpus/prose.txt",
        "absolute": "data/corpus/prose.txt",
        "own": "texts/own.txt",
        "elsewhere": "/nowhere/own.txt",
    }


def test_a_run_that_starts_from_another_waits_for_its_models(make):
    graph = {"graph": {"kind": "rgcn", "bases": 2, "layers": 1, "width": 8, "features": "free"}}
    runs = {
        "r-gcn": {"method": "rgcn_distmult", "datasets": ["nations", "own"], "settings": graph},
        "warm": {"method": "warm_distmult", "datasets": ["nations"], "settings": graph | {"start": "r-gcn"}},
    }
    plan = make(runs=runs)
    before, after = plan.training_files(of("nations", "r-gcn")), plan.training_files(of("nations", "warm"))
    assert after[: len(before)] == before
    assert after[len(before) :] == [
        "results/tiny/nations/r-gcn/seed-1/model.safetensors",
        "results/tiny/nations/r-gcn/seed-2/model.safetensors",
    ]
    assert plan.training_code(of("nations", "warm")) == plan.training_code(of("nations", "r-gcn"))
    with pytest.raises(UserError, match=r"run warm on own: start names r-gcn, which is no other run on own"):
        make(runs={"r-gcn": runs["r-gcn"] | {"datasets": ["nations"]}, "warm": runs["warm"] | {"datasets": ["own"]}})


def test_the_digest_of_a_corpus_follows_what_decides_its_lines(make, monkeypatch):
    plan, wildcards = make(), SimpleNamespace(corpus="prose")
    assert "prose" in plan.corpora
    before, entry = plan.corpus_digest(wildcards), load_corpus("prose")
    for change, same in (({"notes": "other"}, True), ({"texts": 3}, False), ({"files": entry.files[:1]}, False)):
        monkeypatch.setattr(workflow, "load_corpus", lambda _, change=change: entry.model_copy(update=change))
        assert (plan.corpus_digest(wildcards) == before) == same


def test_sources_of_public_and_own_graphs(make, tmp_path):
    plan = make()
    assert plan.sources_of(of("nations")) == ["data/fetched/nations.json"]
    assert plan.sources_of(of("own")) == [str(tmp_path / name) for name in ("a.tsv", "b.tsv", "c.tsv", "texts/e.tsv")]
    assert plan.config_option(of("nations")) == "", "public datasets are shared between experiments"
    assert plan.config_option(of("own")) == f"--config {tmp_path / 'tiny.yaml'}"


def test_sources_of_graphs_that_come_with_kelbench(make, tmp_path, monkeypatch):
    runs = {"random": {"method": "random", "datasets": ["atlas", "atlas-semi"]}}
    plan = make(runs=runs)
    monkeypatch.chdir(ROOT)
    sources = plan.sources_of(of("atlas"))
    assert sources == sorted(str(path) for path in Path("src/kelbench/data/atlas/sources").rglob("*.tsv"))
    assert len(sources) > 5
    assert plan.sources_of(of("atlas-semi")) == sources, "its splits are made of the same facts"
    monkeypatch.chdir(tmp_path)
    elsewhere = plan.sources_of(of("atlas"))
    assert elsewhere == [str(ROOT / path) for path in sources]
    assert all(Path(path).is_file() for path in elsewhere)


def test_paths_of_runs(make):
    plan = make()
    assert plan.of_each_seed("a", "b") == [
        "results/tiny/{dataset}/{run}/seed-1/a",
        "results/tiny/{dataset}/{run}/seed-1/b",
        "results/tiny/{dataset}/{run}/seed-2/a",
        "results/tiny/{dataset}/{run}/seed-2/b",
    ]
    assert plan.of_each_run("a") == [
        "results/tiny/nations/complex/seed-1/a",
        "results/tiny/nations/complex/seed-2/a",
        "results/tiny/nations/random/seed-1/a",
        "results/tiny/nations/random/seed-2/a",
        "results/tiny/own/complex/seed-1/a",
        "results/tiny/own/complex/seed-2/a",
    ]
    with pytest.raises(UserError, match="no run 'random' on 'own'"):
        plan.settings_digest(of("own", "random"))


def test_digests_follow_what_they_stand_for(make):
    runs = CONTENT["runs"]
    before = make()
    assert make().digest() == before.digest()
    titled = make(title="Other")
    assert titled.digest() != before.digest()
    assert titled.settings_digest(of("nations", "complex")) == before.settings_digest(of("nations", "complex"))
    preset = make(runs=runs | {"random": runs["random"] | {"preset": "paper"}})
    assert preset.digest() != before.digest()
    longer = make(runs=runs | {"complex": runs["complex"] | {"settings": {"epochs": 3}}})
    assert longer.settings_digest(of("nations", "complex")) != before.settings_digest(of("nations", "complex"))
    assert longer.settings_digest(of("nations", "random")) == before.settings_digest(of("nations", "random"))
    own = make(custom={"own": CONTENT["custom"]["own"] | {"test": "d.tsv"}})
    assert own.dataset_digest(of("own")) != before.dataset_digest(of("own"))
    assert own.dataset_digest(of("nations")) == before.dataset_digest(of("nations"))


def test_every_method_has_a_module_and_every_verb_its_code(make):
    assert set(MODULE_OF) == set(SETTINGS_OF)
    plan = make()
    digests = {plan.code(verb) for verb in MODULES_OF_VERB if verb != "evaluate"}
    assert len(digests) == len(MODULES_OF_VERB) - 1
    assert plan.training_code(of("nations", "complex")) != plan.training_code(of("nations", "random"))


def test_one_file_and_no_values(tmp_path):
    with pytest.raises(UserError, match="--config seeds: settings are read from the experiment file alone"):
        load_plan([], {"seeds": 3})
    with pytest.raises(UserError, match="expected one experiment file, found 2"):
        load_plan(["a.yaml", "b.yaml"], {})


def test_a_mistake_ends_with_2(tmp_path, capsys):
    path = tmp_path / "wrong.yaml"
    path.write_text("titel: x\n")
    with pytest.raises(SystemExit) as end:
        plan_or_exit([path], {})
    assert end.value.code == 2
    assert f"{path}:1: unknown key 'titel'; did you mean 'title'?" in capsys.readouterr().err

"""Experiment files: what fits resolves, what does not is named with its line and the nearest valid key."""

from pathlib import Path

import pytest

from kelbench.base.errors import UserError
from kelbench.config.experiment import Experiment
from kelbench.config.methods import MODULE_OF, SETTINGS_OF
from kelbench.config.yaml_source import read_yaml

GOOD = """\
experiment: mine
title: a title
threads: 2
seeds: [1, 2]
runs:
  complex:
    method: complex
    datasets: [nations, umls]
    settings: {dimension: 32, epochs: 3}
    per_dataset:
      umls:
        dimension: 64
"""


def load(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return Experiment(path)


def problem(tmp_path, text):
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    return str(error.value).replace(str(tmp_path) + "/", "")


def test_layers_of_settings(tmp_path):
    experiment = load(tmp_path, GOOD)
    nations, umls = experiment.run("nations", "complex"), experiment.run("umls", "complex")
    assert nations.settings.dimension == 32
    assert umls.settings.dimension == 64
    assert nations.settings.epochs == umls.settings.epochs == 3
    assert nations.settings.loss == "cross_entropy"  # from config/methods/complex.yaml
    assert nations.digest() != umls.digest()
    assert nations.seeds == (1, 2)
    assert experiment.datasets == ["nations", "umls"]


def test_the_digest_is_of_what_decides_the_weights(tmp_path):
    before = load(tmp_path, GOOD).run("nations", "complex").digest()
    assert load(tmp_path, GOOD.replace("a title", "another")).run("nations", "complex").digest() == before
    assert load(tmp_path, GOOD.replace("epochs: 3", "epochs: 4")).run("nations", "complex").digest() != before
    assert load(tmp_path, GOOD.replace("threads: 2", "threads: 1")).run("nations", "complex").digest() != before


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seeds: [1, 2]", "seed: [1, 2]", "mine.yaml:4: unknown key 'seed'; did you mean 'seeds'?"),
        ("dimension: 32", "dimensoin: 32", "mine.yaml:9: run complex on nations: unknown key 'dimensoin'; did you mean"),
        ("        dimension: 64", "        dimension: big", "mine.yaml:12: run complex on umls: dimension: Input should be"),
        ("method: complex", "method: complx", "mine.yaml:7: unknown method 'complx'; did you mean 'complex'?"),
        ("[nations, umls]", "[nation, umls]", "mine.yaml:8: unknown dataset 'nation'; did you mean 'nations'?"),
        ("    method: complex", "    method: complex\n    engine: pykeen2", "mine.yaml:8: runs.complex.engine: Input should be"),
        ("    method: complex", "    method: nodepiece", "mine.yaml:6: nodepiece is not trained by engine native"),
        ("seeds: [1", "compared_with: complx\nseeds: [1", "compared_with names complx, which is not among runs"),
        ("      umls:", "      wn18rr:", "mine.yaml:6: runs.complex: per_dataset names wn18rr"),
        ("title: a title", "title: a title\ntitle: b", "mine.yaml:3: key 'title' stands here and on line 2"),
        ("dimension: 32", "dimension: 33", "mine.yaml:6: run complex on nations: dimension must be even for complex"),
        ("epochs: 3", "epochs: 3, loss: margin", "1vsall needs loss: cross_entropy"),
        ("experiment: mine", "experiment: My Run", "mine.yaml:1: experiment: expected lower-case letters"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "mine.yaml:4: seeds: expected different numbers"),
        ("title: a title", "title: a title\n<<: {threads: 1}", "mine.yaml:3: merge keys"),
        ("title: a title", "title: !!python/name:os.system", "mine.yaml:2: expected plain YAML values"),
        ("title: a title", "title: [", "mine.yaml:"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path, old, new, expected):
    assert old in GOOD
    assert expected in problem(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("method: text_cosine, datasets: [wn18rr], settings: {texts: glos}", "wn18rr has no source of texts 'glos'; did"),
        ("method: clep, datasets: [umls], settings: {encoder: {kind: bow, width: 8, max_tokens: 9, texts: name}}",
         "umls has no source of texts 'name'"),
        ("method: clep, datasets: [wn18rr], per_dataset: {wn18rr: {encoder: {kind: bow, width: 8, max_tokens: 9, texts: x}}}",
         "wn18rr has no source of texts 'x'; valid here: gloss, name"),
    ],
)  # fmt: skip
def test_a_source_of_texts_that_a_dataset_lacks_is_named_before_anything_runs(tmp_path, run, expected):
    text = problem(tmp_path, f"experiment: mine\ntitle: t\nseeds: [1]\nruns:\n  words:\n    {{{run}}}\n")
    assert f"mine.yaml:6: run words: {expected}" in text


def test_every_problem_is_reported_at_once(tmp_path):
    text = problem(tmp_path, GOOD.replace("dimension: 32", "dimensoin: 32").replace("dimension: 64", "dimension: 0"))
    assert "mine.yaml:9" in text
    assert "mine.yaml:12" in text


def test_a_missing_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(UserError, match="found none"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"title: \xff")
    with pytest.raises(UserError, match="UTF-8"):
        read_yaml(tmp_path / "bytes.yaml")


def test_an_own_graph(tmp_path):
    text = GOOD.replace("runs:", "custom:\n  my-graph: {train: a.tsv, valid: b.tsv, test: c.tsv}\nruns:")
    experiment = load(tmp_path, text.replace("[nations, umls]", "[my-graph, umls]"))
    assert experiment.datasets == ["my-graph", "umls"]
    assert "umls is a public dataset" in problem(tmp_path, text.replace("my-graph", "umls", 1))
    assert "either triples with split, or train, valid and test" in problem(tmp_path, text.replace(", test: c.tsv", ""))


@pytest.mark.parametrize("path", sorted(Path("config").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_experiments_fit_and_are_called_like_their_files(path):
    experiment = Experiment(path)
    assert experiment.name == path.stem
    assert experiment.runs


def test_every_method_has_settings_and_a_module():
    assert set(MODULE_OF) == set(SETTINGS_OF)

"""A run by hand, through the command line: train, evaluate, predict, export; and what happens when something is wrong."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from kelbench import cli
from kelbench.data.prepared import PreparedDataset

CONFIG = """\
experiment: mine
title: by hand
seeds: [3, 4]
runs:
  complex:
    method: complex
    datasets: [nations]
    settings: {dimension: 16, epochs: 10}
  random: {method: random, datasets: [nations]}
"""


def kelbench(monkeypatch, capsys, *words):
    """Exit code, standard output and standard error of one command."""
    monkeypatch.setattr("sys.argv", ["kelbench", *words])
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def trained(workspace, monkeypatch, capsys):
    (workspace / "mine.yaml").write_text(CONFIG)
    common = ["--config", "mine.yaml", "--dataset", "nations", "--run", "complex"]
    for verb in ("train", "evaluate"):
        code, _, error = kelbench(monkeypatch, capsys, verb, *common, "--threads", "1")
        assert code == 0, error
    return workspace, common


def test_a_run_leaves_what_the_design_says(trained):
    folder = trained[0] / "results" / "mine" / "nations" / "complex"
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["settings"]["dimension"] == 16
    for seed in (3, 4):
        files = {path.name for path in (folder / f"seed-{seed}").iterdir() if not path.name.startswith(".")}
        assert files == {
            "model.safetensors", "curve.jsonl", "timing.jsonl", "provenance.json",
            "ranks.valid.npz", "ranks.test.npz", "metrics.json",
        }  # fmt: skip
    curve = [json.loads(line) for line in (folder / "seed-3" / "curve.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in curve] == list(range(1, 11))
    assert curve[4]["validation_mrr"] > 0
    assert (folder / "seed-3" / "model.safetensors").read_bytes() != (
        folder / "seed-4" / "model.safetensors"
    ).read_bytes()


def test_the_same_run_elsewhere_gives_the_same_bits(trained, monkeypatch, capsys):
    folder, common = trained
    first = folder / "results" / "mine" / "nations" / "complex"
    kept = folder / "kept"
    shutil.copytree(first, kept)
    shutil.rmtree(first)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    for verb in ("train", "evaluate"):
        assert kelbench(monkeypatch, capsys, verb, *common, "--threads", "1")[0] == 0
    for name in ("model.safetensors", "curve.jsonl", "ranks.valid.npz", "ranks.test.npz", "metrics.json"):
        assert (first / "seed-3" / name).read_bytes() == (kept / "seed-3" / name).read_bytes(), name


def test_provenance_names_the_commit_that_was_there_when_training_began(workspace, monkeypatch, capsys):
    (workspace / "mine.yaml").write_text(CONFIG)
    checked_out = iter(["first", "another", "a third"])
    monkeypatch.setattr("kelbench.methods.run.code_commit", lambda: next(checked_out))
    common = ["--config", "mine.yaml", "--dataset", "nations", "--run", "complex"]
    assert kelbench(monkeypatch, capsys, "train", *common, "--threads", "1")[0] == 0
    folder = workspace / "results" / "mine" / "nations" / "complex"
    for seed in (3, 4):
        assert json.loads((folder / f"seed-{seed}" / "provenance.json").read_text())["commit"] == "first"


def test_predict_asks_both_sides_and_marks_known_answers(trained, monkeypatch, capsys):
    _, common = trained
    ask = ["predict", *common, "--relation", "embassy", "--top", "14"]
    code, out, _ = kelbench(monkeypatch, capsys, *ask, "--head", "usa")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["rank", "score", "answer", "known in"]
    assert len(lines) == 15
    scores = [float(line[1]) for line in lines[1:]]
    assert scores == sorted(scores, reverse=True)
    assert {line[3] for line in lines[1:]} >= {"train"}
    assert kelbench(monkeypatch, capsys, *ask, "--tail", "usa")[0] == 0
    code, _, error = kelbench(monkeypatch, capsys, *ask, "--head", "usb")
    assert code == 2
    assert "no entity 'usb'; did you mean 'usa'?" in error
    code, _, error = kelbench(monkeypatch, capsys, "predict", *common, "--relation", "embasy", "--head", "usa")
    assert code == 2
    assert "did you mean 'embassy'?" in error
    code, _, error = kelbench(monkeypatch, capsys, *ask, "--head", "usa", "--seed", "9")
    assert code == 2
    assert "no seed 9; it has 3, 4" in error
    assert kelbench(monkeypatch, capsys, *ask)[0] == 2
    assert kelbench(monkeypatch, capsys, *ask, "--head", "usa", "--tail", "usa")[0] == 2


def test_export_writes_the_same_numbers_twice(trained, monkeypatch, capsys):
    folder, common = trained
    code, out, _ = kelbench(monkeypatch, capsys, "export", *common, "--out", "exported")
    assert code == 0
    assert len(out.splitlines()) == 3
    arrays = load_file(folder / "exported" / "model.safetensors")
    lines = (folder / "exported" / "entities.tsv").read_text().splitlines()
    assert len(lines) == len(arrays["entity"]) == 14
    numbers = np.array([line.split("\t")[1:] for line in lines], dtype=np.float32)
    np.testing.assert_array_equal(numbers, arrays["entity"])
    assert "usa" in {line.split("\t")[0] for line in lines}
    assert len((folder / "exported" / "relations.tsv").read_text().splitlines()) == 110


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "--dataset", "nations", "--run", "complx", "--threads", "1"], "no run 'complx' on 'nations'"),
        (["train", "--dataset", "nations", "--run", "complex", "--threads", "1", "--prepared", "nowhere"], "manifest.json"),
        (["evaluate", "--dataset", "nations", "--run", "random", "--threads", "1"], "train the run first"),
        (["trian"], "did you mean 'train'?"),
        (["train", "--dataset", "nations", "--run", "complex"], "--threads"),
    ],
)  # fmt: skip
def test_mistakes_end_with_code_2_and_no_traceback(workspace, monkeypatch, capsys, words, expected):
    (workspace / "mine.yaml").write_text(CONFIG)
    verb, *rest = words
    options = ["--config", "mine.yaml", *rest] if rest else []
    code, _, error = kelbench(monkeypatch, capsys, verb, *options)
    assert code == 2
    assert expected in error
    assert "Traceback" not in error


def test_fewer_threads_than_configured_is_an_error(workspace, monkeypatch, capsys):
    (workspace / "mine.yaml").write_text(CONFIG.replace("title:", "threads: 2\ntitle:"))
    words = ["--config", "mine.yaml", "--dataset", "nations", "--run", "complex", "--threads", "1"]
    code, _, error = kelbench(monkeypatch, capsys, "train", *words)
    assert code == 2
    assert "threads: 2, 1 granted" in error


def test_check_config_lists_the_runs(workspace, monkeypatch, capsys):
    (workspace / "mine.yaml").write_text(CONFIG)
    code, out, _ = kelbench(monkeypatch, capsys, "check-config", "mine.yaml")
    assert code == 0
    assert out.splitlines()[0].split("\t")[:3] == ["nations", "complex", "ComplEx"]
    assert "fine; 2 runs on 1 datasets" in out


@pytest.mark.parametrize(
    ("inductive", "processes", "expected"),
    [
        (True, "1", "complex learns a vector for each entity of training, and the test entities of nations are others"),
        (False, "2", "complex: complex trains in one process; run it without torchrun"),
    ],
)
def test_what_a_graph_embedding_cannot_do_is_said(workspace, monkeypatch, capsys, inductive, processes, expected):
    (workspace / "mine.yaml").write_text(CONFIG)
    monkeypatch.setattr(PreparedDataset, "is_inductive", property(lambda dataset: inductive))
    monkeypatch.setenv("WORLD_SIZE", processes)
    common = ["--config", "mine.yaml", "--dataset", "nations", "--run", "complex", "--threads", "1"]
    code, _, error = kelbench(monkeypatch, capsys, "train", *common)
    assert code == 2
    assert expected in error
    assert not list(workspace.rglob("model.safetensors"))

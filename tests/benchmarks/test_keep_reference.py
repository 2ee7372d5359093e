"""What is kept of an experiment under version control."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kelbench.base.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def keep(script):
    return script("keep_reference")


@pytest.fixture
def results(tmp_path):
    """Two runs of two seeds, with the files that a workflow leaves; one more run that the leaderboard does not have."""
    folder = tmp_path / "results/tiny"
    for run in ("complex", "random", "given-up"):
        for seed in (1, 2):
            for name in ("provenance.json", "curve.jsonl", "metrics.json", "model.safetensors"):
                path = folder / "nations" / run / f"seed-{seed}" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{run} {seed} {name}\n")
        (folder / "nations" / run / "settings.json").write_text(f"{run}\n")
    write_leaderboard(folder, "complex", "random")
    return tmp_path / "results"


def write_leaderboard(folder, *runs):
    content = {"runs": {"nations": {run: {"seeds": [1, 2]} for run in runs}}}
    (folder / "leaderboard.json").write_text(json.dumps(content))


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_run(run):
    seeds = [f"nations/{run}/seed-{seed}" for seed in (1, 2)]
    return {f"nations/{run}/settings.json"} | {
        f"{seed}/{name}" for seed in seeds for name in ("provenance.json", "curve.jsonl")
    }


def test_the_runs_of_the_leaderboard_are_copied_without_models(keep, results):
    target = keep.keep_reference("tiny", results)
    assert target == results / "reference/tiny"
    copied, originals = files_below(target), files_below(results / "tiny")
    assert set(copied) == {"leaderboard.json"} | of_run("complex") | of_run("random")
    assert copied == {name: originals[name] for name in copied}


def test_what_an_earlier_copy_left_is_removed(keep, results):
    target = keep.keep_reference("tiny", results)
    (results / "reference/other").mkdir()
    (results / "reference/benchmarks.json").write_text("{}")
    before = (target / "nations/complex/settings.json").stat().st_mtime_ns
    write_leaderboard(results / "tiny", "complex")
    keep.keep_reference("tiny", results)
    assert set(files_below(target)) == {"leaderboard.json"} | of_run("complex")
    assert not (target / "nations/random").exists()
    assert (target / "nations/complex/settings.json").stat().st_mtime_ns == before, "it says the same"
    assert {path.name for path in (results / "reference").iterdir()} == {"tiny", "other", "benchmarks.json"}


def test_a_missing_file_changes_nothing(keep, results):
    target = keep.keep_reference("tiny", results)
    before = files_below(target)
    (results / "tiny/nations/complex/settings.json").write_text("new\n")
    (results / "tiny/nations/random/seed-2/curve.jsonl").unlink()
    with pytest.raises(UserError, match=r"random/seed-2/curve\.jsonl: the leaderboard has this run"):
        keep.keep_reference("tiny", results)
    assert files_below(target) == before


@pytest.mark.parametrize("name", ["", ".", "..", "../tiny", "tiny/nations", "reference"])
def test_only_a_name_is_taken(keep, results, name):
    before = files_below(results)
    with pytest.raises(UserError, match="expected the name of an experiment"):
        keep.keep_reference(name, results)
    assert files_below(results) == before


def test_an_experiment_without_a_leaderboard_ends_with_a_message(keep, results, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["keep_reference", "absent", "--results", str(results)])
    with pytest.raises(SystemExit, match=r"absent/leaderboard\.json: expected a leaderboard, found none"):
        keep.main()
    assert not (results / "reference").exists()


def test_git_lets_the_copy_in_and_the_results_not(keep):
    def ignored(path):
        done = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False)
        return done.returncode == 0

    if not (ROOT / ".git").exists():
        pytest.skip("not a repository")
    below = ["leaderboard.json", "nations/a/settings.json", "n/a/seed-1/provenance.json", "n/a/seed-1/curve.jsonl"]
    assert not [file for file in below if ignored(f"results/reference/tiny/{file}")]
    assert all(ignored(f"results/tiny/{file}") for file in below)

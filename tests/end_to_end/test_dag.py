"""The workflow: its jobs for each shipped experiment, its own checks, what it refuses, and what makes it run again."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TREE = ("Snakefile", "workflow", "profiles", "src", "config", "requirements.lock", "environment.yml")

# Shipped experiment -> number of datasets, number of (dataset, run) pairs, datasets that come with kelbench.
SHIPPED = {
    "atlas": (4, 60, 4),
    "atlas-fine-tuning": (1, 22, 1),
    "atlas-minilm": (1, 10, 1),
    "clep": (2, 17),
    "clep-ablations": (1, 23),
    "clep-disambiguation": (1, 9),
    "clep-fine-tuning": (1, 22),
    "clep-gpt2": (1, 8),
    "clep-inductive": (10, 80),
    "clep-yago3-10": (1, 4),
    "codex-s": (1, 7),
    "engines": (1, 6),
    "fb15k-237": (1, 8),
    "fb15k-237-fast": (1, 3),
    "inductive": (3, 9),
    "kepler": (7, 62),
    "kepler-wikidata5m": (2, 40),
    "kinships": (1, 7),
    "quick": (5, 33, 2),
    "texts": (8, 43, 3),
    "texts-minilm": (3, 15, 3),
    "wn18rr": (1, 7),
}

# Corpora that are made for a shipped experiment.
CORPORA = {"atlas": 1, "atlas-minilm": 1}

# Runs of a shipped experiment that are tested on a text task.
TASKS = {"atlas": 5, "clep-disambiguation": 7}

# Files that the user of a shipped experiment brings: no rule makes them.
BROUGHT = {"kepler-wikidata5m": "data/corpus/wikipedia.txt"}

TINY = {
    "experiment": "tiny",
    "title": "One model on one graph",
    "seeds": [1],
    "runs": {"complex": {"method": "complex", "datasets": ["nations"], "settings": {"epochs": 2}}},
}


def copy_tree(folder: Path) -> Path:
    """A copy of what the workflow consists of, without data or results."""
    folder.mkdir(parents=True)
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    (folder / "config/tiny.yaml").write_text(yaml.safe_dump(TINY))
    return folder


def snakemake(tree: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake on a copy, which its jobs import kelbench from."""
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(tree / "src"),
        "OMP_NUM_THREADS": "1",
        "KELBENCH_CACHE": str(tree / "data/cache"),
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def jobs(tree: Path, *arguments: str, config: str = "tiny") -> dict[str, int]:
    """The jobs that Snakemake would run: rule -> number. Empty if there is nothing to be done."""
    # Targets stand before --configfile, which takes every word behind it for a file.
    done = snakemake(tree, "--dry-run", *arguments, "--configfile", f"config/{config}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout + done.stderr
    if "Nothing to be done" in shown:
        return {}
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", shown, re.S).group(1)
    counts = {rule: int(number) for rule, number in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
    assert counts.pop("total") == sum(counts.values())
    return counts


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return copy_tree(tmp_path_factory.mktemp("workflow") / "tree")


# ---- what would run


def test_every_shipped_experiment_has_its_counts_here():
    assert {path.stem for path in (ROOT / "config").glob("*.yaml")} == set(SHIPPED), "add the counts to SHIPPED"


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_jobs_of_the_shipped_experiments(tree, name):
    datasets, runs, *built = SHIPPED[name]
    fetched = datasets - sum(built)
    if name in BROUGHT:
        (tree / BROUGHT[name]).parent.mkdir(parents=True, exist_ok=True)
        (tree / BROUGHT[name]).write_text("A line.\n")
    made = {"fetch": fetched, "corpus": CORPORA.get(name, 0), "task": TASKS.get(name, 0)}
    assert jobs(tree, config=name) == {job: count for job, count in made.items() if count} | {
        "prepare": datasets,
        "audit": datasets,
        "train": runs,
        "evaluate": runs,
        "leaderboard": 1,
        "report": 1,
        "all": 1,
    }


def test_jobs_of_other_targets(tree):
    data = {"fetch": 1, "prepare": 1, "audit": 1}
    assert jobs(tree, "prepared") == {**data, "prepared": 1}
    assert jobs(tree, "leaderboard") == {**data, "train": 1, "evaluate": 1, "leaderboard": 1}


def test_a_graph_of_the_users_own_is_not_fetched(tree):
    (tree / "own.tsv").write_text("a\tr\tb\n")
    custom = {"own": {"triples": "../own.tsv", "split": {"valid": 0.1, "test": 0.1, "seed": 1}}}
    runs = {"complex": {"method": "complex", "datasets": ["own"]}}
    (tree / "config/own.yaml").write_text(yaml.safe_dump({**TINY, "experiment": "own", "custom": custom, "runs": runs}))
    expected = {"prepare": 1, "audit": 1, "train": 1, "evaluate": 1, "leaderboard": 1, "report": 1, "all": 1}
    assert jobs(tree, config="own") == expected


def test_prose_is_made_once_and_a_text_of_the_users_own_is_not(tree):
    def wiki(file: str) -> dict:
        settings = {"masked_language_modelling": {"corpus": "file", "file": file, "batch_size": 4}}
        return {"method": "kepler_wiki", "datasets": ["atlas"], "settings": settings}

    runs = {"one": wiki("data/corpus/prose.txt"), "two": wiki("data/corpus/prose.txt"), "own": wiki("own.txt")}
    (tree / "config/wiki.yaml").write_text(yaml.safe_dump({**TINY, "experiment": "wiki", "runs": runs}))
    done = snakemake(tree, "--dry-run", "--configfile", "config/wiki.yaml")
    assert done.returncode != 0
    assert re.search(r"Missing input files for rule train:.*own\.txt", done.stdout + done.stderr, re.S)
    (tree / "own.txt").write_text("a text\n")
    expected = {"prepare": 1, "audit": 1, "train": 3, "evaluate": 3, "leaderboard": 1, "report": 1, "all": 1}
    assert jobs(tree, config="wiki") == {"corpus": 1, **expected}
    assert jobs(tree, "data/corpus/prose.txt") == {"corpus": 1}


def test_the_workflow_passes_its_own_checks(tree):
    done = snakemake(tree, "--lint", "--configfile", "config/tiny.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    path = f"{BIN}:{os.environ['PATH']}"
    command = [BIN / "snakefmt", "--check", ROOT / "Snakefile", ROOT / "workflow/rules"]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_slurm_profile_is_read(tree):
    done = snakemake(
        tree, "--workflow-profile", "profiles/slurm", "--jobs", "2", "--dry-run", "--configfile", "config/tiny.yaml"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_says_what_it_needs():
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    rules = re.split(r"^rule ", text, flags=re.M)[1:]
    assert 7 <= len(rules) <= 40
    for rule in rules:
        for directive in ("log:", "benchmark:", "resources:", "threads:", "params:", "shell:", "code="):
            assert directive in rule, f"rule {rule.split(':')[0]} has no {directive}"
        assert ".jsonl" in rule
    code = re.sub(r"#.*", "", text + (ROOT / "Snakefile").read_text())
    assert not re.search(r"\blambda\b|^ *(run|script|configfile):", code, re.M)


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sedes": [1]}, r"config/wrong\.yaml:\d+: unknown key 'sedes'; did you mean 'seeds'\?"),
        ({"seeds": [1, 1]}, r"config/wrong\.yaml:\d+: seeds: expected different numbers"),
        ({"runs": {"complex": {"method": "komplex", "datasets": ["nations"]}}}, r"wrong\.yaml:\d+: .*'complex'"),
    ],
)
def test_a_mistake_in_the_file_ends_with_2_and_no_traceback(tree, change, message):
    (tree / "config/wrong.yaml").write_text(yaml.safe_dump(TINY | change))
    done = snakemake(tree, "--dry-run", "--configfile", "config/wrong.yaml")
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_key_said_twice_ends_with_2(tree):
    (tree / "config/wrong.yaml").write_text(yaml.safe_dump(TINY) + "title: Again\n")
    done = snakemake(tree, "--dry-run", "--configfile", "config/wrong.yaml")
    assert done.returncode == 2
    assert re.search(r"config/wrong\.yaml:\d+: key 'title' stands here and on line \d+", done.stderr), done.stderr


# ---- what runs again


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A copy in which the tiny experiment has run to its report."""
    # A space and a quote in the path must not matter.
    folder = copy_tree(tmp_path_factory.mktemp("finished") / "a user's tree")
    done = snakemake(folder, "--configfile", "config/tiny.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def edited(finished, tmp_path):
    """The finished copy, restored afterwards."""
    for name in ("src", "config"):
        shutil.copytree(finished / name, tmp_path / name)
    yield finished
    for name in ("src", "config"):
        shutil.rmtree(finished / name)
        shutil.copytree(tmp_path / name, finished / name)


def test_a_run_leaves_a_report_and_a_second_run_does_nothing(finished):
    for name in ("index.html", "leaderboard.csv", "leaderboard.md", "leaderboard.tex", "leaderboard.json"):
        assert (finished / "reports/tiny" / name).stat().st_size > 0
    for name in ("metrics.json", "ranks.test.npz", "ranks.valid.npz", "model.safetensors", "provenance.json"):
        assert (finished / "results/tiny/nations/complex/seed-1" / name).stat().st_size > 0
    assert "ComplEx" in (finished / "reports/tiny/index.html").read_text()
    assert jobs(finished) == {}


def test_comments_rerun_nothing(edited):
    for name in ("scoring.py", "methods/ke/run.py", "report/render.py", "data/prepare.py"):
        path = edited / "src/kelbench" / name
        assert path.is_file(), "opening it would make a stray file"
        with path.open("a") as stream:
            stream.write("\n\n# a comment\n")
    for name in ("tiny.yaml", "datasets/nations.yaml"):
        with (edited / "config" / name).open("a") as stream:
            stream.write("\n# a comment\n")
    edit(edited / "src/kelbench/scoring.py", '"""', '"""More of a docstring. ')
    assert jobs(edited) == {}


def test_editing_the_scores_trains_again(edited):
    with (edited / "src/kelbench/scoring.py").open("a") as stream:
        stream.write("\nCHANGED = 1\n")
    assert jobs(edited) == {"train": 1, "evaluate": 1, "leaderboard": 1, "report": 1, "all": 1}


def test_editing_a_method_trains_its_runs_only(edited):
    path = edited / "src/kelbench/methods/controls/graph.py"
    assert path.is_file(), "opening it would make a stray file"
    with path.open("a") as stream:
        stream.write("\nCHANGED = 1\n")
    assert jobs(edited) == {}


def test_settings_retrain_and_titles_do_not(edited):
    edit(edited / "config/tiny.yaml", "epochs: 2", "epochs: 3")
    assert set(jobs(edited)) == {"train", "evaluate", "leaderboard", "report", "all"}
    edit(edited / "config/tiny.yaml", "epochs: 3", "epochs: 2")
    edit(edited / "config/tiny.yaml", "One model", "A model")
    assert jobs(edited) == {"leaderboard": 1, "report": 1, "all": 1}


def test_a_new_run_trains_alone(edited):
    runs = TINY["runs"] | {"random": {"method": "random", "datasets": ["nations"]}}
    (edited / "config/tiny.yaml").write_text(yaml.safe_dump(TINY | {"runs": runs}))
    assert jobs(edited) == {"train": 1, "evaluate": 1, "leaderboard": 1, "report": 1, "all": 1}


def test_editing_the_report_only_renders(edited):
    template = next((edited / "src/kelbench/report/templates").iterdir())
    with template.open("a") as stream:
        stream.write(" ")
    assert jobs(edited) == {"report": 1, "all": 1}
    with (edited / "src/kelbench/report/render.py").open("a") as stream:
        stream.write("\nCHANGED = 1\n")
    model = edited / "results/tiny/nations/complex/seed-1/model.safetensors"
    before = model.stat().st_mtime_ns
    done = snakemake(edited, "--configfile", "config/tiny.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert model.stat().st_mtime_ns == before
    assert jobs(edited) == {}


def test_a_lost_model_is_trained_again(edited):
    shutil.rmtree(edited / "results/tiny/nations/complex/seed-1")
    assert set(jobs(edited)) == {"train", "evaluate", "leaderboard", "report", "all"}

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kelbench.base.errors import UserError
from kelbench.leaderboard.build import build_leaderboard
from kelbench.leaderboard.results import read_run, reciprocal_ranks

OUT = Path("results/made-up/leaderboard.json")
COLUMNS = {
    *("dataset", "dataset_version", "split", "run", "preset", "method", "engine", "encoder", "side", "metric"),
    *(
        "filter",
        "ties",
        "candidates",
        "unseen",
        "breakdown",
        "mean",
        "sd",
        "ci_seed",
        "ci_test",
        "n_seeds",
        "n_triples",
    ),
    *("n_candidates", "published", "verdict", "values"),
}


def built(experiment):
    build_leaderboard(experiment, OUT)
    return json.loads(OUT.read_text())


def find(board, **wanted):
    defaults = {"split": "test", "side": "both", "unseen": "keep", "ties": "realistic", "breakdown": None}
    return [row for row in board["rows"] if all(row[k] == v for k, v in (defaults | wanted).items())]


def test_rows_have_the_columns_and_the_values_of_the_seeds(made_up):
    experiment = made_up.build(Path())
    board = built(experiment)
    assert all(set(row) == COLUMNS for row in board["rows"])
    (row,) = find(board, dataset="tiny", run="complex", metric="mrr")
    values = []
    for seed in (1, 2, 3):
        with np.load(f"results/made-up/tiny/complex/seed-{seed}/ranks.test.npz") as ranks:
            values.append(np.mean(2 / (ranks["optimistic"] + ranks["pessimistic"])))
    assert row["values"] == pytest.approx(values)
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["sd"] == pytest.approx(np.std(values, ddof=1))
    assert row["ci_seed"][0] < row["mean"] < row["ci_seed"][1]
    assert row["ci_test"][0] < row["mean"] < row["ci_test"][1]
    assert (row["n_seeds"], row["n_triples"], row["n_candidates"]) == (3, 40, 50)
    assert (row["method"], row["engine"], row["preset"], row["encoder"]) == ("ComplEx", "native", "code", None)


def test_test_intervals_only_where_promised(made_up):
    board = built(made_up.build(Path()))
    for row in board["rows"]:
        due = row["metric"] in ("mrr", "hits@10") and row["ties"] == "realistic" and row["breakdown"] is None
        assert (row["ci_test"] is not None) == due, row


def test_one_seed_has_no_spread(made_up):
    board = built(made_up.build(Path(), seeds=(4,)))
    (row,) = find(board, dataset="tiny", run="complex", metric="mrr")
    assert (row["sd"], row["ci_seed"], row["n_seeds"]) == (None, None, 1)
    assert row["ci_test"] is not None


def test_differences_are_to_the_best_method_and_holm_is_not_below_p(made_up):
    board = built(made_up.build(Path()))
    tiny = [item for item in board["differences"] if item["dataset"] == "tiny"]
    assert {item["best"] for item in tiny} == {"complex"}
    assert {item["other"] for item in tiny} == {"complex-pykeen", "simple", "simple-pykeen", "transe", "random"}
    assert all(item["p_holm"] >= item["p"] for item in tiny)
    by_run = {item["other"]: item for item in tiny}
    mean = {run: find(board, dataset="tiny", run=run, metric="mrr")[0]["mean"] for run in ("complex", "random")}
    assert by_run["random"]["difference"] == pytest.approx(mean["complex"] - mean["random"])
    assert by_run["random"]["p_holm"] < 0.01


def test_every_run_is_compared_with_the_one_that_the_experiment_names(made_up):
    assert built(made_up.build(Path()))["comparisons"] == []
    board = built(made_up.build(Path(), compared_with="simple"))
    items = {item["run"]: item for item in board["comparisons"]}
    # Nothing is compared on wn18rr, where the run is missing.
    assert {item["dataset"] for item in board["comparisons"]} == {"tiny"}
    assert set(items) == {"complex", "complex-pykeen", "simple-pykeen", "transe", "random"}
    mean = {run: find(board, dataset="tiny", run=run, metric="mrr")[0]["mean"] for run in [*items, "simple"]}
    for run, item in items.items():
        assert item["difference"] == pytest.approx(mean[run] - mean["simple"])
        assert item["interval"][0] <= item["difference"] <= item["interval"][1]
        assert item["p_holm"] >= item["p"]
    assert items["random"]["interval"][1] < 0 < items["complex"]["difference"]


def test_bytes_repeat_and_hold_no_machine_facts(made_up):
    experiment = made_up.build(Path())
    build_leaderboard(experiment, OUT)
    first = OUT.read_bytes()
    for path in Path("results/made-up").rglob("provenance.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"cpu": "Another", "seconds": 9.0, "finished": "2031"}))
    OUT.unlink()
    build_leaderboard(experiment, OUT)
    assert OUT.read_bytes() == first
    assert b"A processor" not in first
    assert b"seconds" not in first


def test_facts_settings_and_audits_come_along(made_up):
    board = built(made_up.build(Path()))
    run = board["runs"]["tiny"]["simple-pykeen"]
    assert run["facts"]["1"]["computes"] == "two symmetric DistMults"
    assert run["facts"]["2"]["same_vectors"]["loss_ours"] == 1.25
    assert run["settings"]["dimension"] == 8
    assert run["paper"]["year"] == 2016
    assert board["runs"]["tiny"]["random"]["kind"] == "control"
    assert board["datasets"]["tiny"]["audit"]["checks"][0]["check"] == "duplicates"
    assert board["datasets"]["tiny"]["splits"]["test"]["num_triples"] == 40


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("results/made-up/tiny/transe", ["tiny/transe/seed-1/metrics.json", "kelbench evaluate", "--run transe"]),
        ("results/made-up/tiny/transe/seed-2", ["seed-2/metrics.json", "seed 2", "kelbench evaluate"]),
        ("results/made-up/tiny/transe/seed-2/provenance.json", ["seed-2/provenance.json", "kelbench train"]),
        ("results/made-up/tiny/transe/seed-2/ranks.test.npz", ["seed-2/ranks.test.npz", "kelbench evaluate"]),
        ("data/prepared/tiny/manifest.json", ["data/prepared/tiny/manifest.json"]),
        ("data/prepared/tiny/audit.json", ["data/prepared/tiny/audit.json", "kelbench audit"]),
    ],
)
def test_what_is_missing_is_named_with_its_step(made_up, missing, words):
    experiment = made_up.build(Path())
    path = Path(missing)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError) as error:
        build_leaderboard(experiment, OUT)
    assert all(word in str(error.value) for word in words)
    assert not OUT.exists()


def test_seeds_that_measured_different_things_are_refused(made_up):
    experiment = made_up.build(Path())
    path = Path("results/made-up/tiny/transe/seed-3/metrics.json")
    path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    with pytest.raises(UserError, match=r"seed-3/metrics.json.*seed 1"):
        build_leaderboard(experiment, OUT)


def test_seeds_that_ranked_different_triples_are_refused(made_up):
    experiment = made_up.build(Path())
    path = Path("results/made-up/tiny/transe/seed-3/ranks.test.npz")
    with np.load(path) as stored:
        np.savez(path, **{name: array[:-1] for name, array in dict(stored).items()})
    with pytest.raises(UserError, match=r"seed-3/ranks.test.npz"):
        build_leaderboard(experiment, OUT)


def test_a_damaged_rank_file_is_named(made_up):
    experiment = made_up.build(Path())
    Path("results/made-up/tiny/transe/seed-1/ranks.test.npz").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"seed-1/ranks.test.npz"):
        build_leaderboard(experiment, OUT)


def test_reciprocal_ranks_average_the_two_sides(made_up):
    experiment = made_up.build(Path())
    result = read_run(experiment, experiment.run("wn18rr", "transe"))
    found = reciprocal_ranks(result)
    with np.load("results/made-up/wn18rr/transe/seed-2/ranks.test.npz") as ranks:
        keep = (ranks["unseen"] == 0) & (ranks["triple"] == 7)
        expected = np.mean(2 / (ranks["optimistic"] + ranks["pessimistic"])[keep])
    assert found.shape == (3, 40)
    assert found[1, 7] == pytest.approx(expected)

"""The table of docs/texts.md holds what leaderboards hold."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from kelbench.report.board import Board

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/texts.md"
DASH = "\N{EN DASH}"


@pytest.fixture
def writer(script):
    return script("write_texts")


def leaderboard(path, values):
    """A leaderboard with the MRR of (dataset, run), of which triples with a name match have twice as much."""
    rows, runs, datasets = [], {}, {}
    for (dataset, run), mrr in values.items():
        row = {"dataset": dataset, "run": run, "split": "test", "candidates": "all", "unseen": "keep", "side": "both"}
        row |= {"ties": "realistic", "metric": "mrr"}
        rows.append(row | {"breakdown": None, "mean": mrr, "ci_test": [mrr - 0.01, mrr + 0.01]})
        # Other candidates, ties and metrics stand in a leaderboard too, and not in the table.
        others = ({"candidates": "split"}, {"ties": "optimistic"}, {"metric": "hits@1"}, {"split": "valid"})
        rows += [row | {"breakdown": None, "mean": 0.9, "ci_test": [0.8, 1.0]} | other for other in others]
        if dataset != "bare":
            rows.append(row | {"breakdown": "name match=yes", "mean": 2 * mrr, "ci_test": None})
            rows.append(row | {"breakdown": "name match=no", "mean": 0.0, "ci_test": None})
        runs.setdefault(dataset, {})[run] = {"kind": "control", "method": run}
        datasets[dataset] = {
            "layout": dataset.rsplit("-", maxsplit=1)[-1] if dataset.endswith(("-semi", "-full")) else "transductive",
            "splits": {"test": {"protocols": [{"candidates": "all"}, {"candidates": "split"}]}},
        }
    content = {
        "experiment": "e",
        "title": "t",
        "rows": rows,
        "differences": [],
        "comparisons": [],
        "word_bags": [],
        "claims": [],
    }
    path.write_text(json.dumps(content | {"datasets": datasets, "runs": runs}))
    return path


def texts(table):
    return [[cell.text.replace(DASH, "-") for cell in row] for group in table.groups for row in group.rows]


def test_rows_are_those_of_the_leaderboard_in_the_order_of_the_document(writer, tmp_path):
    values = {("a", "cosine"): 0.5, ("b-full", "random"): 0.2, ("b-full", "cosine"): 0.3, ("b-semi", "random"): 0.1}
    board = Board(leaderboard(tmp_path / "one.json", values | {("bare", "frequency"): 0.4}))
    assert texts(writer.texts_table([board])) == [
        ["b-semi", "random scorer", "0.1000 (0.0900-0.1100)", "0.200", "0.000"],
        ["b-full", "cosine of TF-IDF, entity and relation", "0.3000 (0.2900-0.3100)", "0.600", "0.000"],
        ["b-full", "random scorer", "0.2000 (0.1900-0.2100)", "0.400", "0.000"],
        ["a", "cosine of TF-IDF, entity and relation", "0.5000 (0.4900-0.5100)", "1.000", "0.000"],
        ["bare", "relation frequency", "0.4000 (0.3900-0.4100)", "-", "-"],
    ]


def test_a_later_leaderboard_stands_for_all_rows_of_its_datasets(writer, tmp_path):
    first = leaderboard(tmp_path / "1.json", {("a", "cosine"): 0.5, ("a", "random"): 0.1, ("b", "cosine"): 0.3})
    again = leaderboard(tmp_path / "2.json", {("a", "cosine"): 0.6})
    rows = texts(writer.texts_table([Board(first), Board(again)]))
    assert [(row[0], row[2][:3]) for row in rows] == [("a", "0.6"), ("b", "0.3")]


def test_every_run_of_the_experiment_has_words_and_others_are_refused(writer, tmp_path):
    assert set(writer.SCORERS) == set(yaml.safe_load((ROOT / "config/texts.yaml").read_text())["runs"])
    board = Board(leaderboard(tmp_path / "one.json", {("a", "complex"): 0.5}))
    with pytest.raises(ValueError, match="found complex too"):
        writer.texts_table([board])


def test_the_document_is_written_between_its_markers(writer, tmp_path, monkeypatch):
    document = tmp_path / "texts.md"
    document.write_text(DOCUMENT.read_text())
    path = leaderboard(tmp_path / "one.json", {("a", "cosine"): 0.5})
    monkeypatch.setattr(sys, "argv", ["write_texts", "--document", str(document), "--leaderboards", str(path)])
    writer.main()
    written = document.read_text()
    assert re.findall(r"^\| (?!dataset)\S+ \|.*$", written.replace(DASH, "-"), re.M) == [
        "| a | cosine of TF-IDF, entity and relation | 0.5000 (0.4900-0.5100) | 1.000 | 0.000 |"
    ]
    before, after = DOCUMENT.read_text().split(writer.BEGIN)[0], DOCUMENT.read_text().split("measured: end")[1]
    assert written.startswith(before)
    assert written.endswith(after)
    path.unlink()
    with pytest.raises(SystemExit, match="expected a file here, found none"):
        writer.main()

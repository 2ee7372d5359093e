"""The tables of docs/kepler.md hold what leaderboards hold."""

import json
import sys
from pathlib import Path

import pytest

from kelbench.report.board import Board

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


@pytest.fixture
def writer(script):
    return script("write_kepler")


@pytest.fixture
def board(tmp_path):
    rows = []
    for run, mrr, encoder in (("kepler", 0.25, "tiny"), ("words", 0.5, "bow"), ("random", 0.01, None)):
        row = {"dataset": "d", "run": run, "split": "test", "candidates": "all", "unseen": "keep", "side": "both"}
        row |= {"ties": "realistic", "breakdown": None, "encoder": encoder}
        rows.append(row | {"metric": "mrr", "mean": mrr, "ci_test": [mrr - 0.01, mrr + 0.01], "sd": mrr / 100})
        rows.append(row | {"metric": "hits@10", "mean": 2 * mrr, "ci_test": None, "sd": None})
        rows.append(row | {"metric": "mrr", "split": "valid", "mean": 0.9, "ci_test": [0.9, 0.9], "sd": 0.0})
    compared = {"dataset": "d", "compared_with": "kepler", "metric": "mrr", "p": 0.01, "p_holm": 0.02}
    comparisons = [
        compared | {"run": "words", "difference": 0.25, "interval": [0.2, 0.3]},
        compared | {"run": "random", "difference": -0.24, "interval": [-0.3, -0.2]},
    ]
    runs = {
        run: {"kind": "control" if run == "random" else "text", "method": run} for run in ("kepler", "words", "random")
    }
    protocol = {"splits": {"test": {"protocols": [{"candidates": "all"}]}}, "title": "Title"}
    content = {"experiment": "e", "title": "t", "rows": rows, "differences": [], "comparisons": comparisons}
    content |= {"word_bags": [], "claims": [], "datasets": {"d": protocol}, "runs": {"d": runs}}
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps(content))
    return path


def test_rows_are_those_of_the_leaderboard_the_best_first(script, board):
    table = script("runs_tables").runs_table(Board(board), "d", lambda method: True)
    assert [[cell.text for cell in row] for group in table.groups for row in group.rows] == [
        ["words", "bow", f"0.5000 (0.4900{DASH}0.5100)", "0.0050", "1.000", "+0.250 (+0.200 to +0.300)"],
        ["kepler", "tiny", f"0.2500 (0.2400{DASH}0.2600)", "0.0025", "0.500", DASH],
        [
            "random",
            DASH,
            f"0.0100 (0.0000{DASH}0.0200)",
            "0.0001",
            "0.020",
            f"{MINUS}0.240 ({MINUS}0.300 to {MINUS}0.200)",
        ],
    ]


def test_the_document_is_written_between_its_markers(writer, board, tmp_path, monkeypatch):
    document = tmp_path / "kepler.md"
    document.write_text(f"before\n{writer.BEGIN}\nold\n<!-- measured: end -->\nafter\n")
    monkeypatch.setattr(sys, "argv", ["write_kepler.py", "--leaderboards", str(board), "--document", str(document)])
    writer.main()
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "**Title**" in text
    assert "| words | bow | 0.5000" in text
    assert "old" not in text


def test_the_committed_document_has_its_markers(writer):
    text = Path("docs/kepler.md").read_text(encoding="utf-8")
    assert text.count(writer.BEGIN) == 1


def test_the_page_of_public_graphs_is_what_was_kept(writer):
    kept = Board(Path("results/reference/kepler/leaderboard.json"))
    assert writer.tables([kept]) in Path("docs/kepler-public.md").read_text(encoding="utf-8")

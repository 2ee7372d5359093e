"""The tables of docs/clep.md are CLEP's runs; those of docs/kepler.md are the others."""

import json
import sys
from pathlib import Path

import pytest

from kelbench.base.errors import UserError
from kelbench.report.board import Board

TITLE = {
    "splits": {"test": {"protocols": [{"candidates": "all"}]}},
    "audit": {"texts": [{"source": "name", "oracle_mrr": 0.9899}]},
}


@pytest.fixture
def board(tmp_path):
    runs = {
        "a": {"clep": "CLEP", "kepler": "KEPLER-KE", "random": "random scorer"},
        "b": {"linker": "CLEP", "names": "name match"},
    }
    rows, told, tasks = [], {}, []
    for dataset, methods in runs.items():
        for number, (run, method) in enumerate(methods.items()):
            row = {
                "dataset": dataset,
                "run": run,
                "split": "test",
                "candidates": "all",
                "unseen": "keep",
                "side": "both",
            }
            row |= {"ties": "realistic", "breakdown": None, "encoder": "bow", "sd": None}
            rows.append(row | {"metric": "mrr", "mean": 0.5 - number / 10, "ci_test": [0.1, 0.2]})
            rows.append(row | {"metric": "hits@10", "mean": 0.75, "ci_test": None})
            rows.append(row | {"metric": "hits@1", "mean": 0.25, "ci_test": None})
            rows.append(row | {"metric": "mr", "mean": 197.6, "ci_test": None})
            rows.append(row | {"metric": "mrr", "mean": 0.9, "ci_test": None, "ties": "optimistic"})
            kind = "control" if method in ("random scorer", "name match") else "text"
            told.setdefault(dataset, {})[run] = {"kind": kind, "method": method, "settings": {}}
    for metric in ("hits@1", "hits@10", "mrr"):
        record = {"dataset": "b", "run": "linker", "task": "entity_linking", "encoder": "bow", "subset": "every"}
        record |= {"candidates": "all", "metric": metric, "mean": 0.125, "ci_test": [0.1, 0.2], "n_examples": 8}
        tasks.append(record | {"method": "CLEP", "n_seeds": 1, "n_candidates": 4.0})
    compared = {"dataset": "a", "compared_with": "kepler", "metric": "mrr", "p": 0.01, "p_holm": 0.02, "run": "clep"}
    content = {"experiment": "e", "title": "t", "rows": rows, "differences": [], "text_tasks": tasks}
    content |= {"comparisons": [compared | {"difference": 0.1, "interval": [0.0, 0.2]}], "word_bags": [], "claims": []}
    content |= {"datasets": {name: TITLE | {"title": name.upper()} for name in runs}, "runs": told}
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps(content))
    return path


def test_each_document_tells_its_own_runs_and_the_controls(script, board):
    clep, kepler = script("write_clep").tables([Board(board)]), script("write_kepler").tables([Board(board)])
    assert "| clep | bow | 0.5000" in clep
    assert "| random |" in clep
    assert "| kepler |" not in clep
    assert "minus" not in clep  # the run that others are compared with is not among them
    assert "| linker | bow | 0.5000" in clep
    assert "| linker | bow | 0.125; 0.100\N{EN DASH}0.200 |" in clep.replace("**", "")
    assert "8 mentions" in clep
    assert "| kepler | bow | 0.4000" in kepler
    assert "| random |" in kepler
    assert "minus kepler" in kepler
    assert "clep" not in kepler
    assert "**A**, experiment e\n" in kepler
    assert "**B**" not in kepler


def test_the_page_of_public_graphs_has_what_else_the_slides_claim_and_what_ties_hide(script, board):
    told = script("write_clep_public").tables([Board(board)])
    assert "| Hits@10 | Hits@1 | MR | MRR, ties optimistic |" in told
    assert "| 0.750 | 0.250 | 198 | 0.9000 | name (0.990) |" in told
    assert "| kepler |" not in told


def test_fine_tuning_is_told_with_its_curves_in_numbers(script, board):
    content = json.loads(board.read_text())
    for run, mean in (("gcn", 0.35), ("tuned", 0.25), ("short", 0.1)):
        settings = {"decoder": "distmult", "start": "clep" if run == "tuned" else None}
        told = {"kind": "knowledge embedding", "method": "CompGCN DistMult", "settings": settings, "seeds": [1, 2]}
        content["runs"]["a"][run] = told
        row = next(
            row for row in content["rows"] if (row["dataset"], row["run"], row["metric"]) == ("a", "clep", "mrr")
        )
        content["rows"].append(row | {"run": run, "mean": mean})
        for seed in (1, 2):
            folder = board.parent / "a" / run / f"seed-{seed}"
            folder.mkdir(parents=True)
            values = [None if run == "short" else mean / epoch + seed / 100 for epoch in range(1, 8)]
            lines = [json.dumps({"epoch": 2 * epoch, "validation_mrr": v}) for epoch, v in enumerate(values, 1)]
            (folder / "curve.jsonl").write_text("\n".join(lines))
    item = {"dataset": "a", "run": "tuned", "compared_with": "gcn", "decoder": "distmult", "began": "pre-training"}
    item |= {"other_began": "random", "metric": "mrr", "difference": -0.1, "interval": [-0.2, -0.05]}
    content["fine_tuning"] = [item | {"p": 0.01, "p_holm": 0.02, "n_seeds": 2}]
    board.write_text(json.dumps(content))
    differences, curves = script("tuning_tables").titled_tuning([Board(board)])
    assert "| CompGCN DistMult; tuned | from random weights; gcn | 0.250 | 0.350 | **\N{MINUS SIGN}0.100" in differences
    assert "never ahead, to epoch 14" in differences
    assert "one seed" not in differences
    item = content["fine_tuning"][0] | {"p_holm": 0.06, "n_seeds": 1}  # an interval that leaves out 0 is not enough
    board.write_text(json.dumps(content | {"fine_tuning": [item]}))
    weak = script("tuning_tables").titled_tuning([Board(board)])[0]
    assert "| \N{MINUS SIGN}0.100; \N{MINUS SIGN}0.200 to" in weak
    assert "; one seed |" in weak
    board.write_text(json.dumps(content))
    assert "| run | epoch 2 | epoch 4 | epoch 8 | epoch 14 |" in curves
    assert "| tuned | 0.2650 | 0.1400 | 0.0775 | 0.0507 |" in curves
    assert "| short |" not in curves  # it was not validated on the way
    assert differences in script("write_clep").tables([Board(board)])
    told = script("write_clep_public").tables([Board(board)])
    assert "| tuned | bow | 0.2500" in told
    assert "name (0.990)" not in told.split("| tuned |")[1].split("\n")[0]
    (board.parent / "a/gcn/seed-2/curve.jsonl").unlink()
    with pytest.raises(UserError, match=r"seed-2/curve\.jsonl"):
        script("tuning_tables").titled_tuning([Board(board)])


def test_the_document_is_written_between_its_markers(script, board, tmp_path, monkeypatch):
    writer, document = script("write_clep"), tmp_path / "clep.md"
    document.write_text(f"before\n{writer.BEGIN}\nold\n<!-- measured: end -->\nafter\n")
    monkeypatch.setattr(sys, "argv", ["write_clep.py", "--leaderboards", str(board), "--document", str(document)])
    writer.main()
    text = document.read_text()
    assert "old" not in text
    assert "| clep | bow | 0.5000" in text
    assert text.endswith("after\n")


def test_the_committed_document_has_its_markers(script):
    assert Path("docs/clep.md").read_text(encoding="utf-8").count(script("write_clep").BEGIN) == 1


def test_the_page_of_public_graphs_is_what_was_kept(script):
    writer = script("write_clep_public")
    kept = [Board(path) for path in writer.LEADERBOARDS]
    assert writer.tables(kept) in Path("docs/clep-public.md").read_text(encoding="utf-8")

"""The KEPLER page: shipped claims on made-up runs of text methods."""

import json
import re
from pathlib import Path

import pytest
import yaml

from kelbench.leaderboard.build import build_leaderboard
from kelbench.report.render import render_report

CLAIMS = Path(__file__).parents[2] / "config/claims"
FILES = ("kepler", "kepler-transductive", "kepler-inductive", "blp-wikidata5m")
BOARD = Path("results/made-up/leaderboard.json")
OUT = Path("reports/made-up")


def shipped(version=None):
    """KEPLER's claims and BLP's as they are shipped; `version` is put in place of the released graph's."""
    claims = {name: yaml.safe_load((CLAIMS / f"{name}.yaml").read_text()) for name in FILES}
    for claim in claims["kepler-transductive"]["values"]:
        if version and claim["dataset_version"] == "v3":
            claim["dataset_version"] = version
    return claims


def rendered(made_up, texts, **changes):
    """The page of an experiment with the text runs `texts` (name -> skill), and its leaderboard."""
    experiment = made_up.build(Path(), claims=shipped("first"), texts=texts, **changes)
    build_leaderboard(experiment, BOARD)
    return render_report(experiment, BOARD, OUT).read_text(), json.loads(BOARD.read_text())


def rows_of(text, identifier):
    """Cell texts of a table's body, by the heading of the row."""
    body = re.search(rf'<table id="{identifier}">.*?<tbody>(.*?)</table>', text, re.S).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    found = [
        [" ".join(re.sub("<.*?>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
        for row in rows
    ]
    return [[cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in found]


def mrr(board, dataset, run):
    (row,) = [
        row
        for row in board["rows"]
        if (row["dataset"], row["run"], row["split"], row["metric"]) == (dataset, run, "test", "mrr")
        and (row["side"], row["ties"], row["unseen"], row["breakdown"]) == ("both", "realistic", "keep", None)
    ]
    return row


def first_screen(text):
    return text.split('<header id="top">')[1].split("</header>")[0]


def test_without_a_text_method_there_is_no_page(made_up):
    text, _ = rendered(made_up, {})
    assert 'id="kepler"' not in text
    assert 'href="#kepler"' not in text
    assert "Bag of words" not in first_screen(text)


def test_the_three_tables_show_every_printed_row(made_up):
    text, _ = rendered(made_up, made_up.TEXT_SKILL)
    assert [len(rows_of(text, f"kepler-table-{name}")) for name in ("4", "9a", "9b")] == [5, 9, 7]
    by_name = {row[0].split(" here:")[0].split(" RoBERTa-base")[0]: row for row in rows_of(text, "kepler-table-9b")}
    assert by_name["KEPLER-Cond"][1:6] == ["28", "0.402", "0.222", "0.514", "0.730"]
    assert by_name["Our RoBERTa"][1:6] == ["1,070", "0.058", "0.019", "0.063", "0.130"]
    odd = next(row for row in rows_of(text, "kepler-table-9b") if row[0].startswith("RoBERTa"))
    assert odd[4] == "0.010"
    assert "Printed as 1.0" in odd[7]
    assert all("not run" in row[7] or "not comparable" in row[7] for row in by_name.values())


def test_a_run_on_the_papers_dataset_stands_below_the_printed_values(made_up):
    text, board = rendered(made_up, made_up.TEXT_SKILL)
    row = next(row for row in rows_of(text, "kepler-table-9a") if row[0].startswith("KEPLER-Wiki"))
    ours = mrr(board, made_up.PAPERS_OWN, "wiki-paper")["mean"]
    assert row[2] == f"0.154 here {ours:.3f} ({ours - 0.154:+.3f})"
    assert row[6] == "wiki-paper, preset paper"
    record = next(c for c in board["claims"] if (c["id"], c["metric"]) == ("kepler-9a-wiki", "mrr"))
    assert record["verdict"] == "exceeded"
    assert row[7].startswith("▲ exceeded")
    others = [row for row in rows_of(text, "kepler-table-9a") if row[0].startswith(("KEPLER-Cond", "DKRL"))]
    assert [row[6:] for row in others] == [["\N{EN DASH}", "○ not run"]] * 2


def test_another_release_gets_no_verdict(made_up):
    experiment = made_up.build(Path(), claims=shipped(), texts={"wiki-paper": 0.9})
    build_leaderboard(experiment, BOARD)
    text = render_report(experiment, BOARD, OUT).read_text()
    row = next(row for row in rows_of(text, "kepler-table-9a") if row[0].startswith("KEPLER-Wiki"))
    assert row[7] == "≠ not comparable measured on v3, here on first"


def test_what_is_not_run_has_a_command_and_the_published_cost(made_up):
    text, _ = rendered(made_up, made_up.TEXT_SKILL)
    items = re.findall(r"<li>(Table .*?)</li>", text, re.S)
    (kepler,) = [item for item in items if "64 V100" in item]
    assert kepler.startswith(
        "Table 9a: KEPLER-KE, KEPLER-Rel, KEPLER-Cond; Table 9b: KEPLER-KE, KEPLER-Rel, KEPLER-Wiki"
    )
    assert "snakemake --cores all --configfile config/kepler-wikidata5m.yaml" in kepler
    assert "about 1 day for 10 epochs" in kepler
    assert "<code>kelbench estimate --config config/kepler-wikidata5m.yaml</code>" in kepler
    assert 'href="https://github.com/THU-KEG/KEPLER/issues/14"' in kepler
    (unknown,) = [item for item in items if "gives no cost" in item]
    assert "DKRL" in unknown
    assert "<code>kelbench estimate --config config/kepler-wikidata5m.yaml</code>" in unknown


def test_orders_show_where_they_hold_and_where_they_do_not(made_up):
    text, board = rendered(made_up, made_up.TEXT_SKILL)
    rows = rows_of(text, "kepler-orders")
    holds, reversed_ = rows[:2]
    assert holds[0].startswith("KEPLER-Cond above KEPLER-Wiki")
    assert reversed_[0].startswith("KEPLER-Wiki above KEPLER-KE")
    assert holds[2] == "✓ reproduced: holds"
    assert reversed_[2] == "▼ below: reversed"
    assert holds[1].startswith("ATLAS atlas stand-in for wikidata5m-transductive preset ours")
    cond, wiki = (mrr(board, made_up.STAND_IN, run)["mean"] for run in ("cond", "wiki"))
    assert holds[3] == f"{cond:.3f} cond encoder tiny"
    assert holds[4] == f"{wiki:.3f} wiki encoder tiny"
    assert holds[5].startswith(f"{cond - wiki:+.3f} ")
    record = next(c for c in board["claims"] if c["id"] == "kepler-9a-cond-above-wiki")
    assert "{:+.3f} to {:+.3f}".format(*record["interval"]) in holds[5]
    # Three orders of Table 4, six of 9a, five of 9b and BLP's one, two of them tested.
    waiting = rows_of(text, "kepler-orders-waiting")
    assert (len(rows), len(waiting)) == (2, 13)
    assert waiting[-1][0].startswith("KEPLER-KE (bow) above KEPLER-Wiki (transformer) BE-BOW 0.362")
    assert "atlas-full or atlas-semi" in waiting[-1][2]
    assert "2 tests of published orders: 1 reproduced, 1 reversed, 0 undecided. 13 published orders were" in text


@pytest.mark.parametrize(("skill", "words"), [(3.5, "is above"), (0.2, "is below"), (0.9, "cannot be told from")])
def test_the_first_screen_says_how_a_bag_of_words_does_whichever_way(made_up, skill, words):
    text, board = rendered(made_up, {"wiki": 0.9, "bag": skill})
    (found,) = board["word_bags"]
    bag, wiki = (mrr(board, made_up.STAND_IN, run)["mean"] for run in ("bag", "wiki"))
    assert found["difference"] == pytest.approx(bag - wiki)
    screen = first_screen(text).replace("\N{MINUS SIGN}", "-")
    low, high = found["interval"]
    assert (
        f"On ATLAS, the bag of words bag (KEPLER-KE, MRR {bag:.3f}) {words} the best transformer that was trained, wiki "
        f"(KEPLER-Wiki, encoder tiny, MRR {wiki:.3f}): paired difference {bag - wiki:+.3f}, "
        f"95 % interval {low:+.3f} to {high:+.3f}."
    ) in screen


def test_without_both_the_first_screen_says_nothing_of_bags_of_words(made_up):
    text, board = rendered(made_up, {"wiki": 0.9, "ke": 3.0})
    assert board["word_bags"] == []
    assert "Bag of words" not in first_screen(text)


def test_the_leaderboard_says_which_encoder_a_run_has(made_up):
    text, _ = rendered(made_up, made_up.TEXT_SKILL)
    names = [row[0] for row in rows_of(text, "leaderboard-atlas-all")]
    assert {"KEPLER-KE bag encoder bow", "KEPLER-KE ke encoder tiny"} <= set(names)

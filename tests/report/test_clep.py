"""The CLEP page: shipped claims on made-up runs of CLEP and of graph encoders with a decoder."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from kelbench.leaderboard.build import build_leaderboard
from kelbench.report.clep import is_of_clep
from kelbench.report.clep_runs import flat, lead, texts_read
from kelbench.report.render import render_report

CLAIMS = Path(__file__).parents[2] / "config/claims"
FILES = ("clep", "clep-validation", "compgcn", "compgcn-dgl", "r-gcn")
BOARD = Path("results/made-up/leaderboard.json")
OUT = Path("reports/made-up")
HOSTILE = '<b>"&'


def rendered(made_up, clep, audit_texts=(), **changes):
    """The page with the runs `clep` (name -> skill), and its leaderboard."""
    claims = {name: yaml.safe_load((CLAIMS / f"{name}.yaml").read_text()) for name in FILES}
    experiment = made_up.build(
        Path(), claims=claims, clep=clep, compared_with=["transe", "clep"] if clep else [], **changes
    )
    path = Path("data/prepared/fb15k-237/audit.json")
    if path.is_file():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"texts": list(audit_texts)}))
    build_leaderboard(experiment, BOARD)
    return render_report(experiment, BOARD, OUT).read_text(), json.loads(BOARD.read_text())


def section(text):
    return re.search(r'<section aria-labelledby="clep">.*?</section>', text, re.S).group(0)


def rows_of(text, identifier):
    """Cell texts of a table's body."""
    body = re.search(rf'<table id="{identifier}">.*?<tbody>(.*?)</table>', text, re.S).group(1)
    found = [
        [" ".join(re.sub("<.*?>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)
    ]
    return [[cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in found]


def text_record(source, oracle):
    return {"source": source, "oracle_mrr": oracle, "entities": 5, "with_text": 5, "distinct": 4} | {
        "median_words": 2.0,
        "name_match": None,
    }


def test_without_its_methods_there_is_no_page(made_up):
    text, board = rendered(made_up, {})
    assert 'id="clep"' not in text
    assert 'href="#clep"' not in text
    assert board["fine_tuning"] == []


@pytest.mark.parametrize(
    "label", ["CLEP", "CompGCN ConvE", "R-GCN DistMult", "CLEP fine-tuned TransE", "Warm-started X"]
)
def test_the_page_is_about(label):
    assert is_of_clep(label)
    assert not is_of_clep("ComplEx")


def test_published_rows_stand_beside_runs_or_say_how_to_get_them(made_up):
    text, board = rendered(made_up, made_up.CLEP_SKILL)
    page = section(text)
    slides = rows_of(page, "clep-published-1")
    assert slides[0][0].startswith("CompGCN CLEP here: CLEP")
    (record,) = [c for c in board["claims"] if (c["id"], c["metric"]) == ("clep-fb15k-237", "mrr")]
    assert record["rows"] == []  # a bag of words is no transformer
    assert [row[1] for row in slides] == ["fb15k-237", "fb15k-237", "yago3-10", "yago3-10"]
    assert slides[0][2:7] == ["198", "0.222", "0.137", "\N{EN DASH}", "0.396"]
    # Two claims, of four and of three decimals, are one row.
    validation = rows_of(page, "clep-published-2")
    assert [row[1:6] for row in validation] == [
        ["\N{EN DASH}", "0.3535", "0.262", "\N{EN DASH}", "0.534"],
        ["\N{EN DASH}", "0.3592", "0.266", "\N{EN DASH}", "0.544"],
    ]
    beside, alone = page.split("Published tables that nothing here was run for")
    assert 'id="clep-published-3"' in beside  # CompGCN with DistMult was run
    assert 'id="clep-published-1"' in alone
    gcn = next(row for row in rows_of(page, "clep-published-3") if row[0].startswith("DistMult + CompGCN (Sub)"))
    assert gcn[7] == "gcn, preset paper"
    assert "here" in gcn[3]
    assert "No experiment that is shipped has a run with these settings" in page


def test_an_experiment_that_runs_it_is_the_command(made_up):
    claims = yaml.safe_load((CLAIMS / "clep.yaml").read_text()) | {"experiment": "config/some.yaml"}
    for claim in claims["values"]:
        claim.pop("experiment", None)
    experiment = made_up.build(Path(), claims={"clep": claims}, clep={"gcn": 1.0})
    build_leaderboard(experiment, BOARD)
    page = section(render_report(experiment, BOARD, OUT).read_text())
    assert "snakemake --cores all --configfile config/some.yaml" in page


def test_orders_that_no_run_speaks_of_are_listed_as_waiting(made_up):
    text, _ = rendered(made_up, made_up.CLEP_SKILL)
    waiting = [row[0] for row in rows_of(section(text), "clep-orders-waiting")]
    assert any(row.startswith("R-GCN DistMult above CLEP") for row in waiting)


def test_the_aligned_space_is_drawn_and_tabled(made_up):
    text, _ = rendered(made_up, made_up.CLEP_SKILL)
    page = section(text)
    by_run = {row[0]: row[1:] for row in rows_of(page, "space-fb15k-237")}
    assert set(by_run) == {"clep", "clep-diagonal"}
    before, after, wide, narrow, means, equal, _, shared = by_run["clep"]
    assert before == "0.500 0.490\N{EN DASH}0.520"
    assert after.startswith("0.900 ")
    assert (wide.split()[0], narrow.split()[0]) == ("0.500", "0.100")
    assert means == "0.500, 1.500"
    assert equal == "0.888 -0.0123 (-0.0200 to -0.0100)"
    assert shared == "12 of 50"
    figures = re.findall(r"<figure><figcaption>(.*?)</figcaption>(.*?)</figure>", page, re.S)
    charts = dict(figures)["clep"]
    assert re.findall(r"<title>(.*?) pre-training: ", charts) == ["Before", "After"]
    assert "the AUC is 0.900" in charts
    assert charts.count("<polyline") == charts.count("<polygon") == 4
    assert charts.count("right description</text>") == 2
    # All pairs of a distribution in one bin: a density of 1 over its width, whatever the seeds' numbers of pairs.
    assert re.findall(r'text-anchor="end">(\d+)<', charts) == ["0", "20", "40", "60"] * 2
    assert "overlap .976 before" in page
    assert "60 queries of 20 entities" in page
    assert "So few queries" in page


def test_without_equal_texts_there_is_no_effect_of_them(made_up):
    rendered(made_up, {"clep": 0.9})
    experiment = made_up.Experiment(Path("config/made-up.yaml"))
    for path in Path("results/made-up/fb15k-237/clep").glob("*/provenance.json"):
        path.write_text(path.read_text().replace('"equal_pairs": 7', '"equal_pairs": 0'))
    build_leaderboard(experiment, BOARD)
    page = section(render_report(experiment, BOARD, OUT).read_text())
    assert rows_of(page, "space-fb15k-237")[0][6:8] == ["\N{EN DASH}"] * 2


def test_each_run_says_what_it_changes_and_what_its_texts_can_reach(made_up):
    records = [text_record("short", 0.834), text_record("name", 0.999)]
    text, board = rendered(made_up, made_up.CLEP_SKILL, records)
    rows = {row[0].split()[0]: row[1:] for row in rows_of(section(text), "clep-runs-fb15k-237")}
    assert set(rows) == {"clep", "clep-diagonal"}
    assert rows["clep"][:3] == ["compared with", "name", "0.999"]
    assert rows["clep-diagonal"][:3] == ["encoder.texts: none (name) loss: diagonal (all)", "short", "0.834"]
    (item,) = [c for c in board["comparisons"] if (c["dataset"], c["run"]) == ("fb15k-237", "clep-diagonal")]
    low, high = item["interval"]
    assert rows["clep-diagonal"][7] == f"{item['difference']:+.3f} {low:+.3f} to {high:+.3f}"
    assert "Oracle MRR" in section(text)


def test_without_a_run_to_compare_with_runs_are_only_listed(made_up):
    experiment = made_up.build(Path(), clep={"clep": 0.9, "clep-diagonal": 0.4})
    build_leaderboard(experiment, BOARD)
    page = section(render_report(experiment, BOARD, OUT).read_text())
    assert [len(row) for row in rows_of(page, "clep-runs-fb15k-237")] == [7, 7]
    assert "in brackets" not in page


@pytest.mark.parametrize("skill", [0.5, 1.0])
def test_nothing_is_said_of_a_lead_over_an_under_trained_baseline(made_up, skill):
    text, board = rendered(made_up, made_up.CLEP_SKILL | {"gcn": skill, "tuned": 0.0})
    differences = {
        (row[0].split()[-1], row[1].split()[-1]): row[4] for row in rows_of(section(text), "fine-tuning-fb15k-237")
    }
    (mean,) = [
        row["mean"]
        for row in board["rows"]
        if (row["run"], row["split"], row["metric"], row["ties"], row["side"], row["breakdown"])
        == ("gcn", "test", "mrr", "realistic", "both", None)
    ]
    below = mean < 0.33  # what the order of DistMult asks of its lower method
    assert below == (skill == 0.5)
    for other in ("gcn", "warm"):
        assert ("no verdict: gcn is below 0.33" in differences["tuned", other]) == below


def test_fine_tuning_is_drawn_and_compared_with_other_beginnings(made_up):
    text, board = rendered(made_up, made_up.CLEP_SKILL)
    page = section(text)
    rows = rows_of(page, "fine-tuning-fb15k-237")
    assert [(row[0], row[1]) for row in rows] == [
        ("CLEP fine-tuned DistMult tuned", "from random weights gcn"),
        ("CLEP fine-tuned DistMult tuned", "from link prediction warm"),
        ("Warm-started DistMult warm", "from random weights gcn"),
    ]
    item = board["fine_tuning"][0]
    low, high = item["interval"]
    assert rows[0][4].startswith(f"{item['difference']:+.3f} {low:+.3f} to {high:+.3f}")
    assert rows[0][5] == "ahead in 2 of 6 epochs validated, last in epoch 3 of 11"
    assert rows[0][6] == "learning_rate: 0.05 (0.01)"
    assert rows[2][6] == "none"
    figures = re.findall(r"<figure><figcaption>(.*?)</figcaption>(.*?)</figure>", page, re.S)
    (chart,) = [drawing for run, drawing in figures if run == "tuned"]
    assert chart.count("<polyline") == chart.count("<polygon") == 3
    for name in ("from CLEP: tuned", "from random weights: gcn", "from link prediction: warm"):
        assert f"{name}</text>" in chart
    assert "warm" not in [run for run, _ in figures]  # it stands in the chart of the other


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ([0.5, 0.5, 0.5], "ahead throughout, to epoch 3"),
        ([0.1, 0.1, 0.1], "never ahead, to epoch 3"),
        ([0.5, 0.5, 0.1], "ahead in 2 of 3 epochs validated, last in epoch 2 of 3"),
        ([0.1, 0.5, 0.5], "ahead in 2 of 3 epochs validated and in the last, 3"),
        ([0.5, 0.1, 0.5], "ahead in 2 of 3 epochs validated and in the last, 3"),
        ([], "no epoch in common"),
    ],
)
def test_a_lead_is_counted_over_all_validations_of_the_mean(ours, words):
    theirs = [[(1, 0.2), (2, 0.1), (3, 0.2)], [(1, 0.2), (2, 0.3), (3, 0.2), (4, 0.9)]]
    assert lead([list(enumerate(ours, 1))], theirs) == words


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"encoder": {"kind": "bow", "texts": "short"}}, ("short", 0.8)),
        ({"encoder": "minilm", "texts": "short"}, ("short", 0.8)),  # an untrained control
        ({"encoder": {"kind": "bow", "texts": None}}, ("name", 0.9)),
        ({"encoder": "minilm"}, ("name", 0.9)),
        ({"encoder": {"texts": "other"}}, ("other", None)),
    ],
)
def test_texts_are_those_that_a_run_names_or_the_first(settings, expected):
    audit = {"texts": [{"source": "name", "oracle_mrr": 0.9}, {"source": "short", "oracle_mrr": 0.8}]}
    board = SimpleNamespace(datasets={"d": {"audit": audit}}, runs=lambda _: {"run": {"settings": settings}})
    assert texts_read(board, "d", "run") == expected


def test_nested_settings_are_flat():
    assert flat({"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}) == {"a": 1, "b.c": [1, 2], "b.d.e": None}


def test_nothing_of_the_page_is_styled_inline_or_loaded(made_up):
    text, _ = rendered(made_up, made_up.CLEP_SKILL, [text_record(HOSTILE, 0.5)])
    page = section(text)
    assert "style=" not in page
    assert "src=" not in page
    assert HOSTILE not in page
    assert "&lt;b&gt;&#34;&amp;" in page


@pytest.mark.parametrize(("run", "said"), [("clep", True), ("clep-shuffled", False)])
def test_a_run_with_shuffled_texts_is_judged_by_no_published_value(made_up, run, said):
    claims = yaml.safe_load((CLAIMS / "clep.yaml").read_text())
    (claim,) = [one for one in claims["values"] if one["id"] == "clep-fb15k-237"]
    del claim["encoder"]  # the made-up run has a bag of words
    build_leaderboard(made_up.build(Path(), claims={"clep": claims}, clep={run: 0.9}), BOARD)
    records = [one for one in json.loads(BOARD.read_text())["claims"] if one["id"] == claim["id"]]
    assert {one["verdict"] != "not run" for one in records} == {said}

import copy
import json
from pathlib import Path

import pytest

from kelbench.leaderboard.build import build_leaderboard

OUT = Path("results/made-up/leaderboard.json")
SOURCE = {"title": "A paper", "short": "Paper", "where": "Table 1", "url": "https://example.org/paper"}
VALUE = {
    "id": "v",
    "dataset": "wn18rr",
    "method": "ComplEx",
    "setting": "as printed",
    "preset": "code",
    "decimals": 3,
    "values": {"mrr": 0.5},
}


def claim_file(values=(), orderings=(), effects=(), **protocol):
    content = {"source": SOURCE, "protocol": {"ties": "realistic", "unseen": "keep", **protocol}}
    lists = {"values": list(values), "orderings": list(orderings), "effects": list(effects)}
    return {"file": content | {key: claims for key, claims in lists.items() if claims}}


def built(made_up, claims):
    build_leaderboard(made_up.build(Path(), claims=claims), OUT)
    return json.loads(OUT.read_text())


def our_mrr(made_up, run="complex", unseen="keep", dataset="wn18rr"):
    board = built(made_up, {})
    return find(board, run, unseen, dataset)["mean"]


def find(board, run="complex", unseen="keep", dataset="wn18rr", metric="mrr"):
    (row,) = [
        row
        for row in board["rows"]
        if (row["dataset"], row["run"], row["unseen"], row["metric"]) == (dataset, run, unseen, metric)
        and (row["split"], row["side"], row["ties"], row["breakdown"]) == ("test", "both", "realistic", None)
    ]
    return row


def value(**changes):
    return {**copy.deepcopy(VALUE), **changes}


def test_a_value_near_ours_is_beside_it_and_judged(made_up):
    printed = round(our_mrr(made_up), 3)
    board = built(made_up, claim_file([value(values={"mrr": printed})]))
    row = find(board)
    (published,) = row["published"]
    assert published["value"] == printed
    assert published["delta"] == pytest.approx(row["mean"] - printed)
    assert published["source"]["where"] == "Table 1"
    # 3 noisy seeds on 40 triples: the mean is inside, the test cannot tell
    assert row["verdict"] == published["verdict"] == "inconclusive"
    assert board["claims"][0]["verdict"] == "inconclusive"
    assert board["claims"][0]["rows"][0]["run"] == "complex"


def test_a_value_far_below_ours_is_exceeded_and_far_above_is_below(made_up):
    board = built(made_up, claim_file([value(values={"mrr": 0.1})]))
    assert find(board)["verdict"] == "exceeded"
    board = built(made_up, claim_file([value(values={"mrr": 0.99})]))
    assert find(board)["verdict"] == "below"


def test_two_sources_that_disagree_give_mixed(made_up):
    both = [value(values={"mrr": 0.1}), value(id="w", values={"mrr": 0.99})]
    row = find(built(made_up, claim_file(both)))
    assert [item["verdict"] for item in row["published"]] == ["exceeded", "below"]
    assert row["verdict"] == "mixed"


def test_preset_ours_shows_a_difference_and_no_verdict(made_up):
    board = built(made_up, claim_file([value(method="TransE")]))
    row = find(board, "transe")
    assert row["published"][0]["delta"] == pytest.approx(row["mean"] - 0.5)
    assert row["published"][0]["verdict"] is None
    assert row["verdict"] is None
    assert board["claims"][0]["verdict"] == "not run"
    assert "preset code" in board["claims"][0]["reason"]
    assert board["claims"][0]["rows"][0]["delta"] == pytest.approx(row["mean"] - 0.5)


def test_a_claim_of_the_other_preset_is_shown_and_not_judged(made_up):
    row = find(built(made_up, claim_file([value(preset="paper")])))
    assert row["published"][0]["verdict"] is None
    assert row["verdict"] is None


def test_another_release_is_not_comparable(made_up):
    board = built(made_up, claim_file([value(dataset_version="v2")]))
    assert find(board)["verdict"] == "not comparable"
    assert "v2" in board["claims"][0]["reason"]
    same = find(built(made_up, claim_file([value(dataset_version="first")])))
    assert same["verdict"] == "exceeded"


def test_other_tie_rules_are_comparable_while_ties_move_little(made_up):
    row = find(built(made_up, claim_file([value()], ties="pessimistic")))
    assert row["verdict"] == "exceeded"  # complex has no ties
    board = built(made_up, claim_file([value(method="TransE")], ties="pessimistic"))
    assert "ties move our MRR" in find(board, "transe")["published"][0]["reason"]


def test_a_claim_with_unseen_entities_dropped_joins_those_rows(made_up):
    board = built(made_up, claim_file([value()], unseen="drop"))
    assert find(board)["published"] == []
    assert find(board, unseen="drop")["published"][0]["id"] == "v"


def test_where_nothing_is_unseen_both_policies_are_one(made_up):
    board = built(made_up, claim_file([value(dataset="tiny")], unseen="drop"))
    assert find(board, dataset="tiny")["published"][0]["id"] == "v"


def test_the_engine_joins(made_up):
    board = built(made_up, claim_file([value(dataset="tiny", engine="pykeen")]))
    assert find(board, dataset="tiny")["published"] == []
    assert find(board, "complex-pykeen", dataset="tiny")["published"][0]["id"] == "v"


def test_a_sampled_metric_joins_no_row_and_says_why(made_up):
    sampled = value(values={"sampled_hits@10_of_50": 0.9}, not_comparable="a sampled metric")
    board = built(made_up, claim_file([sampled]))
    assert all(not row["published"] for row in board["rows"])
    assert (board["claims"][0]["verdict"], board["claims"][0]["reason"]) == ("not comparable", "a sampled metric")


def test_a_dataset_outside_the_experiment_is_not_run(made_up):
    board = built(made_up, claim_file([value(dataset="fb15k-237")]))
    assert board["claims"][0]["verdict"] == "not run"
    assert "fb15k-237" in board["claims"][0]["reason"]


ORDER = {"id": "o", "dataset": "tiny", "higher": "SimplE", "lower": "TransE", "printed": "2, 1"}


def test_an_order_is_reproduced_or_reversed(made_up):
    board = built(made_up, claim_file(orderings=[ORDER]))
    assert board["claims"][0]["verdict"] == "reproduced"
    board = built(made_up, claim_file(orderings=[ORDER | {"higher": "TransE", "lower": "SimplE"}]))
    assert board["claims"][0]["verdict"] == "below"
    assert "reversed" in board["claims"][0]["reason"]


def test_an_order_between_equal_runs_is_inconclusive(made_up):
    order = ORDER | {"higher": "SimplE", "lower": "SimplE"}
    assert built(made_up, claim_file(orderings=[order]))["claims"][0]["verdict"] == "inconclusive"


def test_an_order_is_tested_on_a_stand_in_that_is_named(made_up):
    order = ORDER | {"dataset": "wikidata5m-transductive", "stand_ins": ["codex-s", "tiny"]}
    claim = built(made_up, claim_file(orderings=[order]))["claims"][0]
    assert (claim["verdict"], claim["tested_on"]) == ("reproduced", "tiny")
    alone = built(made_up, claim_file(orderings=[order | {"stand_ins": []}]))["claims"][0]
    assert alone["verdict"] == "not run"


EFFECT = {"id": "e", "dataset": "wn18rr", "of": "drop unseen entities", "value": 0.0, "decimals": 1}


def test_an_effect_is_the_mean_gain_of_methods_without_controls(made_up):
    claim = built(made_up, claim_file(effects=[EFFECT]))["claims"][0]
    assert {row["run"] for row in claim["rows"]} == {"complex", "transe"}
    assert claim["verdict"] == "reproduced"  # the margin is .02 + .05 here
    large = built(made_up, claim_file(effects=[EFFECT | {"value": 0.9}]))["claims"][0]
    assert large["verdict"] == "below"
    elsewhere = built(made_up, claim_file(effects=[EFFECT | {"dataset": "tiny"}]))["claims"][0]
    assert elsewhere["verdict"] == "not run"

"""Which runs a fine-tuned one is compared with, on rows made up for it."""

import pytest

from kelbench.leaderboard.fine_tuning import starts_compared
from kelbench.leaderboard.rows import Rows
from kelbench.leaderboard.statistics import Difference

CONVE = {"decoder": "conve", "start": None, "learning_rate": 0.1}
SETTINGS = {
    "clep": {"graph": {}, "loss": "all"},
    "random": CONVE,
    "random-slow": CONVE | {"learning_rate": 0.01},
    "tuned": CONVE | {"start": "clep"},
    "warm": CONVE | {"start": "random"},
    "distmult": CONVE | {"decoder": "distmult"},
    "tuned-distmult": CONVE | {"decoder": "distmult", "start": "clep", "learning_rate": 7},
    "tuned-rescal": CONVE | {"decoder": "rescal", "start": "clep"},
}
MRR = {
    "clep": 0.3,
    "random": 0.35,
    "random-slow": 0.36,
    "tuned": 0.34,
    "warm": 0.37,
    "distmult": 0.2,
    "tuned-distmult": 0.25,
    "tuned-rescal": 0.1,
}


def compared(settings=SETTINGS, **mrr):
    shared = {"candidates": "all", "unseen": "keep", "side": "both", "ties": "realistic", "metric": "mrr"}
    rows = [
        {**shared, "dataset": "d", "run": run, "split": split, "mean": value, "n_seeds": 3, "breakdown": None}
        for run, value in (MRR | mrr).items()
        for split in ("valid", "test")
    ]

    def compare(dataset, run, other):
        gap = (MRR | mrr)[run] - (MRR | mrr)[other]
        return Difference(gap, (gap - 0.01, gap + 0.01), 0.01)

    return starts_compared(Rows(rows, {"d": "all"}, {}), "d", settings, compare)


def test_each_is_compared_with_every_other_beginning_of_its_decoder():
    found = [(item["run"], item["compared_with"], item["began"], item["other_began"]) for item in compared()]
    assert found == [
        ("tuned", "random", "pre-training", "random"),
        ("tuned", "warm", "pre-training", "link prediction"),
        ("tuned-distmult", "distmult", "pre-training", "random"),
        ("warm", "random", "link prediction", "random"),
    ]


def test_the_difference_is_the_fine_tuned_minus_the_other_with_holm():
    first = compared()[0]
    assert first["difference"] == pytest.approx(-0.01)
    assert first["interval"] == pytest.approx((-0.02, 0.0))
    assert (first["p"], first["p_holm"], first["decoder"], first["n_seeds"]) == (0.01, 0.04, "conve", 3)


def test_without_equal_settings_the_best_on_validation_stands_in():
    changed = SETTINGS | {"tuned": CONVE | {"start": "clep", "learning_rate": 9}}
    assert compared(changed)[0]["compared_with"] == "random-slow"
    assert compared(changed, random=0.9)[0]["compared_with"] == "random"


def test_pre_training_on_the_texts_of_other_entities_is_a_beginning_of_its_own():
    more = {"dealt": {"loss": "all", "shuffled_texts": True}, "tuned-dealt": CONVE | {"start": "dealt"}}
    found = [
        (item["run"], item["compared_with"], item["other_began"])
        for item in compared(SETTINGS | more, **{"tuned-dealt": 0.33, "dealt": 0.2})
        if "tuned-dealt" in (item["run"], item["compared_with"])
    ]
    assert found == [("tuned", "tuned-dealt", "shuffled texts"), ("tuned-dealt", "random", "random")]


def test_another_graph_encoder_is_no_twin():
    changed = SETTINGS | {"distmult": SETTINGS["distmult"] | {"graph": {"kind": "rgcn"}}}
    assert "tuned-distmult" not in [item["run"] for item in compared(changed)]


def test_without_decoders_there_is_nothing():
    assert compared({"clep": SETTINGS["clep"]}) == []

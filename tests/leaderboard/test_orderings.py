"""Which runs an order is tested with, on rows made up for it."""

import pytest

from kelbench.config.claims import ClaimFile
from kelbench.leaderboard.orderings import ordering_records
from kelbench.leaderboard.rows import Rows
from kelbench.leaderboard.statistics import Difference
from kelbench.leaderboard.word_bags import bags_against_transformers

CLAIM = {
    "id": "o",
    "dataset": "own",
    "higher": "KEPLER-Wiki",
    "lower": "KEPLER-KE",
    "printed": "2, 1",
    "stand_ins": ["first", "second"],
}


class Made:
    """Rows of made-up runs; the difference between two is that of their test MRR."""

    def __init__(self):
        self.rows = []
        self.test = {}
        self.setups = {}
        self.altered = frozenset()

    def run(
        self, name, method, mrr, encoder="tiny", preset="ours", dataset="first", valid=None, engine="native", setup=()
    ):
        self.setups[dataset, name] = setup
        for split, value in (("valid", mrr if valid is None else valid), ("test", mrr)):
            self.rows.append(
                {
                    "dataset": dataset,
                    "run": name,
                    "method": method,
                    "encoder": encoder,
                    "preset": preset,
                    "engine": engine,
                    "split": split,
                    "candidates": "all",
                    "unseen": "keep",
                    "side": "both",
                    "ties": "realistic",
                    "metric": "mrr",
                    "breakdown": None,
                    "mean": value,
                    "n_seeds": 3,
                }
            )
        self.test[dataset, name] = mrr
        return self

    def view(self):
        return Rows(self.rows, {dataset: "all" for dataset, _ in self.test}, self.setups, self.altered)

    def compare(self, dataset, run, other):
        value = self.test[dataset, run] - self.test[dataset, other]
        return Difference(value, (value - 0.01, value + 0.01), 0.02)

    def tested(self, **changes):
        """(dataset, higher run, lower run, verdict) of each record."""
        file = ClaimFile.model_validate(
            {
                "source": {"title": "t", "short": "s", "where": "w", "url": "https://example.org"},
                "protocol": {"ties": "realistic", "unseen": "keep"},
                "orderings": [CLAIM | changes],
            }
        )
        records = ordering_records(self.view(), file, file.orderings[0], self.compare)
        for record in records:
            if record["rows"]:
                higher, lower = record["rows"]
                assert record["difference"] == pytest.approx(higher["mean"] - lower["mean"])
                assert record["interval"] == pytest.approx((record["difference"] - 0.01, record["difference"] + 0.01))
        return [(r["tested_on"], *(row["run"] for row in r["rows"]), r["verdict"]) for r in records]


def test_equal_encoders_are_compared_and_others_are_not():
    made = Made().run("wiki", "KEPLER-Wiki", 0.3).run("ke", "KEPLER-KE", 0.2).run("bag", "KEPLER-KE", 0.9, "bow")
    made.run("wiki-minilm", "KEPLER-Wiki", 0.4, "minilm").run("ke-minilm", "KEPLER-KE", 0.5, "minilm")
    assert made.tested() == [
        ("first", "wiki-minilm", "ke-minilm", "below"),
        ("first", "wiki", "ke", "reproduced"),
    ]


def test_equal_presets_are_compared_and_others_are_not():
    made = Made().run("wiki", "KEPLER-Wiki", 0.3).run("ke-paper", "KEPLER-KE", 0.2, preset="paper")
    assert made.tested() == [(None, "not run")]
    made.run("wiki-paper", "KEPLER-Wiki", 0.1, preset="paper")
    assert made.tested() == [("first", "wiki-paper", "ke-paper", "below")]


def test_of_several_runs_of_a_kind_the_one_that_validates_best_is_taken():
    made = Made().run("wiki", "KEPLER-Wiki", 0.3).run("ke-a", "KEPLER-KE", 0.5, valid=0.1)
    made.run("ke-b", "KEPLER-KE", 0.2, valid=0.4).run("ke-c", "KEPLER-KE", 0.6, valid=0.3)
    assert made.tested() == [("first", "wiki", "ke-b", "reproduced")]


def test_a_method_without_a_choice_of_encoder_meets_every_encoder():
    made = Made().run("wiki", "KEPLER-Wiki", 0.3).run("wiki-minilm", "KEPLER-Wiki", 0.5, "minilm")
    made.run("dkrl", "DKRL", 0.4, "cnn").run("transe", "TransE", 0.1, None)
    minilm, tiny = ("first", "wiki-minilm"), ("first", "wiki")
    assert made.tested(lower="DKRL") == [(*minilm, "dkrl", "reproduced"), (*tiny, "dkrl", "below")]
    assert made.tested(lower="TransE") == [(*minilm, "transe", "reproduced"), (*tiny, "transe", "reproduced")]


def test_encoders_that_the_claim_names_are_compared_with_each_other():
    made = Made().run("wiki", "KEPLER-Wiki", 0.3).run("ke", "KEPLER-KE", 0.2).run("bag", "KEPLER-KE", 0.9, "bow")
    changes = {"higher": "KEPLER-KE", "higher_encoder": "bow", "lower": "KEPLER-Wiki", "lower_encoder": "transformer"}
    assert made.tested(**changes) == [("first", "bag", "wiki", "reproduced")]
    assert made.tested(**changes, dataset="first", stand_ins=[]) == [("first", "bag", "wiki", "reproduced")]


def test_one_encoder_alone_cannot_be_named():
    with pytest.raises(ValueError, match="go together"):
        Made().tested(higher_encoder="bow")


def test_every_stand_in_is_tested_unless_the_datasets_own_is_there():
    made = Made()
    for dataset, gap in (("first", 0.1), ("second", -0.1), ("third", 0.1)):
        made.run("wiki", "KEPLER-Wiki", 0.3, dataset=dataset).run("ke", "KEPLER-KE", 0.3 - gap, dataset=dataset)
    assert made.tested() == [("first", "wiki", "ke", "reproduced"), ("second", "wiki", "ke", "below")]
    made.run("wiki", "KEPLER-Wiki", 0.305, dataset="own").run("ke", "KEPLER-KE", 0.3, dataset="own")
    assert made.tested() == [("own", "wiki", "ke", "inconclusive")]


def test_the_other_engines_runs_are_left_alone():
    made = Made().run("a", "TransE", 0.3, None).run("b", "ComplEx", 0.2, None, engine="pykeen")
    assert made.tested(higher="TransE", lower="ComplEx") == [(None, "not run")]


def test_a_trained_bag_of_words_is_compared_with_the_best_transformer_by_validation():
    made = Made().run("cosine", "Text cosine", 0.9, "bow").run("bag", "KEPLER-KE", 0.4, "bow")
    made.run("wiki", "KEPLER-Wiki", 0.3, valid=0.2).run("cond", "KEPLER-Cond", 0.1, valid=0.25, preset="paper")
    made.run("pair", "Bi-encoder", 0.8, valid=0.1).run("dkrl", "DKRL", 0.8, "cnn").run(
        "bag", "KEPLER-KE", 0.4, "bow", dataset="x"
    )
    (found,) = bags_against_transformers(made.view(), ["first", "x"], {"Text cosine"}, made.compare)
    assert (found["dataset"], found["bag_of_words"], found["transformer"]) == ("first", "bag", "cond")
    assert found["difference"] == pytest.approx(0.3)
    assert found["interval"] == pytest.approx((0.29, 0.31))


def test_a_bag_of_words_that_loses_is_recorded_too():
    made = Made().run("bag", "Bi-encoder", 0.2, "bow").run("wiki", "KEPLER-Wiki", 0.3, "hf:roberta-base@1")
    (found,) = bags_against_transformers(made.view(), ["first"], set(), made.compare)
    assert found["difference"] == pytest.approx(-0.1)


def test_runs_that_were_trained_otherwise_are_not_compared():
    made = Made().run("wiki", "KEPLER-Wiki", 0.5, setup=("cosine", "prose"))
    # One that has no such loss, as the knowledge embedding alone, is compared whatever that of the other is.
    made.run("ke", "KEPLER-KE", 0.4, setup=("cosine", None)).run("ke-l1", "KEPLER-KE", 0.6, setup=("l1", None))
    assert made.tested() == [("first", "wiki", "ke", "reproduced")]
    made.run("language", "MLM only", 0.1, setup=(None, "prose"))
    made.run("language-on-descriptions", "MLM only", 0.2, setup=(None, "descriptions"))
    assert made.tested(lower="MLM only") == [("first", "wiki", "language", "reproduced")]


def test_no_verdict_over_a_method_that_is_under_trained():
    made = Made().run("wiki", "KEPLER-Wiki", 0.5).run("ke", "KEPLER-KE", 0.3)
    own = {"dataset": "first", "stand_ins": []}
    assert made.tested(**own, lower_at_least=0.3) == [("first", "wiki", "ke", "reproduced")]
    assert made.tested(**own, lower_at_least=0.31) == [("first", "wiki", "ke", "inconclusive")]
    # On a stand-in it would have another value.
    assert made.tested(lower_at_least=0.31) == [("first", "wiki", "ke", "reproduced")]


def test_a_run_with_a_scrambled_graph_or_texts_speaks_for_no_method():
    made = Made().run("wiki", "KEPLER-Wiki", 0.5).run("ke", "KEPLER-KE", 0.3).run("shuffled", "KEPLER-Wiki", 0.9)
    assert made.tested() == [("first", "shuffled", "ke", "reproduced")]
    made.altered = frozenset({("first", "shuffled")})
    assert made.tested() == [("first", "wiki", "ke", "reproduced")]

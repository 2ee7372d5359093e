"""KEPLER's three tables of link prediction and what was published beside them, as they stand in config/claims."""

from pathlib import Path

import pytest
import yaml

from kelbench.base.errors import UserError
from kelbench.config.claims import OrderingClaim, ValueClaim, encoder_fits, load_claims
from kelbench.config.experiment import Experiment

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "config/claims"
# As printed: MR, and MRR and Hits@1, 3, 10 in percent.
TABLES = {
    "Table 4": """
        TransE   109370 25.3 17.0 31.1 39.2
        DistMult 211030 25.3 20.8 27.8 33.4
        ComplEx  244540 28.1 22.8 31.0 37.3
        SimplE   115263 29.6 25.2 31.7 37.7
        RotatE   89459  29.0 23.4 32.2 39.0""",
    "Table 9a": """
        TransE      109370  25.3 17.0 31.1 39.2
        TransE-1    406957  6.0  1.8  8.0  13.6
        DKRL        31566   16.0 12.0 18.1 22.9
        RoBERTa     1381597 0.1  0.0  0.1  0.3
        Our_RoBERTa 1756130 0.1  0.0  0.1  0.2
        KEPLER-KE   76735   8.2  4.9  8.9  15.1
        KEPLER-Rel  15820   6.6  3.7  7.0  11.7
        KEPLER-Wiki 14454   15.4 10.5 17.4 24.4
        KEPLER-Cond 20267   21.0 17.3 22.4 27.7""",
    "Table 9b": """
        DKRL        78   23.1 5.9  32.0 54.6
        RoBERTa     723  7.4  0.7  1.0  19.6
        Our_RoBERTa 1070 5.8  1.9  6.3  13.0
        KEPLER-KE   138  17.8 5.7  22.9 40.7
        KEPLER-Rel  35   33.4 15.9 43.5 66.1
        KEPLER-Wiki 32   35.1 15.4 46.9 71.9
        KEPLER-Cond 28   40.2 22.2 51.4 73.0""",
}
METRICS = ("mr", "mrr", "hits@1", "hits@3", "hits@10")


def shipped(kind, short, where=None):
    return [
        (file, claim)
        for file, claim in load_claims(CLAIMS)
        if isinstance(claim, kind) and file.source.short == short and where in (None, file.source.where)
    ]


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_hold_every_number_as_printed(table):
    expected = []
    for line in TABLES[table].split("\n")[1:]:
        name, rank, *shares = line.split()
        values = [float(rank), *(round(float(share) / 100, 3) for share in shares)]
        expected.append((name.replace("_", " "), dict(zip(METRICS, values, strict=True))))
    found = [(claim.printed_as or claim.method, claim.values) for _, claim in shipped(ValueClaim, "KEPLER", table)]
    assert found == expected


def test_versions_and_protocols_are_those_of_the_tables():
    for file, claim in shipped(ValueClaim, "KEPLER"):
        inductive = file.source.where == "Table 9b"
        assert claim.dataset == ("wikidata5m-inductive" if inductive else "wikidata5m-transductive")
        protocol = file.protocol
        assert (protocol.ties, protocol.side, protocol.filter) == ("pessimistic", "both", "standard")
        assert (protocol.candidates, protocol.unseen) == (("split", "keep") if inductive else ("all", "drop"))
        baseline = file.source.where == "Table 4" or claim.method == "TransE"
        if claim.not_comparable is None:
            assert claim.dataset_version.startswith("GraphVite") if baseline else claim.dataset_version == "v3"


def test_what_is_odd_about_a_printed_number_is_said():
    noted = [(file.source.where, claim.method) for file, claim in shipped(ValueClaim, "KEPLER") if claim.note]
    assert noted == [("Table 9b", "RoBERTa")]


def test_published_values_say_which_encoder_they_are_of():
    for file, claim in shipped(ValueClaim, "KEPLER"):
        if claim.method.startswith("KEPLER-"):
            assert (claim.encoder, claim.cost.url) == ("transformer", "https://github.com/THU-KEG/KEPLER/issues/14")
            assert str(file.experiment) == "config/kepler-wikidata5m.yaml"


def test_orderings_are_those_of_the_tables():
    """Each holds among the printed values of its own table."""
    found = shipped(OrderingClaim, "KEPLER", "Table 9a") + shipped(OrderingClaim, "KEPLER", "Table 9b")
    assert len(found) == 11
    for file, claim in found:
        mrr = {c.method: c.values["mrr"] for _, c in shipped(ValueClaim, "KEPLER", file.source.where)}
        assert mrr[claim.higher] > mrr[claim.lower]
        for method in (claim.higher, claim.lower):
            assert f"{100 * mrr[method]:.1f}" in claim.printed
        assert claim.stand_ins == (["atlas"] if file.source.where == "Table 9a" else ["atlas-full", "atlas-semi"])


def test_a_bag_of_words_was_published_above_kepler():
    ((_, claim),) = shipped(OrderingClaim, "BLP")
    assert (claim.higher_encoder, claim.lower, claim.lower_encoder) == ("bow", "KEPLER-Wiki", "transformer")
    above = {c.values["mrr"] for _, c in shipped(ValueClaim, "BLP") if c.printed_as == "BE-BOW"}
    assert above == {0.362, 0.173, 0.180}


def test_splits_of_others_are_never_comparable():
    versions = {claim.dataset: claim.dataset_version for _, claim in shipped(ValueClaim, "BLP")}
    assert set(versions) == {"fb15k-237-semi", "wn18rr-semi", "wikidata5m-inductive"}
    assert all(version.startswith("BLP's") for version in versions.values())


def test_simkgc_is_comparable_only_where_it_does_not_rank_anew():
    comparable = {
        claim.dataset: claim.not_comparable is None and claim.values["mrr"]
        for _, claim in shipped(ValueClaim, "SimKGC")
    }
    assert comparable == {
        "wikidata5m-inductive": 0.714,
        "wikidata5m-transductive": False,
        "wn18rr": False,
        "fb15k-237": False,
    }


@pytest.mark.parametrize(
    ("claimed", "kinds"),
    [
        (None, ["bow", "cnn", "tiny", "minilm", "hf:roberta-base@1", None]),
        ("transformer", ["tiny", "minilm", "hf:roberta-base@1"]),
        ("bow", ["bow"]),
        ("hf:roberta-base@1", ["hf:roberta-base@1"]),
    ],
)
def test_which_encoders_a_claim_speaks_of(claimed, kinds):
    every = ["bow", "cnn", "tiny", "minilm", "hf:roberta-base@1", None]
    assert [kind for kind in every if encoder_fits(claimed, kind)] == kinds


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": "gru"}, "encoder"),
        ({"cost": {"words": "much", "where": "here", "url": "http://example.org"}}, "https"),
    ],
)
def test_an_unknown_encoder_and_a_cost_without_an_address_are_errors(tmp_path, changes, words):
    content = yaml.safe_load((CLAIMS / "kepler-inductive.yaml").read_text())
    content["values"] = [content["values"][0] | changes]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=words):
        load_claims(tmp_path)


@pytest.mark.skipif(not (ROOT / "config/kepler-wikidata5m.yaml").is_file(), reason="the experiment is not shipped yet")
def test_the_experiment_that_claims_name_runs_their_methods_on_their_datasets(monkeypatch):
    """The report prints it as the command for what is not run."""
    monkeypatch.chdir(ROOT)
    named = [(file.experiment, claim) for file, claim in shipped(ValueClaim, "KEPLER") if not claim.not_comparable]
    (path,) = {experiment for experiment, _ in named}
    runs = {(run.dataset, run.method_label) for run in Experiment(path).runs.values()}
    assert {(claim.dataset, claim.method) for _, claim in named} <= runs

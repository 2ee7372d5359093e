import json

import pytest

from kelbench.base.errors import UserError
from kelbench.data.audits import audit_dataset
from kelbench.data.fetch import fetch_dataset
from kelbench.data.prepare import prepare_dataset


@pytest.fixture
def audit(workplace):
    """Fetch, prepare and audit; the report and its checks by name and split."""

    def run(settings):
        fetch_dataset(settings, workplace / "receipt.json")
        prepare_dataset(settings, workplace / "prepared")
        audit_dataset(workplace / "prepared")
        report = json.loads((workplace / "prepared/audit.json").read_text())
        found = {}
        for check in report["checks"]:
            assert set(check) == {"check", "split", "count", "of", "severity", "explanation"}
            assert check["severity"] in ("ok", "note", "warning")
            assert (check["severity"] == "ok") == (check["count"] == 0)
            assert 0 <= check["count"] <= check["of"] or check["of"] == 0
            found[check["check"], check["split"], check["explanation"].rsplit(" in ", 1)[-1]] = check
        by_name = {}
        for (name, split, _), check in found.items():
            by_name.setdefault((name, split), []).append(check)
        return report, by_name

    return run


@pytest.fixture
def transductive(make_dataset, tsv):
    def build(train, valid, test, **changes):
        contents = {"train.tsv": tsv(*train), "valid.tsv": tsv(*valid), "test.tsv": tsv(*test)}
        extra = changes.pop("contents", {})
        parts = {part: f"{part}.tsv" for part in ("train", "valid", "test")}
        return make_dataset("transductive", contents | extra, parts, **changes)

    return build


def only(checks, name, split):
    (check,) = checks[name, split]
    return check["count"], check["of"], check["severity"]


def test_repeats_loops_and_shared_triples(audit, transductive):
    train = ["a r b", "a r b", "b r c", "c r c"]
    _, checks = audit(transductive(train, ["a r c", "a r b"], ["c r a", "b r c", "a r c", "c r a"]))
    assert only(checks, "repeated triples", "train") == (1, 4, "note")
    assert only(checks, "repeated triples", "test") == (1, 4, "warning")
    assert only(checks, "loops", "train") == (1, 4, "note")
    assert only(checks, "shared triples", "valid") == (1, 2, "warning")
    shared = {check["explanation"]: check["count"] for check in checks["shared triples", "test"]}
    assert shared == {"triples that stand in train too": 1, "triples that stand in valid too": 1}


def test_leakage_by_inverse_and_by_the_same_pair(audit, transductive):
    train = ["a r b", "b s c", "c r d", "a r d"]
    test = ["b s a", "d r a", "a s b", "a r c", "a r b"]
    _, checks = audit(transductive(train, ["a r c"], test))
    assert only(checks, "inverse leakage", "test") == (2, 5, "warning")  # b s a of a r b, d r a of a r d
    assert only(checks, "same pair", "test") == (1, 5, "warning")  # a s b beside a r b; a r b itself is shared
    assert only(checks, "inverse leakage", "valid") == (0, 1, "ok")


def test_relations_that_repeat_others(audit, transductive):
    pairs = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "a")]
    train = [f"{h} parent {t}" for h, t in pairs]
    train += [f"{t} child {h}" for h, t in pairs[:4]] + ["b child x"]
    train += [f"{h} mother {t}" for h, t in pairs]
    train += ["a married b", "b married a", "c married d", "d married c", "a near b"]
    report, checks = audit(transductive(train, ["a parent c"], ["a parent c"]))
    found = {(pair["kind"], pair["relation"], pair["other"]): pair for pair in report["relation_pairs"]}
    assert set(found) == {
        ("inverse", "child", "parent"),
        ("inverse", "child", "mother"),
        ("duplicate", "mother", "parent"),
        ("symmetric", "married", "married"),
    }
    assert (found["inverse", "child", "parent"]["share"], found["inverse", "child", "parent"]["other_share"]) == (
        0.8,
        0.8,
    )
    assert found["duplicate", "mother", "parent"]["share"] == 1.0
    assert only(checks, "inverse relations", "train") == (3, 5, "note")
    assert only(checks, "symmetric relations", "train") == (1, 5, "note")


def test_unseen_entities_and_relations(audit, transductive):
    _, checks = audit(transductive(["a r b", "b r c"], ["a r c"], ["a r x", "x r y", "a s b"]))
    assert only(checks, "unseen entities", "test") == (2, 4, "warning")
    assert only(checks, "triples with an unseen entity", "test") == (2, 3, "warning")
    assert only(checks, "triples with an unseen relation", "test") == (1, 3, "warning")
    assert only(checks, "unseen entities", "valid") == (0, 2, "ok")


def test_degrees_and_texts(audit, transductive):
    texts = b"a\tsame\nb\tsame\nc\tother\n"
    settings = transductive(
        ["a r b", "a r c", "a r a", "a r b"],
        ["b r c"],
        ["x r c"],
        contents={"texts.tsv": texts},
        entity_texts={"gloss": {"file": "texts.tsv", "format": "tsv"}},
    )
    report, checks = audit(settings)
    assert report["degrees"] == {
        "train": {"entities": 4, "without": 1, "min": 0, "median": 1.5, "mean": 1.75, "max": 4}
    }
    assert only(checks, "entities without text", "train") == (1, 4, "note")
    assert only(checks, "entities with a shared text", "train") == (2, 3, "note")
    assert ("relations without text", "all") not in checks


def test_normalised_files_and_padded_labels(audit, make_dataset):
    contents = {
        "train.tsv": b"\xef\xbb\xbfa\tr\tb\r\nb \tr\ta\r\n",
        "valid.tsv": b"a\tr\ta\n",
        "test.tsv": b"b\tr\ta\n",
    }
    _, checks = audit(make_dataset("transductive", contents, {name[:-4]: name for name in contents}))
    assert only(checks, "byte order mark", "train.tsv")[0] == 1
    assert only(checks, "CRLF line ends", "train.tsv")[0] == 2
    assert only(checks, "CRLF line ends", "test.tsv")[0] == 0
    assert only(checks, "padded labels", "all") == (1, 4, "warning")


def test_inductive_graphs_are_compared_by_label(audit, make_dataset, tsv):
    contents = {
        "train.txt": tsv("a r b", "b r c"),
        "valid.txt": tsv("a r c"),
        "ind-train.txt": tsv("x r y", "y r a", "y s x"),
        "ind-valid.txt": tsv("x r a"),
        "ind-test.txt": tsv("x r a", "y r x", "b r x"),
    }
    parts = dict(zip(("train", "valid", "inference", "inference_valid", "test"), contents, strict=True))
    report, checks = audit(make_dataset("grail", contents, parts))
    assert only(checks, "shared entities", "test") == (2, 4, "warning")
    shared = {check["explanation"]: check["count"] for check in checks["shared triples", "test"]}
    assert shared["triples that stand in test known too"] == 1
    assert only(checks, "inverse leakage", "test") == (1, 3, "warning")
    assert only(checks, "same pair", "test") == (1, 3, "warning")
    assert only(checks, "triples with an unseen relation", "test support") == (1, 3, "note")
    assert only(checks, "unseen entities", "test") == (1, 4, "warning")  # b of this graph has an id of its own
    assert report["degrees"]["test"] == {"entities": 4, "without": 1, "min": 0, "median": 1.5, "mean": 1.5, "max": 3}


def test_an_audit_needs_a_prepared_dataset(tmp_path):
    with pytest.raises(UserError, match="run the step that makes it first"):
        audit_dataset(tmp_path)

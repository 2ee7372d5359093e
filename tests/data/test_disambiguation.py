"""Wikidata-Disambig's examples as mentions, and a graph most of whose entities have a text and no triple."""

import json

import pytest

from kelbench.base.errors import UserError
from kelbench.config.datasets import load_dataset
from kelbench.data.disambiguation import write_mentions
from kelbench.data.fetch import fetch_dataset
from kelbench.data.linking import read_mentions
from kelbench.data.prepare import prepare_dataset
from kelbench.data.prepared import PreparedDataset

LATIN = {"string": "latin", "text": " was written in Latin, not in latin ", "correct_id": "Q397", "wrong_id": "Q2"}


def example(**changes):
    return LATIN | changes


def written(tmp_path, rows, entities=("Q397", "Q2")):
    (tmp_path / "test.json").write_text(json.dumps(rows))
    files, facts = write_mentions(tmp_path, {"test": tmp_path / "test.json"}, set(entities))
    assert files == ["tasks/entity_linking/test.jsonl"]
    return [json.loads(line) for line in (tmp_path / files[0]).read_text().splitlines()], facts["entity_linking"][
        "test"
    ]


def test_the_first_place_of_the_string_is_the_mention(tmp_path):
    ((read,), _) = written(tmp_path, [LATIN])
    assert read["text"][slice(*read["mention"])] == "Latin"
    assert (read["entity"], read["candidates"], read["document"]) == ("Q397", ["Q2", "Q397"], None)


def test_examples_without_an_entity_are_left_out_and_counted(tmp_path):
    rows, facts = written(tmp_path, [LATIN, example(wrong_id="Q9"), example(correct_id="Q9")])
    assert [row["candidates"] for row in rows] == [["Q2", "Q397"], ["Q397"]]
    assert facts == {"examples": 2, "labels": {"2 candidates": 1, "1 candidates": 1}, "left_out": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "test.json:1: expected JSON"),
        ("{}", "expected a list of examples, found dict"),
        (json.dumps([LATIN, {"string": "x"}]), "example 1: expected texts for string, text, correct_id, wrong_id"),
        (json.dumps([example(string="greek")]), "example 0: expected the string in the text"),
    ],
)
def test_malformed_examples_are_named(tmp_path, content, message):
    (tmp_path / "test.json").write_text(content)
    with pytest.raises(UserError, match=message):
        write_mentions(tmp_path, {"test": tmp_path / "test.json"}, set())
    assert not (tmp_path / "tasks").exists()


@pytest.fixture
def disambiguation(make_dataset, tmp_path):
    """A graph of 18 triples, fields between spaces; two files of captions; and examples."""
    triples = "".join(f"Q{number} P1 Q{(number + step) % 9}\n" for number in range(9) for step in (1, 2))
    captions = [
        {f"Q{number}": {"label": f"n {number}", "caption": f"a  thing of {number}"} for number in range(3, 12)},
        {"Q11": {"label": "n 11", "caption": "a thing of 11"}, "Q397": {"label": "Latin", "caption": "language"}},
    ]
    examples = [example(wrong_id="Q11"), example(correct_id="Q3", wrong_id="Q397", string="written")]
    contents = {
        "graph.txt": triples.encode(),
        "one.json": json.dumps(captions[0]).encode(),
        "two.json": json.dumps(captions[1]).encode(),
        "valid.json": json.dumps(examples[:1]).encode(),
        "test.json": json.dumps(examples).encode(),
    }
    source = {"file": "one.json", "further": ["two.json"], "format": "label_captions_json"}

    def build(**changes):
        return make_dataset(
            "pairs",
            contents | changes.pop("contents", {}),
            {"graph": "graph.txt"},
            split={"valid": 0.1, "test": 0.1, "seed": 1},
            **(
                {
                    "entity_texts": {"wikidata": source},
                    "texts_are_entities": True,
                    "linking": {"valid": "valid.json", "test": "test.json"},
                }
                | changes
            ),
        )

    return build


def prepared(settings, tmp_path):
    spaced = settings.triples["graph"].model_copy(update={"separator": "space"})
    settings = settings.model_copy(update={"triples": {"graph": spaced}})
    fetch_dataset(settings, tmp_path / "receipt.json")
    prepare_dataset(settings, tmp_path / "prepared")
    return PreparedDataset(tmp_path / "prepared")


def test_whoever_has_a_text_is_an_entity(disambiguation, tmp_path):
    dataset = prepared(disambiguation(), tmp_path)
    assert dataset.entity_labels() == sorted([f"Q{number}" for number in range(12)] + ["Q397"])
    texts = dict(zip(dataset.entity_labels(), dataset.entity_texts("wikidata"), strict=True))
    assert (texts["Q0"], texts["Q11"], texts["Q397"]) == ("", "n 11: a thing of 11", "Latin: language")
    assert sum(len(dataset.triples(part)) for part in ("train", "valid", "test")) == 18
    mentions = read_mentions(dataset, "test")
    assert mentions.documents.tolist() == [-1, -1]
    assert not mentions.connected[0]
    assert mentions.surfaces == ["Latin", "written"]


def test_without_the_key_they_are_not(disambiguation, tmp_path):
    dataset = prepared(disambiguation(texts_are_entities=False), tmp_path)
    assert dataset.entity_labels() == [f"Q{number}" for number in range(9)]
    assert read_mentions(dataset, "test").surfaces == ["written"]


def test_two_files_may_not_give_two_texts(disambiguation, tmp_path):
    other = json.dumps({"Q11": {"label": "n 11", "caption": "another"}}).encode()
    with pytest.raises(UserError, match=r"two\.json: Q11: expected the text that one\.json has, found another"):
        prepared(disambiguation(contents={"two.json": other}), tmp_path)


def test_keys_that_do_not_fit_are_refused(disambiguation):
    with pytest.raises(
        ValueError, match=r"tset\.json is not one of the files of this dataset; did you mean 'test\.json'"
    ):
        disambiguation(linking={"valid": "valid.json", "test": "tset.json"})
    with pytest.raises(ValueError, match="texts_are_entities goes with layout: pairs and entity_texts"):
        disambiguation(entity_texts={}, linking=None)
    with pytest.raises(ValueError, match="linking goes with entity_texts"):
        disambiguation(entity_texts={}, texts_are_entities=False)


def test_the_registered_examples(registry, workplace):
    settings = load_dataset("wikidata-disambig", registry)
    assert settings.linking is not None
    assert "tasks/entity_linking/test.jsonl" in settings.digests

import io
import json

import pytest

from kelbench.base.errors import UserError
from kelbench.data.texts import read_texts


def read(content: bytes, form="tsv"):
    return read_texts(io.BytesIO(content), "texts.txt", form)[0]


def refuse(content: bytes, form="tsv") -> str:
    with pytest.raises(UserError) as caught:
        read(content, form)
    return str(caught.value)


def test_white_space_of_any_kind_becomes_one_space():
    content = "a\t one \t two\u2028three\u00a0 \nb\t\n".encode()
    assert read(content) == {"a": "one two three", "b": ""}


def test_normalises_as_triple_files_do():
    texts, normalised = read_texts(io.BytesIO(b"\xef\xbb\xbfa\tx\r\nb\ty"), "texts.txt", "tsv")
    assert texts == {"a": "x", "b": "y"}
    assert normalised.record() == {"bom": 1, "crlf_lines": 1}


def test_an_identifier_may_repeat_its_text_but_not_change_it():
    assert read(b"a\tx\na\tx\n") == {"a": "x"}
    assert "texts.txt:2: expected one text for 'a', found a second one" in refuse(b"a\tx\na\ty\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tx\nb\n", "texts.txt:2: expected an identifier, a tab and a text, found no such pair"),
        (b"\n", "texts.txt:1: expected an identifier, a tab and a text, found a blank line"),
        (b"\tx\n", "texts.txt:1: expected an identifier"),
        (b"a\t\xc3\n", "texts.txt:1: expected UTF-8, found the byte 0xc3"),
        (b"a\tx\0\n", "texts.txt:1: expected text, found a NUL byte"),
    ],
)
def test_malformed_lines_are_named(content, message):
    assert message in refuse(content)


def test_label_and_description_are_joined():
    entries = {
        "P1": {"label": "part of", "description": "is  a\tpart"},
        "P2": {"label": "has", "description": None},
        "P3": {"description": "only this"},
        "P4": {},
    }
    assert read(json.dumps(entries).encode(), "wikidata_json") == {
        "P1": "part of: is a part",
        "P2": "has",
        "P3": "only this",
        "P4": "",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"P1": {"label": "a"},\n "P1": {"label": "b"}}', "expected each key once, found 'P1' twice"),
        (b'{"P1":\n oops}', "texts.txt:2: expected JSON"),
        (b"[]", "expected an object of identifiers, found list"),
        (b'{"P1": ["a"]}', "P1: expected a label and a description, found ['a']"),
        (b'{"P1": {"label": 3}}', "P1: expected a label and a description"),
        (b'{"P1": "\xff"}', "expected UTF-8, found the byte 0xff"),
    ],
)
def test_malformed_json_is_named(content, message):
    assert message in refuse(content, "wikidata_json")


def test_underscores_and_captions():
    assert read(b"a\tone_two__three\n", "tsv_underscores") == {"a": "one two three"}
    assert read(b'{"a": {"caption": "a  film", "entity_id": "Q1"}, "b": {}}', "captions_json") == {
        "a": "a film",
        "b": "",
    }
    labelled = b'{"a": {"caption": "a film", "label": "Up"}, "b": {"label": "x"}}'
    assert read(labelled, "labels_json") == {"a": "Up", "b": "x"}
    assert read(labelled, "label_captions_json") == {"a": "Up: a film", "b": "x"}
    assert "a: expected a caption, found 'x'" in refuse(b'{"a": "x"}', "captions_json")


def test_of_several_names_the_first_is_taken():
    content = b"Q1\tBelgium\tKingdom of  Belgium\tBE\nQ2\t happiness \nQ3\t\n"
    assert read(content, "tsv_first") == {"Q1": "Belgium", "Q2": "happiness", "Q3": ""}
    assert read(content)["Q1"] == "Belgium Kingdom of Belgium BE"
    # What counts is the name that is taken.
    assert read(b"Q1\ta\tb\nQ1\ta\tc\n", "tsv_first") == {"Q1": "a"}
    assert "texts.txt:2: expected one text for 'Q1', found a second one" in refuse(b"Q1\ta\nQ1\tb\ta\n", "tsv_first")
    assert "texts.txt:1: expected an identifier, a tab and a text" in refuse(b"Q1\n", "tsv_first")

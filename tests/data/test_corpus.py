import io
import json
import os
from pathlib import Path

import pytest
import yaml

from kelbench import cli
from kelbench.base.errors import UserError
from kelbench.base.files import sha256_bytes, sha256_file
from kelbench.config.corpora import CorpusSettings, load_corpus, registered_corpora
from kelbench.config.datasets import load_dataset, registered_names
from kelbench.data.corpus import distinct_texts, make_corpus, read_sentences

ORIGINAL_MIRROR = os.environ.get("KELBENCH_MIRROR", "")  # before fixtures change it
SEMEVAL = b"""\
1\t"A <e1>house</e1> has <e2> <e2>doors</e2>, not "gates"."
Component-Whole(e2,e1)
Comment:

2\t"It  rains."
Other
Comment: not a relation


3\t"The  last one of <e1>them</e1> <e2>here</e2>."
Other
Comment:"""
FEWREL = {
    "P1": [{"tokens": ["It", "opened", " ", "in", "1990", "."], "h": ["it", "Q1", [[0]]]}],
    "P2": [{"tokens": ["Größe", "matters"]}],
}
OPEN_ENTITY = [
    {"left_context_token": ["So", "said"], "mention_span": "the chairman", "right_context_token": ["."], "y_str": []},
    {"left_context_token": [], "mention_span": "He", "right_context_token": ["left", "."]},
]
CONLL = b"@a\tO\nsays\tO\n\n\t\n \nEmpire\tB-location\tX\nState\tI-location\tX\n"
CONTENTS = {
    "semeval": SEMEVAL,
    "fewrel": json.dumps(FEWREL).encode(),
    "open_entity": "\n".join(map(json.dumps, OPEN_ENTITY)).encode(),
    "conll": CONLL,
}


def read(content: bytes, form: str) -> list[str]:
    return read_sentences(io.BytesIO(content), "some.file", form)


def refuse(content: bytes, form: str) -> str:
    with pytest.raises(UserError) as caught:
        read(content, form)
    return str(caught.value)


@pytest.fixture
def make_entry(workplace, make_file):
    """Put made-up files into the mirror and describe them as a corpus."""

    def build(contents: dict[str, bytes], lines: list[str], **changes) -> CorpusSettings:
        files = []
        for form, content in contents.items():
            (workplace / "mirror" / f"{form}.txt").write_bytes(content)
            files.append(make_file(f"{form}.txt", content).model_dump() | {"format": form})
        facts = {
            "name": "made-up",
            "title": "Made up",
            "source": "nobody",
            "notes": "none",
            "files": files,
            "texts": len(lines),
            "sha256": sha256_bytes("".join(f"{line}\n" for line in lines).encode()),
        }
        return CorpusSettings(**facts | changes)

    return build


# ---- reading


@pytest.mark.parametrize(
    ("form", "sentences"),
    [
        ("semeval", ['A house has  doors, not "gates".', "It  rains.", "The  last one of them here."]),
        ("fewrel", ["It opened   in 1990 .", "Größe matters"]),
        ("open_entity", ["So said the chairman .", "He left ."]),
        ("conll", ["@a says", "Empire State"]),
    ],
)
def test_sentences_of_each_format(form, sentences):
    assert read(CONTENTS[form], form) == sentences
    assert read(b"\xef\xbb\xbf" + CONTENTS[form].replace(b"\n", b"\r\n"), form) == sentences


@pytest.mark.parametrize(
    ("form", "content", "messages"),
    [
        (
            "semeval",
            b'1\t"A."\nOther\nComment:\n\n2 "B."\nOther\nComment:\n',
            ["some.file:5: expected a number, a tab"],
        ),
        ("semeval", b'1\t"A."\n2\t"B."\nComment:\n', ["some.file:2: expected the relation of the sentence above"]),
        ("semeval", b'1\t"A."\nOther\n\n', ["some.file:3: expected the comment", "found a blank line"]),
        ("semeval", b'1\t"A."\nOther\n', ["some.file:2: expected the comment", "found the end of the file"]),
        ("semeval", b'1\t"A.\xc3"\n', ["some.file:1: expected UTF-8, found the byte 0xc3"]),
        ("fewrel", b'{\n"P1": [}', ["some.file:2: expected JSON: "]),
        ("fewrel", b"{\n\xff", ["some.file:2: expected UTF-8, found the byte 0xff"]),
        ("fewrel", b"[]", ["some.file:1: expected an object of relations, found [] (list)"]),
        ("fewrel", b'{"P1": 3}', ["some.file: P1: expected a list of sentences, found 3 (int)"]),
        ("fewrel", b'{"P1": [{"tokens": ["a", 1]}]}', ["some.file: P1[0]: expected tokens with a list of texts"]),
        ("fewrel", b'{"P1": [3]}', ["some.file: P1[0]: expected an object with the key tokens, found 3 (int)"]),
        ("fewrel", b"[" * 100_000, ["some.file:1: expected JSON: "]),
        (
            "open_entity",
            b'{"left_context_token": []}\n{"left\n\n',
            [
                "some.file:1: expected right_context_token with a list of texts, found nothing",
                "some.file:2: expected JSON: ",
                "some.file:3: expected JSON: ",
            ],
        ),
        (
            "open_entity",
            b'{"left_context_token": [], "right_context_token": [], "mention_span": 1}\n',
            ["some.file:1: expected mention_span with a text, found 1 (int)"],
        ),
        ("conll", b"a\tO\nb\n\tO\nc\tO\t\n", [f"some.file:{number}: expected a token, a tab" for number in (2, 3, 4)]),
        ("conll", b"a\0\tO\n", ["some.file:1: expected text, found a NUL byte"]),
        ("conll", b"\n\n", ["some.file:1: expected sentences, found none"]),
        ("semeval", b"", ["some.file:1: expected sentences, found none"]),
        ("fewrel", b"{}", ["some.file:1: expected sentences, found none"]),
    ],
)
def test_what_is_malformed_is_named_with_its_line(form, content, messages):
    found = refuse(content, form)
    assert found.startswith(f"some.file is not a file of sentences in the format {form}\n")
    for message in messages:
        assert message in found


def test_texts_are_normalised_distinct_and_in_order():
    sentences = ["b  a\u2028r\x85s t", "four words are few", " b a r s t\t", "a a a a a"]
    assert distinct_texts(sentences) == ["b a r s t", "a a a a a"]


# ---- making


def test_a_corpus_is_made_of_its_files_in_their_order(workplace, make_entry):
    texts = ["So said the chairman .", "It opened in 1990 .", 'A house has doors, not "gates".']
    texts.append("The last one of them here.")
    contents = {form: CONTENTS[form] for form in ("open_entity", "conll", "fewrel", "semeval")}
    entry = make_entry(contents, texts)
    assert make_corpus(entry, workplace / "out/made-up.txt") == 4
    assert (workplace / "out/made-up.txt").read_text().splitlines() == texts
    assert [path.name for path in (workplace / "out").iterdir()] == ["made-up.txt"]
    assert {path.name for path in (workplace / "cache").iterdir()} == {f"{form}.txt" for form in contents}


@pytest.mark.parametrize("wrong", [{"texts": 9}, {"sha256": "0" * 64}])
def test_another_corpus_than_the_registry_says_is_an_error_and_leaves_what_was(workplace, make_entry, wrong):
    texts = ["So said the chairman ."]
    entry = make_entry({"open_entity": CONTENTS["open_entity"]}, texts, **wrong)
    out = workplace / "made-up.txt"
    out.write_text("older\n")
    with pytest.raises(UserError) as caught:
        make_corpus(entry, out)
    message = str(caught.value)
    assert message.startswith("config/corpora/made-up.yaml: its files do not give the corpus that it says\n")
    assert f"expected texts: {entry.texts}, sha256: {entry.sha256}" in message
    assert f"found texts: 1, sha256: {sha256_bytes(b'So said the chairman .' + bytes([10]))}" in message
    assert out.read_text() == "older\n"


def test_a_malformed_file_names_its_place_in_the_cache(workplace, make_entry):
    entry = make_entry({"conll": b"a\tO\nb\n"}, ["a b"])
    with pytest.raises(UserError) as caught:
        make_corpus(entry, workplace / "made-up.txt")
    assert f"{workplace / 'cache/conll.txt'}:2: expected a token, a tab and its tag, found 'b'" in str(caught.value)
    assert not (workplace / "made-up.txt").exists()


# ---- the command and the registry


def kelbench(monkeypatch, *words) -> int:
    monkeypatch.setattr("sys.argv", ["kelbench", *words])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.fixture
def registered(workplace, make_entry, monkeypatch):
    """A working directory whose registry has the one made-up corpus."""
    entry = make_entry({"open_entity": CONTENTS["open_entity"]}, ["So said the chairman ."])
    (workplace / "config/corpora").mkdir(parents=True)
    (workplace / "config/corpora/made-up.yaml").write_text(yaml.safe_dump(entry.model_dump(mode="json")))
    monkeypatch.chdir(workplace)
    return workplace


def test_the_command_writes_where_the_workflow_looks(registered, monkeypatch, capsys):
    assert kelbench(monkeypatch, "corpus", "made-up") == 0
    assert (registered / "data/corpus/made-up.txt").read_text() == "So said the chairman .\n"
    assert kelbench(monkeypatch, "corpus", "made-up", "--out", "other.txt") == 0
    assert (registered / "other.txt").read_text() == "So said the chairman .\n"
    assert capsys.readouterr().out == ""


def test_a_mirror_of_everything_has_the_files_of_corpora(registered, monkeypatch):
    assert kelbench(monkeypatch, "fetch", "--to", "made") == 0
    assert [path.name for path in (registered / "made").iterdir()] == ["open_entity.txt"]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("made", "", "", "corpus 'made' is not in config/corpora; did you mean 'made-up'?"),
        ("made-up", "name: made-up", "name: other", "made-up.yaml: expected name: made-up, as the file is called"),
        ("made-up", "format: open_entity", "format: csv", "files.0.format: Input should be 'semeval', 'fewrel'"),
        ("made-up", "texts: 1", "texts: 0", "texts: Input should be greater than 0"),
        ("made-up", "title: Made up", "titel: x", "unknown key 'titel'; did you mean 'title'?"),
    ],
)
def test_mistakes_end_with_code_2_and_no_traceback(registered, monkeypatch, capsys, name, old, new, message):
    path = registered / "config/corpora/made-up.yaml"
    path.write_text(path.read_text().replace(old, new) if old else path.read_text())
    assert kelbench(monkeypatch, "corpus", name) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (registered / "data").exists()


def test_a_file_may_not_be_named_twice(make_entry):
    entry = make_entry({"conll": CONLL}, ["a"])
    with pytest.raises(ValueError, match=r"expected each name once, found conll\.txt twice"):
        CorpusSettings(**entry.model_dump() | {"files": [entry.files[0].model_dump()] * 2})


def test_files_of_the_registries_share_no_name(registry):
    datasets = {file.name for name in registered_names(registry) for file in load_dataset(name, registry).files}
    assert registered_corpora() == ["prose"]
    prose = {file.name for file in load_corpus("prose").files}
    assert not datasets & prose


def test_prose_takes_no_test_or_development_file():
    entry = load_corpus("prose")
    assert "Training parts only" in entry.notes
    for file in entry.files:
        assert not any(part in file.name.lower() for part in ("test", "dev"))
        assert all("/master/" not in url and "/main/" not in url for url in file.urls), "a branch moves"


def test_prose_is_what_the_registry_says(workplace, monkeypatch):
    if not (mirror := ORIGINAL_MIRROR):
        pytest.skip("KELBENCH_MIRROR is not set")
    monkeypatch.setenv("KELBENCH_MIRROR", mirror)
    entry = load_corpus("prose")
    folders = [Path(part) for part in mirror.split(os.pathsep) if part]
    if missing := [file.name for file in entry.files if not any((folder / file.name).is_file() for folder in folders)]:
        pytest.skip(f"not in the folders of KELBENCH_MIRROR: {', '.join(missing)}")
    out = workplace / "prose.txt"
    assert make_corpus(entry, out) == entry.texts == len(out.read_text().splitlines())
    assert sha256_file(out) == entry.sha256
    assert "</e1>" not in out.read_text()

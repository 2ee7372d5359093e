"""Prose for masked language modelling: the sentences of public datasets, a line each, without their labels."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from kelbench.base.errors import ProblemList, UserError
from kelbench.base.files import sha256_bytes, write_bytes
from kelbench.config.corpora import CORPORA_FOLDER, CorpusFormat, CorpusSettings
from kelbench.data.fetch import fetch_files
from kelbench.data.texts import one_line
from kelbench.data.triple_files import Normalised, line_blocks, text_defect

_LOG = logging.getLogger("kelbench.data.corpus")
MIN_WORDS = 5

_SEMEVAL_SENTENCE = re.compile(r'[0-9]+\t"(.*)"\s*')
_SEMEVAL_TAG = re.compile(r"</?e[12]>")
_SEMEVAL_LINES = (
    'expected a number, a tab and a sentence in quotes, as in 7\t"A <e1>house</e1> has <e2>doors</e2>."',
    "expected the relation of the sentence above",
    "expected the comment on the sentence above, Comment: and a text or nothing",
)


def make_corpus(settings: CorpusSettings, out: Path) -> int:
    """Fetch what is missing of a corpus, read it and write it to `out`, a text a line.

    Returns:
        How many texts it has.

    Raises:
        UserError: a file is nowhere to be found or malformed, or the corpus is not the one of the registry; `out` is as
            it was then.
    """
    texts = distinct_texts(_sentences_of(settings))
    content = "".join(f"{text}\n" for text in texts).encode()
    digest = sha256_bytes(content)
    if (len(texts), digest) != (settings.texts, settings.sha256):
        raise UserError(
            f"{CORPORA_FOLDER / settings.name}.yaml: its files do not give the corpus that it says\n"
            f"  expected texts: {settings.texts}, sha256: {settings.sha256}\n"
            f"  found texts: {len(texts)}, sha256: {digest}\n"
            "  correct the entry if its files or the reading of them were meant to change"
        )
    write_bytes(out, content)
    _LOG.info("%s: %d texts", out, len(texts))
    return len(texts)


def distinct_texts(sentences: Iterable[str]) -> list[str]:
    """The sentences in their order, runs of white space as one space, without repetitions and those under 5 words.

    >>> distinct_texts(["one two  three four five", "too short", "one two three four five "])
    ['one two three four five']
    """
    lines = map(one_line, sentences)
    return list(dict.fromkeys(line for line in lines if len(line.split(" ")) >= MIN_WORDS))


def read_sentences(stream: IO[bytes], where: str, form: CorpusFormat) -> list[str]:
    """The sentences of one file, as they stand there; `CorpusFile.format` says what each form is.

    Args:
        stream: the file, open for reading bytes.
        where: what error messages call it.
        form: how it is read.

    Raises:
        UserError: the file is malformed or has no sentence; every error up to 20 is shown as `file:line`.
    """
    problems = ProblemList(f"{where} is not a file of sentences in the format {form}")
    sentences = list(_READERS[form](stream, where, problems))
    if not sentences and not len(problems):
        problems.add(f"{where}:1: expected sentences, found none")
    problems.raise_if_any()
    return sentences


def _sentences_of(settings: CorpusSettings) -> Iterator[str]:
    for file, path in zip(settings.files, fetch_files(settings.files), strict=True):
        with path.open("rb") as stream:
            sentences = read_sentences(stream, str(path), file.format)
        _LOG.info("%s: %d sentences", file.name, len(sentences))
        yield from sentences


def _lines(stream: IO[bytes], where: str, problems: ProblemList) -> Iterator[tuple[int, str]]:
    """Number and text of each line; one that is not text is noted in `problems` and left out."""
    number = 0
    for block in line_blocks(stream, where, problems, Normalised()):
        for line in block[:-1].split(b"\n"):
            number += 1
            if defect := text_defect(line):
                problems.add(f"{where}:{number}: {defect}")
            else:
                yield number, line.decode("utf-8")


def _read_semeval(stream: IO[bytes], where: str, problems: ProblemList) -> Iterator[str]:
    """Records of three lines with blank lines between them."""
    part = number = 0
    for number, line in _lines(stream, where, problems):
        if not line.strip():
            if part:
                problems.add(f"{where}:{number}: {_SEMEVAL_LINES[part]}, found a blank line")
            part = 0
            continue
        sentence = _SEMEVAL_SENTENCE.fullmatch(line)
        fits = (sentence is not None, sentence is None, line.startswith("Comment:"))[part]
        if not fits:
            problems.add(f"{where}:{number}: {_SEMEVAL_LINES[part]}, found {line[:100]!r}")
        elif sentence is not None:
            yield _SEMEVAL_TAG.sub("", sentence[1])
        part = (part + 1) % 3
    if part:
        problems.add(f"{where}:{number}: {_SEMEVAL_LINES[part]}, found the end of the file")


def _read_fewrel(stream: IO[bytes], where: str, problems: ProblemList) -> Iterator[str]:
    """One JSON object: relation -> list of objects with the key tokens."""
    content = stream.read()
    try:
        relations = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        number, byte = error.object[: error.start].count(b"\n") + 1, error.object[error.start]
        problems.add(f"{where}:{number}: expected UTF-8, found the byte {byte:#04x}")
        return
    except (ValueError, RecursionError) as error:
        problems.add(_not_json(error, where, 1))
        return
    if not isinstance(relations, dict):
        problems.add(f"{where}:1: expected an object of relations, found {_kind(relations)}")
        return
    for relation, entries in relations.items():
        if not isinstance(entries, list):
            problems.add(f"{where}: {relation}: expected a list of sentences, found {_kind(entries)}")
            continue
        for index, entry in enumerate(entries):
            tokens = _tokens(entry, "tokens", f"{where}: {relation}[{index}]", problems)
            if tokens is not None:
                yield " ".join(tokens)


def _read_open_entity(stream: IO[bytes], where: str, problems: ProblemList) -> Iterator[str]:
    """A JSON object a line."""
    for number, line in _lines(stream, where, problems):
        place = f"{where}:{number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(_not_json(error, where, number))
            continue
        left = _tokens(entry, "left_context_token", place, problems)
        right = _tokens(entry, "right_context_token", place, problems)
        if left is None or right is None:
            continue
        mention = entry.get("mention_span")
        if not isinstance(mention, str):
            problems.add(f"{place}: expected mention_span with a text, found {_kind(mention)}")
            continue
        yield " ".join([*left, mention, *right])


def _read_conll(stream: IO[bytes], where: str, problems: ProblemList) -> Iterator[str]:
    """A token a line, its tags after tabs; a line of nothing but white space ends a sentence."""
    tokens: list[str] = []
    for number, line in _lines(stream, where, problems):
        if not line.strip():
            if tokens:
                yield " ".join(tokens)
            tokens = []
            continue
        token, *tags = line.split("\t")
        if not token.strip() or not tags or not all(tag.strip() for tag in tags):
            problems.add(f"{where}:{number}: expected a token, a tab and its tag, found {line[:100]!r}")
            continue
        tokens.append(token)
    if tokens:
        yield " ".join(tokens)


_READERS: dict[CorpusFormat, Callable[[IO[bytes], str, ProblemList], Iterator[str]]] = {
    "semeval": _read_semeval,
    "fewrel": _read_fewrel,
    "open_entity": _read_open_entity,
    "conll": _read_conll,
}


def _tokens(entry: Any, key: str, place: str, problems: ProblemList) -> list[str] | None:
    """The list of texts at `key` of an object; None, and a problem noted, where there is none."""
    if not isinstance(entry, dict):
        problems.add(f"{place}: expected an object with the key {key}, found {_kind(entry)}")
        return None
    tokens = entry.get(key)
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return tokens
    found = "a list with something else in it" if isinstance(tokens, list) else _kind(tokens)
    problems.add(f"{place}: expected {key} with a list of texts, found {found}")
    return None


def _not_json(error: ValueError | RecursionError, where: str, number: int) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{where}:{number + error.lineno - 1}: expected JSON: {error.msg} in column {error.colno}"
    return f"{where}:{number}: expected JSON: {error}"


def _kind(value: Any) -> str:
    """What a JSON value is called in a message."""
    return "nothing" if value is None else f"{json.dumps(value)[:60]} ({type(value).__name__})"

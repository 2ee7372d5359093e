"""Labels and texts of entities and relations, read from one source.

Runs of white space (tabs and line ends among them) become one space, so that a text fits into one field of a TSV.
"""

from __future__ import annotations

import json
from typing import IO, Any

from kelbench.base.errors import ProblemList, UserError
from kelbench.config.datasets import TextFormat
from kelbench.data.triple_files import Normalised, line_blocks, text_defect

# Format -> keys of an entry, whose texts are joined by a colon.
_JSON_KEYS: dict[str, tuple[str, ...]] = {
    "wikidata_json": ("label", "description"),
    "captions_json": ("caption",),
    "labels_json": ("label",),
    "label_captions_json": ("label", "caption"),
}


def read_texts(stream: IO[bytes], where: str, form: TextFormat) -> tuple[dict[str, str], Normalised]:
    """Read identifier -> text.

    Args:
        stream: the file or archive member, open for reading bytes.
        where: what error messages call it.
        form: `tsv`: identifier, tab, text (further tabs belong to the text, which may be empty); `tsv_first`:
            identifier, tab, alternatives between tabs, of which the first is the text; `tsv_underscores`: `tsv` with
            `_` for spaces in the text; `wikidata_json`: one object ``{id: {"label": ..., "description": ...}}``, read
            as ``label: description``; `captions_json`: one object ``{id: {"caption": ...}}``;
            `labels_json` and `label_captions_json` likewise of `label`, and of both as ``label: caption``.

    Raises:
        UserError: the file is malformed, or gives one identifier two different texts.
    """
    if form in _JSON_KEYS:
        return _read_json(stream, where, _JSON_KEYS[form])
    texts, normalised = _read_tsv(stream, where, first_only=form == "tsv_first")
    if form == "tsv_underscores":
        texts = {identifier: one_line(text.replace("_", " ")) for identifier, text in texts.items()}
    return texts, normalised


def _read_tsv(stream: IO[bytes], where: str, first_only: bool) -> tuple[dict[str, str], Normalised]:
    problems = ProblemList(f"{where} is not a file of texts")
    normalised = Normalised()
    texts: dict[str, str] = {}
    number = 0
    for block in line_blocks(stream, where, problems, normalised):
        for line in block[:-1].split(b"\n"):
            number += 1
            defect = _add_line(line, texts, first_only)
            if defect:
                problems.add(f"{where}:{number}: {defect}")
    problems.raise_if_any()
    return texts, normalised


def _add_line(line: bytes, texts: dict[str, str], first_only: bool) -> str | None:
    """Put one line into `texts`, the text up to its first tab where only that is wanted; what is wrong, or None."""
    if defect := text_defect(line):
        return defect
    identifier, tab, rest = line.decode("utf-8").partition("\t")
    if not tab or not identifier:
        return "expected an identifier, a tab and a text, found " + ("a blank line" if not line else "no such pair")
    text = one_line(rest.partition("\t")[0] if first_only else rest)
    if texts.setdefault(identifier, text) != text:
        return f"expected one text for {identifier!r}, found a second one"
    return None


def _read_json(stream: IO[bytes], where: str, keys: tuple[str, ...]) -> tuple[dict[str, str], Normalised]:
    problems = ProblemList(f"{where} is not a file of texts")
    try:
        entries = json.loads(stream.read().decode("utf-8-sig"), object_pairs_hook=_distinct_keys)
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: expected UTF-8, found the byte {error.object[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where}:{error.lineno}: expected JSON: {error.msg}") from None
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    if not isinstance(entries, dict):
        raise UserError(f"{where}:1: expected an object of identifiers, found {type(entries).__name__}")
    texts: dict[str, str] = {}
    for identifier, entry in entries.items():
        parts = [entry.get(key) or "" for key in keys] if isinstance(entry, dict) else [None]
        if not all(isinstance(part, str) for part in parts):
            problems.add(
                f"{where}: {identifier}: expected {' and '.join(f'a {key}' for key in keys)}, found {entry!r}"[:500]
            )
            continue
        texts[identifier] = ": ".join(text for part in parts if (text := one_line(str(part))))
    problems.raise_if_any()
    return texts, Normalised()


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"expected each key once, found {key!r} twice")
            seen.add(key)
    return entries


def one_line(text: str) -> str:
    """`text` with every run of white space as one space, none at the ends."""
    return " ".join(text.split())

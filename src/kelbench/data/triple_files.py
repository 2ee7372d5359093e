"""Strict reader of triple files: UTF-8 lines of head, tab, relation, tab, tail.

A byte order mark at the start and CRLF line ends are normalised and counted. Everything else that is not exactly three
non-empty fields a line is an error with its line: other column counts, empty or blank fields, blank lines, NUL, a
carriage return inside a line, invalid UTF-8, lines over 1 MiB. The last line may lack its line end. Fields are kept as
they are: a space at either end is part of the label (the audit counts such labels), and quotes mean nothing.

A block of lines is checked as bytes with NumPy and split at C speed; only a block with an error in it is read line by
line, to say where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

import numpy as np

from kelbench.base.errors import ProblemList

MAX_LINE_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 23
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COLUMNS = "3 tab-separated columns (head, relation, tail)"


class Numbering(dict[str, int]):
    """Label -> number in the order of first appearance; asking for a new label gives it the next number."""

    def __missing__(self, label: str) -> int:
        number = self[label] = len(self)
        return number

    def add(self, label: str) -> None:
        """Give a label a number, if it has none."""
        self[label]

    def sorted_labels(self) -> tuple[list[str], np.ndarray]:
        """The labels in code point order, and int32 `(n,)` that maps the number of each to its place there."""
        labels = sorted(self)
        places = np.empty(len(labels), dtype=np.int32)
        places[np.fromiter(map(self.__getitem__, labels), dtype=np.int64, count=len(labels))] = np.arange(len(labels))
        return labels, places


@dataclass
class Normalised:
    """What was put right in one file, for the manifest and the audit."""

    bom: int = 0
    crlf_lines: int = 0

    def record(self) -> dict[str, int]:
        """As the manifest holds it."""
        return {"bom": self.bom, "crlf_lines": self.crlf_lines}


def read_triples(
    stream: IO[bytes], where: str, entities: Numbering, relations: Numbering
) -> tuple[np.ndarray, Normalised]:
    """Read one triple file, numbering its labels.

    Args:
        stream: the file or archive member, open for reading bytes.
        where: what error messages call it.
        entities: numbers of heads and tails; grows by the labels found here.
        relations: numbers of relations; grows likewise.

    Returns:
        Triples int32 `(n, 3)` of those numbers, in the order of the file, and what was normalised.

    Raises:
        UserError: the file is malformed or has no triple; every error up to 20 is shown as `file:line`.
    """
    problems = ProblemList(f"{where} is not a file of triples")
    normalised = Normalised()
    parts: list[np.ndarray] = []
    line = 1
    for block in line_blocks(stream, where, problems, normalised):
        if len(problems) or not _is_clean(block):
            _explain(block, where, line, problems)
        else:
            parts.append(_split(block, entities, relations))
        line += block.count(b"\n")
    _refuse_blank_labels(parts, where, entities, relations, problems)
    if not parts and not len(problems):
        problems.add(f"{where}:1: expected {_COLUMNS}, found an empty file")
    problems.raise_if_any()
    return np.concatenate(parts), normalised


def line_blocks(stream: IO[bytes], where: str, problems: ProblemList, normalised: Normalised) -> Iterator[bytes]:
    """Blocks of whole lines, each ending with a newline, without byte order mark and CRLF, which are counted.

    A line too long to hold is noted in `problems` and ends the reading.
    """
    pending, first, line = b"", True, 1
    while piece := stream.read(_BLOCK_BYTES):
        pending += piece
        if first and len(pending) >= len(_BYTE_ORDER_MARK):
            first = False
            if pending.startswith(_BYTE_ORDER_MARK):
                pending, normalised.bom = pending[len(_BYTE_ORDER_MARK) :], 1
        end = pending.rfind(b"\n") + 1
        if end:
            block = _with_unix_ends(pending[:end], normalised)
            yield block
            line += block.count(b"\n")
            pending = pending[end:]
        if len(pending) > MAX_LINE_BYTES + 2:
            problems.add(f"{where}:{line}: expected lines of at most {MAX_LINE_BYTES} bytes; stopped reading here")
            return
    if pending:
        yield _with_unix_ends(pending + b"\n", normalised)


def _with_unix_ends(block: bytes, normalised: Normalised) -> bytes:
    if count := block.count(b"\r\n"):
        normalised.crlf_lines += count
        return block.replace(b"\r\n", b"\n")
    return block


def _is_clean(block: bytes) -> bool:
    """Whether every line of the block is three non-empty fields of valid UTF-8, of allowed length."""
    if b"\0" in block or b"\r" in block:
        return False
    characters = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero((characters == ord("\t")) | (characters == ord("\n")))
    if len(ends) % 3:
        return False
    kinds = characters[ends].reshape(-1, 3)
    if not (kinds == np.array([ord("\t"), ord("\t"), ord("\n")], dtype=np.uint8)).all():
        return False
    lengths = np.diff(ends, prepend=-1) - 1
    if (lengths == 0).any() or (lengths.reshape(-1, 3).sum(axis=1) + 2 > MAX_LINE_BYTES).any():
        return False
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _split(block: bytes, entities: Numbering, relations: Numbering) -> np.ndarray:
    """Numbers of a clean block's labels, int32 `(n, 3)`."""
    fields = block.decode("utf-8").replace("\n", "\t").split("\t")
    count = (len(fields) - 1) // 3  # the block ends with a newline, which leaves one empty field
    triples = np.empty((count, 3), dtype=np.int32)
    for column, numbering in ((0, entities), (1, relations), (2, entities)):
        numbers = map(numbering.__getitem__, islice(fields, column, 3 * count, 3))
        triples[:, column] = np.fromiter(numbers, dtype=np.int32, count=count)
    return triples


def _explain(block: bytes, where: str, first_line: int, problems: ProblemList) -> None:
    """Note what is wrong with each line of a block."""
    for number, line in enumerate(block[:-1].split(b"\n"), first_line):
        if found := _defect(line):
            problems.add(f"{where}:{number}: {found}")


def _defect(line: bytes) -> str | None:
    if text := text_defect(line):
        return text
    if not line:
        return f"expected {_COLUMNS}, found a blank line"
    fields = line.split(b"\t")
    if len(fields) != 3:
        return f"expected {_COLUMNS}, found {len(fields)}"
    for name, field in zip(("head", "relation", "tail"), fields, strict=True):
        if not field:
            return f"expected a {name}, found an empty field"
    return None


def text_defect(line: bytes) -> str | None:
    """What keeps a line from being plain text, or None."""
    if len(line) > MAX_LINE_BYTES:
        return f"expected at most {MAX_LINE_BYTES} bytes, found {len(line)}"
    if b"\0" in line:
        return f"expected text, found a NUL byte in column {line.index(0) + 1}"
    if b"\r" in line:
        return "expected line ends LF or CRLF, found a carriage return inside the line"
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"expected UTF-8, found the byte {line[error.start]:#04x} at byte {error.start + 1}"
    return None


def _refuse_blank_labels(
    parts: list[np.ndarray], where: str, entities: Numbering, relations: Numbering, problems: ProblemList
) -> None:
    """Labels of nothing but white space are empty fields; there are few labels to look at, so this comes last."""
    for name, column, numbering in (("head", 0, entities), ("relation", 1, relations), ("tail", 2, entities)):
        blank = [number for label, number in numbering.items() if label.isspace()]
        if not blank:
            continue
        first_line = 1
        for part in parts:
            for row in np.flatnonzero(np.isin(part[:, column], blank)):
                problems.add(f"{where}:{first_line + row}: expected a {name}, found only white space")
            first_line += len(part)

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kelbench.base.errors import UserError
from kelbench.data import triple_files
from kelbench.data.triple_files import MAX_LINE_BYTES, Numbering, read_triples


def read(content: bytes):
    entities, relations = Numbering(), Numbering()
    triples, normalised = read_triples(io.BytesIO(content), "made.tsv", entities, relations)
    names, kinds = list(entities), list(relations)
    return [(names[h], kinds[r], names[t]) for h, r, t in triples], normalised


def refuse(content: bytes) -> str:
    with pytest.raises(UserError) as caught:
        read(content)
    return str(caught.value)


def test_reads_triples_in_the_order_of_the_file():
    triples, normalised = read(b"b\tr\ta\na\ts\tb\n")
    assert triples == [("b", "r", "a"), ("a", "s", "b")]
    assert normalised.record() == {"bom": 0, "crlf_lines": 0}


def test_the_last_line_may_lack_its_end():
    assert read(b"a\tr\tb\nb\tr\tc")[0] == [("a", "r", "b"), ("b", "r", "c")]


def test_byte_order_mark_and_crlf_are_normalised_and_counted():
    content = b"\xef\xbb\xbfa\tr\tb\r\nb\tr\ta\r\na\tr\ta\n"
    triples, normalised = read(content)
    assert triples == [("a", "r", "b"), ("b", "r", "a"), ("a", "r", "a")]
    assert normalised.record() == {"bom": 1, "crlf_lines": 2}
    naive = {field for line in content.decode().split("\n")[:-1] for field in line.split("\t")[::2]}
    assert len(naive) > len({name for h, _, t in triples for name in (h, t)})


def test_quotes_and_inner_spaces_are_part_of_a_label():
    assert read(b'"New York\tin "\tUSA\n')[0] == [('"New York', 'in "', "USA")]


def test_a_byte_order_mark_inside_the_file_is_kept():
    assert read(b"a\tr\tb\n\xef\xbb\xbfa\tr\tb\n")[0][1][0] == "\ufeffa"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tr\tb\na\tr\n", "made.tsv:2: expected 3 tab-separated columns (head, relation, tail), found 2"),
        (b"a\tr\tb\tc\n", "made.tsv:1: expected 3 tab-separated columns (head, relation, tail), found 4"),
        # the columns of two lines together are right
        (b"a\tr\tb\tc\na\tr\n", "made.tsv:1: expected 3 tab-separated columns (head, relation, tail), found 4"),
        (b"a\tr\tb\n\nb\tr\tc\n", "made.tsv:2: expected 3 tab-separated columns (head, relation, tail), found a blank"),
        (b"a\tr\tb\n\n", "made.tsv:2: expected 3 tab-separated columns (head, relation, tail), found a blank line"),
        (b"\tr\tb\n", "made.tsv:1: expected a head, found an empty field"),
        (b"a\t\tb\n", "made.tsv:1: expected a relation, found an empty field"),
        (b"a\tr\t\r\n", "made.tsv:1: expected a tail, found an empty field"),
        (b"a\tr\tb\na\tr\t \n", "made.tsv:2: expected a tail, found only white space"),
        (b"a\tr\tb\nx\0\tr\tb\n", "made.tsv:2: expected text, found a NUL byte in column 2"),
        (b"a\tr\tb\na\tr\t\xff\n", "made.tsv:2: expected UTF-8, found the byte 0xff at byte 5"),
        (b"a\tr\tb\rc\tr\td\n", "made.tsv:1: expected line ends LF or CRLF, found a carriage return inside the line"),
        (b"a\tr\tb\r\r\n", "made.tsv:1: expected line ends LF or CRLF, found a carriage return"),
        (b"a\tr\tb\n" + b"x" * MAX_LINE_BYTES + b"\tr\tb\n", f"made.tsv:2: expected at most {MAX_LINE_BYTES} bytes"),
        (b"", "made.tsv:1: expected 3 tab-separated columns (head, relation, tail), found an empty file"),
        (b"\xef\xbb\xbf", "found an empty file"),
    ],
)
def test_malformed_lines_are_named(content, message):
    assert message in refuse(content)


def test_all_errors_up_to_twenty_are_shown_and_the_rest_counted():
    text = refuse(b"a\tr\n" * 25 + b"a\tr\tb\n")
    assert "made.tsv:20:" in text
    assert "made.tsv:21:" not in text
    assert "... and 5 more" in text


def test_line_numbers_run_on_over_blocks(monkeypatch):
    monkeypatch.setattr(triple_files, "_BLOCK_BYTES", 16)
    good = b"aa\tr\tbb\r\n"
    assert len(read(good * 50)[0]) == 50
    assert read(good * 50)[1].crlf_lines == 50
    text = refuse(good * 30 + b"aa\tr\n" + good * 10 + b"\tr\tb\n" + good * 3 + b"a\t\x0b\tb\n")
    assert "made.tsv:31: expected 3" in text
    assert "made.tsv:42: expected a head" in text


def test_a_line_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(triple_files, "_BLOCK_BYTES", 1 << 16)
    text = refuse(b"a\tr\tb\n" + b"x" * (8 * MAX_LINE_BYTES))
    assert "made.tsv:2: expected lines of at most" in text


labels = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\t\n\r\0"), min_size=1).filter(
    lambda label: not label.isspace() and not label.startswith("\ufeff")
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(labels, labels, labels), min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_is_written_is_read(triples, end, mark):
    content = ("\ufeff" * mark + "".join("\t".join(triple) + end for triple in triples)).encode()
    found, normalised = read(content)
    assert found == triples
    assert normalised.record() == {"bom": int(mark), "crlf_lines": len(triples) if end == "\r\n" else 0}


def test_sorted_labels_give_each_number_its_place():
    numbering = Numbering()
    numbers = [numbering[label] for label in ("b", "\U0001f600", "a", "\uffff", "b")]
    labels_in_order, places = numbering.sorted_labels()
    assert labels_in_order == ["a", "b", "\uffff", "\U0001f600"]
    assert places.dtype == np.int32
    assert places[numbers].tolist() == [1, 3, 0, 2, 1]


def test_the_real_fb15k237_is_crlf():
    folders = [Path(part) for part in os.environ.get("KELBENCH_MIRROR", "").split(os.pathsep) if part]
    archive = next((path for folder in folders if (path := folder / "FB15k-237.tar.gz").is_file()), None)
    if archive is None:
        pytest.skip("no FB15k-237.tar.gz in the folders of KELBENCH_MIRROR")
    entities, relations, lines = Numbering(), Numbering(), []
    naive: set[bytes] = set()
    with tarfile.open(archive) as members:
        for name in ("train.txt", "valid.txt", "test.txt"):
            content = members.extractfile(name).read()
            triples, normalised = read_triples(io.BytesIO(content), name, entities, relations)
            assert normalised.record() == {"bom": 0, "crlf_lines": len(triples)}
            lines.append(len(triples))
            for line in content.split(b"\n"):  # what follows the last line end becomes an entity too
                fields = line.split(b"\t")
                naive |= {fields[0], fields[-1]}
    assert lines == [272_115, 17_535, 20_466]
    assert (len(entities), len(relations), len(naive)) == (14_541, 237, 27_396)

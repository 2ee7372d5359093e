"""The part of a document that a script writes."""

import pytest


@pytest.fixture
def documents(script):
    return script("documents")


def test_only_what_stands_between_the_markers_changes(documents):
    begin = documents.begin_marker("write")
    document = f"before\n{begin}\nold\n{documents.END}\nafter\n"
    written = documents.between_markers(document, "new", begin)
    assert written == f"before\n{begin}\n\nnew\n\n{documents.END}\nafter\n"
    assert documents.between_markers(written, "new", begin) == written


@pytest.mark.parametrize("document", ["", "{begin}", "{end} {begin}", "{begin} {end} {end}"])
def test_missing_or_repeated_markers_are_refused(documents, document):
    begin = documents.begin_marker("write")
    with pytest.raises(ValueError, match="measured: begin"):
        documents.between_markers(document.format(begin=begin, end=documents.END), "new", begin)


def test_markers_of_another_script_are_refused(documents):
    document = f"{documents.begin_marker('other')}\n{documents.END}\n"
    with pytest.raises(ValueError, match=r"benchmarks/write\.py"):
        documents.between_markers(document, "new", documents.begin_marker("write"))

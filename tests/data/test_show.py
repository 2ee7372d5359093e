"""Entities of a dataset printed for a reader."""

import json

import pytest

from kelbench.base.errors import UserError
from kelbench.data.show import sample_entities


def describe(folder, count):
    lines = (folder / "train/entities.tsv").read_text().splitlines()
    rows = [f"{line.rstrip()}\ttext of number {number}\n" for number, line in enumerate(lines)]
    (folder / "train/entities.tsv").write_text("".join(rows[:count]) + "".join(f"{line}\n" for line in lines[count:]))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"text_sources": ["text"]}))


def test_a_sample_repeats_and_shows_label_text_and_triples(small_graph):
    describe(small_graph, 23)
    shown = sample_entities(small_graph, 24, 1, None)
    assert shown == sample_entities(small_graph, 24, 1, "text")
    assert shown != sample_entities(small_graph, 24, 2, None)
    blocks = shown.split("\n\n")
    assert sorted(block.split("\n")[0] for block in blocks) == sorted(f"e{number}" for number in range(24))
    for block in blocks:
        label, text, *facts = block.split("\n")
        assert text.strip() == (f"text of number {label[1:]}" if label != "e23" else "(no text)")
        assert label in " ".join(facts)
    assert len(sample_entities(small_graph, 3, 1, None).split("\n\n")) == 3


def test_a_source_that_is_not_there_is_named(small_graph):
    describe(small_graph, 24)
    with pytest.raises(UserError, match="no source of texts 'texst'; did you mean 'text'"):
        sample_entities(small_graph, 3, 1, "texst")


def test_a_dataset_that_is_not_prepared_is_named(small_graph):
    with pytest.raises(UserError, match=r"smal: expected a prepared dataset here, found none; did you mean 'small'"):
        sample_entities(small_graph.parent / "smal", 3, 1, None)

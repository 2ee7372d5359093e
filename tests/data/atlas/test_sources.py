"""The sources of atlas: what its reader refuses, and what holds of the facts shipped."""

import re
import shutil
from collections import Counter

import pytest

from kelbench.base.errors import UserError
from kelbench.data.atlas.sources import COARSE_TYPES, SOURCES, Mention, parse_description, read_sources

# Land borders between continents, and those of departments and islands far from their country's own continent.
ACROSS_CONTINENTS = {
    frozenset(pair)
    for pair in (("panama", "colombia"), ("france", "brazil"), ("france", "suriname"), ("canada", "denmark"))
}


@pytest.fixture(scope="module")
def atlas():
    return read_sources()


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(SOURCES, tmp_path / "sources")
    return tmp_path / "sources"


def append(path, line):
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def refusal(folder) -> str:
    with pytest.raises(UserError) as caught:
        read_sources(folder)
    return str(caught.value)


def test_it_is_as_large_as_it_says(atlas):
    assert len(atlas.entities) >= 1000
    assert len(atlas.relations) >= 20
    assert len(atlas.facts) >= 8000
    assert len(set(COARSE_TYPES.values())) < len(COARSE_TYPES)
    assert set(atlas.descriptions) == set(atlas.entities)
    assert {relation for _, relation, _ in atlas.facts} == set(atlas.relations)
    in_facts = {entity for head, _, tail in atlas.facts for entity in (head, tail)}
    assert not set(atlas.entities) - in_facts


def test_symmetric_relations_hold_both_ways_and_no_fact_stands_twice(atlas):
    facts = set(atlas.facts)
    assert len(facts) == len(atlas.facts)
    symmetric = [relation.id for relation in atlas.relations.values() if relation.symmetric]
    assert {"borders", "spouse", "worked_with"} <= set(symmetric)
    for head, relation, tail in facts:
        assert relation not in symmetric or (tail, relation, head) in facts


def test_facts_of_place_agree_with_each_other(atlas):
    """A capital lies in its country; who was born in a city was born in its country; neighbours share a continent."""
    facts = set(atlas.facts)
    tails = {}
    for head, relation, tail in facts:
        tails.setdefault((head, relation), set()).add(tail)
    counted = Counter()
    for head, relation, tail in facts:
        if relation == "capital":
            assert (tail, "in_country", head) in facts, (head, tail)
            assert (tail, "former_capital_of", head) not in facts
        homes, stated = tails.get((tail, "in_country"), set()), tails.get((head, "country_of_birth"), set())
        if relation == "born_in" and homes and stated:
            assert homes & stated, (head, tail, homes, stated)
            counted["births"] += 1
        if relation == "borders" and frozenset((head, tail)) not in ACROSS_CONTINENTS:
            assert tails[head, "continent"] & tails[tail, "continent"], (head, tail)
            counted["borders"] += 1
    assert counted["births"] > 100
    assert counted["borders"] > 500


def test_a_life_does_not_span_distant_centuries(atlas):
    order = {
        entity: number for number, entity in enumerate(e.id for e in atlas.entities.values() if e.kind == "century")
    }
    lives = {}
    for head, relation, tail in atlas.facts:
        if relation == "active_in":
            lives.setdefault(head, []).append(order[tail])
    assert lives
    for person, centuries in lives.items():
        assert max(centuries) - min(centuries) <= 1, person
    for head, relation, tail in atlas.facts:
        if relation in ("spouse", "worked_with", "student_of") and head in lives and tail in lives:
            assert min(abs(a - b) for a in lives[head] for b in lives[tail]) <= 1, (head, relation, tail)


def test_descriptions_differ_from_each_other(atlas):
    texts = [description.text for description in atlas.descriptions.values()]
    assert len(set(texts)) == len(texts)
    openings = Counter(" ".join(text.split()[:3]) for text in texts)
    assert openings.most_common(1)[0][1] <= 0.01 * len(texts)
    template = re.compile(r"^(?:The )?[\w' -]+ is an? [\w-]+ (?:in|of) ")
    assert sum(bool(template.match(text)) for text in texts) <= 0.05 * len(texts)


def test_a_description_holds_more_than_its_facts(atlas):
    """Mentions that no fact links to the entity: what the graph does not say."""
    linked = {frozenset((head, tail)) for head, _, tail in atlas.facts}
    mentions = [
        frozenset((entity, mention.entity))
        for entity, description in atlas.descriptions.items()
        for mention in description.mentions
    ]
    beyond = sum(pair not in linked for pair in mentions) / len(mentions)
    assert 0.2 < beyond < 0.9


def test_marks_become_mentions():
    parsed = parse_description("The [[seine|Seine]] divides [[paris|Paris]].")
    assert parsed.text == "The Seine divides Paris."
    assert parsed.mentions == (Mention(4, 9, "seine"), Mention(18, 23, "paris"))
    assert [parsed.text[m.start : m.stop] for m in parsed.mentions] == ["Seine", "Paris"]


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("facts/nature.tsv", "flows_through\tnile\tatlantis", r"nature.tsv:\d+: no entity atlantis"),
        ("facts/nature.tsv", "flows_trough\tnile\tegypt", r"nature.tsv:\d+: no relation flows_trough"),
        ("facts/nature.tsv", "flows_into\tnile\tegypt", r"flows_into takes lake, river, sea; egypt is a country"),
        ("facts/nature.tsv", "flows_into\tnile\tblack-sea", "nile flows_into: expected one tail, found"),
        ("facts/nature.tsv", "flows_through\tnile", r"nature.tsv:\d+: expected 3 columns, found 2"),
        ("facts/nature.tsv", "borders\tegypt\tegypt", r"egypt stands on both sides"),
        ("descriptions/nature.tsv", "nile\tshort", r"a second description of nile"),
        ("descriptions/nature.tsv", "nile\tshort", r"expected 20 to 60 words, found 1"),
        ("descriptions/nature.tsv", "nile\tthe [[atlantis|Atlantis]]", "no entity atlantis"),
        ("descriptions/nature.tsv", "nile\tthe [[nile|Nile]]", "nile mentions itself"),
        ("descriptions/nature.tsv", "nile\tthe [[egypt]]", r"a mention is not written \[\[id\|surface\]\]"),
        ("aliases/nature.tsv", "atlantis\tX", "no entity atlantis"),
        ("entities.tsv", "nile\tNile\triver", "nile stands there twice"),
        ("entities.tsv", "atlantis\tAtlantis\tmyth", "expected a kind of continent"),
        ("entities.tsv", "atlantis\tAtlantis\tcity", "no description of atlantis"),
        ("relations.tsv", "near\tnear\tnear\tcity\tplanet\t", "planet is no kind of entity"),
        ("relations.tsv", "near\tnear\tnear\tcity\tcity\tmutual", "unknown property mutual"),
    ],
)
def test_what_does_not_fit_is_refused(copy, file, line, message):
    append(copy / file, line)
    assert re.search(message, refusal(copy))

"""Text tasks of atlas: parts do not touch, offsets point at what they say, labels follow from the facts."""

from collections import Counter

import pytest

from kelbench.base.errors import UserError
from kelbench.data.atlas.sources import SOURCES, Mention, read_sources
from kelbench.data.atlas.tasks.documents import PARTS, documents, sentence_spans
from kelbench.data.atlas.tasks.facts import facts_outside_tasks
from kelbench.data.atlas.tasks.questions import PLACEHOLDER, read_questions
from kelbench.data.atlas.tasks.sentences import NO_RELATION
from kelbench.data.atlas.tasks.write import TASKS, labels, task_examples, write_tasks
from kelbench.data.name_match import words

TEXT_KEYS = {"text", "passage", "query", "context"}


@pytest.fixture(scope="module")
def atlas():
    return read_sources()


@pytest.fixture(scope="module")
def examples(atlas):
    return task_examples(atlas)


def surfaces_of(atlas):
    """Document -> what its mentions say, as written in the sources, and whom they mean."""
    found = {}
    for document in documents(atlas):
        said = {(document.text[m.start : m.stop], m.entity) for m in document.mentions}
        marked = atlas.descriptions[document.entity].mentions
        assert {(atlas.descriptions[document.entity].text[m.start : m.stop], m.entity) for m in marked} <= said
        found[document.entity] = said
    return found


def everything(examples, task):
    return [example for part in PARTS for example in examples[task][part]]


def test_every_task_has_every_part(examples):
    assert set(examples) == set(TASKS)
    for task, parts in examples.items():
        assert len(parts["train"]) > len(parts["test"]) >= 200, task
        assert len(parts["valid"]) >= 200, task
        ids = [example["id"] for part in PARTS for example in parts[part]]
        assert len(set(ids)) == len(ids)


def test_no_text_of_a_test_example_occurs_in_training(examples, atlas):
    """Neither its own text nor the description that it comes from, in no task."""
    text_of = {part: set() for part in PARTS}
    documents_of = {part: set() for part in PARTS}
    for parts in examples.values():
        for part, found in parts.items():
            for example in found:
                text_of[part] |= {example[key] for key in TEXT_KEYS & example.keys()}
                if "tokens" in example:
                    text_of[part].add(" ".join(example["tokens"]))
                documents_of[part] |= {example[key] for key in ("document", "passage_document") if key in example}
    for part in ("valid", "test"):
        assert not documents_of[part] & documents_of["train"]
        assert not text_of[part] & text_of["train"]
    assert not documents_of["valid"] & documents_of["test"]
    training = " ".join(atlas.descriptions[entity].text for entity in sorted(documents_of["train"]))
    for example in examples["relation_classification"]["test"]:
        assert example["text"] not in training


def test_sentences_lose_nothing_and_cut_no_mention(atlas):
    for document in documents(atlas):
        assert " ".join(sentence.text for sentence in document.sentences) == " ".join(document.text.split())
        assert sum(len(sentence.mentions) for sentence in document.sentences) == len(document.mentions)
        for sentence in document.sentences:
            for mention in sentence.mentions:
                assert 0 <= mention.start < mention.stop <= len(sentence.text)


def test_initials_and_titles_end_no_sentence():
    text = "It was named by J. R. Smith of St. Kilda. Later Dr. No came. U.S. troops left."
    found = [text[start:stop] for start, stop in sentence_spans(text, ())]
    assert found == ["It was named by J. R. Smith of St. Kilda.", "Later Dr. No came.", "U.S. troops left."]
    name = "They saw What? Where? again."
    assert len(sentence_spans(name, (Mention(9, 21, "x"),))) == 1


def test_relations_are_those_of_the_graph(examples, atlas):
    facts = set(atlas.facts)
    surfaces = surfaces_of(atlas)
    frequency = Counter(relation for _, relation, _ in facts)
    pairs = {(head, tail) for head, _, tail in facts}
    for example in everything(examples, "relation_classification"):
        subject, other = example["subject_id"], example["object_id"]
        if example["relation"] == NO_RELATION:
            assert (subject, other) not in pairs
            assert (other, subject) not in pairs
        else:
            assert all((subject, relation, other) in facts for relation in [example["relation"], *example["also"]])
            holding = [name for head, name, tail in facts if {head, tail} == {subject, other}]
            assert frequency[example["relation"]] == min(frequency[name] for name in holding)
        for key in ("subject", "object"):
            surface = example["text"][slice(*example[key])]
            assert (surface, example[f"{key}_id"]) in surfaces[example["document"]]
    assert labels("relation_classification", examples["relation_classification"]["test"])[NO_RELATION] > 0


def test_answers_stand_where_they_are_said_to_stand(examples, atlas):
    facts = set(atlas.facts)
    for example in everything(examples, "extractive_qa"):
        answers = example["answers"]
        assert example["is_impossible"] == (not answers["text"])
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            assert example["context"][start : start + len(text)] == text
        assert any(
            (example["document"] == head if example["asked"] == "tail" else example["document"] == tail)
            and relation == example["relation"]
            for head, relation, tail in facts
        ), example
    share = labels("extractive_qa", examples["extractive_qa"]["train"])
    assert 0.1 < share["unanswerable"] / sum(share.values()) < 0.5


def test_cloze_answers_are_in_the_passage_and_not_in_the_query(examples, atlas):
    for example in everything(examples, "cloze_qa"):
        assert example["query"].count(PLACEHOLDER) == 1
        assert example["answer"] in example["candidates"]
        assert {entity["entity"] for entity in example["entities"]} == set(example["candidates"])
        assert len(example["candidates"]) >= 2
        names = [atlas.entities[example["answer"]].label, *atlas.aliases.get(example["answer"], [])]
        query = f" {' '.join(words(example['query']))} "
        assert not any(f" {' '.join(words(name))} " in query for name in names)


def test_typed_and_linked_mentions_are_those_of_the_sources(examples, atlas):
    surfaces = surfaces_of(atlas)
    for task in ("entity_typing", "entity_linking"):
        for example in everything(examples, task):
            surface = example["text"][slice(*example["mention"])]
            assert (surface, example["entity"]) in surfaces[example["document"]]


def test_tags_are_wellformed(examples):
    for example in everything(examples, "named_entities"):
        assert all(
            tag != "O" or not token[0].isupper()
            for token, tag in list(zip(example["tokens"], example["tags"], strict=True))[2:]
            if token != "I"
        )
        assert len(example["tokens"]) == len(example["tags"])
        previous = "O"
        for tag in example["tags"]:
            assert tag == "O" or tag[2:] in ("PER", "LOC", "ORG", "MISC")
            assert not tag.startswith("I-") or previous[2:] == tag[2:]
            previous = tag


def test_an_analogy_has_one_right_choice(examples, atlas):
    facts = set(atlas.facts)
    between = {}
    for head, relation, tail in facts:
        between.setdefault((head, tail), set()).add(relation)
    asked = [(example["a"], example["b"], example["c"]) for example in everything(examples, "analogies")]
    assert len(set(asked)) == len(asked)
    heads = {part: {example["c"] for example in examples["analogies"][part]} for part in PARTS}
    assert not heads["train"] & heads["test"]
    for example in everything(examples, "analogies"):
        assert (example["a"], example["relation"], example["b"]) in facts
        right = [choice for choice in example["choices"] if (example["c"], example["relation"], choice) in facts]
        assert right == [example["choices"][example["answer"]]]
        assert len(set(example["choices"])) == 4
        kinds = {atlas.entities[choice].kind for choice in example["choices"]}
        assert len(kinds) == 1
        for choice in set(example["choices"]) - set(right):
            assert not between[example["a"], example["b"]] & between.get((example["c"], choice), set())
        assert example["b"] not in example["choices"]
    places = [example["answer"] for example in everything(examples, "analogies")]
    assert max(places.count(place) for place in range(4)) < 0.4 * len(places)


def test_first_words_of_lexical_pairs_belong_to_one_part(examples):
    first = {part: {example["entity_1"] for example in examples["lexical_relations"][part]} for part in PARTS}
    assert not first["train"] & first["test"]
    assert not first["valid"] & first["test"]
    found = everything(examples, "lexical_relations")
    assert {example["relation"] for example in found} == {"hypernym", "coordinate", "holonym", "attribute", "random"}


def test_linking_candidates_hold_the_right_entity_and_similar_names(examples):
    found = everything(examples, "entity_linking")
    assert all(example["entity"] in example["candidates"] for example in found)
    assert all(2 <= len(example["candidates"]) <= 10 for example in found)
    assert 0 < sum(not example["found_by_name"] for example in found) < 0.2 * len(found)


def test_files_repeat_bit_by_bit(atlas, tmp_path):
    first, facts = write_tasks(tmp_path / "a", atlas)
    second, again = write_tasks(tmp_path / "b", atlas)
    assert first == second
    assert facts == again
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in first)


def test_questions_that_do_not_fit_are_refused(tmp_path, atlas):
    path = tmp_path / "questions.tsv"
    path.write_text("capital\ttail\tWhat?\nno_such\ttail\tWhat is {}?\n")
    with pytest.raises(UserError) as caught:
        read_questions(path, atlas)
    assert "questions.tsv:1: expected one {} in the question" in str(caught.value)
    assert "questions.tsv:2: expected a relation, head or tail, and a question" in str(caught.value)
    assert read_questions(SOURCES / "questions.tsv", atlas)


def test_no_fact_outside_the_tasks_stands_in_a_held_out_example(atlas, examples):
    left = facts_outside_tasks(atlas)
    assert set(left) < set(atlas.facts)
    linked = {frozenset((head, tail)) for head, _, tail in left}
    for part in PARTS[1:]:
        for example in examples["relation_classification"][part]:
            assert frozenset((example["subject_id"], example["object_id"])) not in linked
        for example in examples["entity_linking"][part]:
            assert frozenset((example["document"], example["entity"])) not in linked
    trained_on = [frozenset((e["document"], e["entity"])) for e in examples["entity_linking"][PARTS[0]]]
    assert any(pair in linked for pair in trained_on)

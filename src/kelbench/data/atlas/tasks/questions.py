"""Tasks that ask about a passage: cloze questions as in ReCoRD, extractive questions as in SQuAD 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kelbench.base.errors import ProblemList
from kelbench.data.atlas.sources import SOURCES, Sources
from kelbench.data.atlas.tasks.documents import Document
from kelbench.data.atlas.tasks.sentences import Example, span
from kelbench.data.name_match import words

PLACEHOLDER = "@placeholder"


def cloze(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """A sentence with one mention masked; the answer stands in the passage, among other entities.

    The sentence is from one description. The passage is the description of another entity that the sentence mentions,
    and it mentions the answer; both belong to one part. Candidates are the entities of the passage that the sentence
    does not show; the sentence does not name the answer elsewhere. Zhang et al. 2018, ReCoRD, Section 2.
    """
    passages = {document.entity: document for document in found}
    for document in found:
        for sentence in document.sentences:
            for masked in sentence.mentions:
                if _is_named(sources, masked.entity, sentence.text[: masked.start] + sentence.text[masked.stop :]):
                    continue
                shown = {m.entity for m in sentence.mentions if m is not masked and m.entity != masked.entity}
                if masked.entity == document.entity or any(
                    m is not masked and m.entity == masked.entity for m in sentence.mentions
                ):
                    continue
                for other in sorted(shown - {document.entity}):
                    passage = passages[other]
                    if passage.part != document.part or all(m.entity != masked.entity for m in passage.mentions):
                        continue
                    candidates = sorted({m.entity for m in passage.mentions} - shown - {other})
                    if len(candidates) < 2:
                        continue
                    query = sentence.text[: masked.start] + PLACEHOLDER + sentence.text[masked.stop :]
                    yield (
                        document.part,
                        {
                            "passage": passage.text,
                            "query": query,
                            "entities": [
                                {"span": span(m), "entity": m.entity}
                                for m in passage.mentions
                                if m.entity in candidates
                            ],
                            "candidates": candidates,
                            "answer": masked.entity,
                            "document": document.entity,
                            "passage_document": other,
                        },
                    )


def extractive_qa(sources: Sources, found: list[Document]) -> Iterator[tuple[str, Example]]:
    """A question on the described entity; the answers are mentions in its description, or there is none.

    A question without an answer is one that the graph could answer and the description does not, in a description that
    mentions an entity of the right kind. Rajpurkar et al. 2018.
    """
    templates = read_questions(SOURCES / "questions.tsv", sources)
    given: dict[tuple[str, str, str], set[str]] = {}
    for head, relation, tail in sources.facts:
        given.setdefault((relation, "tail", head), set()).add(tail)
        given.setdefault((relation, "head", tail), set()).add(head)
    for document in found:
        for (relation, side), questions in templates.items():
            answers = given.get((relation, side, document.entity))
            if not answers:
                continue
            record = sources.relations[relation]
            kinds = record.range if side == "tail" else record.domain
            fitting = [m for m in document.mentions if m.entity != document.entity]
            spans = [m for m in fitting if m.entity in answers]
            if not spans and not any(sources.entities[m.entity].kind in kinds for m in fitting):
                continue
            if not spans and any(_is_named(sources, answer, document.text) for answer in answers):
                continue  # named where no mention is marked: the question may have an answer after all
            # Questions of one relation take turns, so that no wording stands for an answer's being there.
            wording = questions[sum(map(ord, document.entity)) % len(questions)]
            yield (
                document.part,
                {
                    "context": document.text,
                    "question": wording.format(sources.entities[document.entity].label),
                    "answers": {
                        "text": [document.text[m.start : m.stop] for m in spans],
                        "answer_start": [m.start for m in spans],
                    },
                    "is_impossible": not spans,
                    "relation": relation,
                    "asked": side,
                    "document": document.entity,
                },
            )


def _is_named(sources: Sources, entity: str, text: str) -> bool:
    """Whether a label or an alias of the entity stands in a text, as whole words."""
    said = f" {' '.join(words(text))} "
    names = [sources.entities[entity].label, *sources.aliases.get(entity, [])]
    return any(f" {' '.join(words(name))} " in said for name in names if words(name))


def read_questions(path: Path, sources: Sources) -> dict[tuple[str, str], list[str]]:
    """(relation, side asked for) -> wordings, in which {} stands for the known entity.

    Raises:
        UserError: a line does not fit.
    """
    problems = ProblemList(f"{path} is not a file of questions")
    found: dict[tuple[str, str], list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = line.split("\t")
        if len(parts) != 3 or parts[0] not in sources.relations or parts[1] not in ("head", "tail"):
            problems.add(f"{path}:{number}: expected a relation, head or tail, and a question; found {line!r}")
        elif parts[2].count("{}") != 1:
            problems.add(f"{path}:{number}: expected one {{}} in the question")
        else:
            found.setdefault((parts[0], parts[1]), []).append(parts[2])
    problems.raise_if_any()
    return found

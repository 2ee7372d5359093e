"""Which facts the text tasks speak of: a graph encoder that is tested on them must not have been trained on those."""

from __future__ import annotations

from kelbench.data.atlas.sources import Sources
from kelbench.data.atlas.tasks.documents import PARTS, documents


def facts_outside_tasks(sources: Sources) -> list[tuple[str, str, str]]:
    """The facts of atlas but those with both ends in one held-out description, mentioned or described there.

    A fact that a validation or test example expresses is among the latter, whatever the task: its ends stand in one
    document. KEPLER left the facts of FewRel's test set out of its graph likewise (Wang et al. 2021, Section 4.2).
    """
    together = {
        pair
        for document in documents(sources)
        if document.part != PARTS[0]
        for pair in _pairs({document.entity, *(mention.entity for mention in document.mentions)})
    }
    return [fact for fact in sources.facts if (fact[0], fact[2]) not in together]


def _pairs(entities: set[str]) -> set[tuple[str, str]]:
    return {(head, tail) for head in entities for tail in entities}

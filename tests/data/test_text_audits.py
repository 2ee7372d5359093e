"""What texts can tell: the oracle's ceiling against ranks counted one by one."""

import json

import numpy as np
import pytest

from kelbench.data.prepared import PreparedDataset
from kelbench.data.text_audits import oracle_mrr, text_records


def slow_oracle(dataset, group):
    protocol = dataset.protocols("test")[0]
    known = {tuple(row) for row in dataset.known(protocol).tolist()}
    reciprocal = []
    for head, relation, tail in dataset.triples("test").tolist():
        for side in ("tail", "head"):
            ties = 0
            for entity in dataset.candidates(protocol).tolist():
                triple = (head, relation, entity) if side == "tail" else (entity, relation, tail)
                answer = tail if side == "tail" else head
                if entity != answer and triple not in known and group[entity] == group[answer]:
                    ties += 1
            reciprocal.append(1 / (1 + ties / 2))
    return np.mean(reciprocal)


def test_the_oracle_equals_a_count_one_by_one(small_graph):
    dataset = PreparedDataset(small_graph)
    for groups in (1, 3, 24):
        group = np.random.default_rng(groups).integers(groups, size=dataset.num_entities)
        assert abs(oracle_mrr(dataset, group) - slow_oracle(dataset, group)) < 1e-12
    assert oracle_mrr(dataset, np.arange(dataset.num_entities)) == 1.0


@pytest.mark.parametrize("names", [None, "name"])
def test_what_a_source_has_is_counted(small_graph, names):
    """Of 24 entities 20 have a text of their own, two share one, two have none."""
    texts = [f"number {i}" for i in range(20)] + ["the same two"] * 2 + ["", ""]
    rows = [f"{i}\te{i}\t{text}\tnobody{i}\n" for i, text in enumerate(texts)]
    (small_graph / "train/entities.tsv").write_text("".join(rows))
    manifest = json.loads((small_graph / "manifest.json").read_text())
    manifest |= {"text_sources": ["text", "name"], "entity_names": names}
    (small_graph / "manifest.json").write_text(json.dumps(manifest))
    first, second = text_records(PreparedDataset(small_graph))
    assert (first["source"], first["entities"], first["with_text"]) == ("text", 24, 22)
    assert (first["distinct"], first["shared"], first["median_words"]) == (21, 2, 2.0)
    assert 0.5 < first["oracle_mrr"] < 1.0
    assert second["oracle_mrr"] == 1.0
    assert first["name_match"] == (0.0 if names else None)

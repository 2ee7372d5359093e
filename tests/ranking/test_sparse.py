"""Ranks of sparse vectors equal those counted one by one."""

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from kelbench.base.errors import UserError
from kelbench.encoders.sparse import SparseTables
from kelbench.ranking.exact import rank_side
from kelbench.ranking.known_answers import KnownAnswers

ENTITIES, RELATIONS, WIDTH = 60, 4, 30


def tables(seed=0, density=0.1):
    rng = np.random.default_rng(seed)

    def rows(count):
        drawn = random_array((count, WIDTH), density=density, rng=rng, dtype=np.float32)
        drawn.data = np.round(drawn.data * 4) / 4
        return csr_array(drawn)

    entity = rows(ENTITIES)
    return SparseTables(entity, rows(RELATIONS), entity)


def triples(seed=0, count=200):
    rng = np.random.default_rng(seed)
    columns = [rng.integers(size, size=count) for size in (ENTITIES, RELATIONS, ENTITIES)]
    return np.stack(columns, axis=1).astype(np.int32)


def slow_rank(model, triple, side, candidates, known):
    head, relation, tail = triple.tolist()
    given, answer = (head, tail) if side == "tail" else (tail, head)
    query = model.entity.toarray()[given].astype(float) + model.relation.toarray()[relation]
    scores = model.candidate.toarray().astype(float) @ query
    rivals = [
        entity
        for entity in candidates.tolist()
        if entity != answer and ((head, relation, entity) if side == "tail" else (entity, relation, tail)) not in known
    ]
    above = sum(scores[entity] > scores[answer] + 1e-12 for entity in rivals)
    level = sum(abs(scores[entity] - scores[answer]) <= 1e-12 for entity in rivals)
    return above + 1, above + level + 1, len(rivals) + 1


@pytest.mark.parametrize("side", ["head", "tail"])
@pytest.mark.parametrize("block_bytes", [1 << 20, 600])
def test_equal_to_a_slow_ranker(side, block_bytes):
    model, asked = tables(), triples()
    sets = [np.arange(ENTITIES), np.arange(0, ENTITIES, 3)]
    known_rows = {tuple(row) for row in asked[:150].tolist()}
    known = KnownAnswers.build(asked[:150], side, RELATIONS)
    ranks = rank_side(model, asked, side, sets, known, RELATIONS, block_bytes)
    found = np.stack((ranks.optimistic, ranks.pessimistic, ranks.candidates), axis=-1)
    for number, candidates in enumerate(sets):
        expected = [slow_rank(model, triple, side, candidates, known_rows) for triple in asked]
        np.testing.assert_array_equal(found[number], expected)
    assert (ranks.optimistic < ranks.pessimistic).any()


def test_what_cannot_be_ranked_is_refused():
    model, asked = tables(), triples()
    nothing = KnownAnswers.build(np.zeros((0, 3), dtype=np.int32), "tail", RELATIONS)
    with pytest.raises(ValueError, match="not among the candidates"):
        rank_side(model, asked, "tail", [np.arange(5)], nothing, RELATIONS)
    whole = [np.arange(ENTITIES)]
    model.relation.data[0] = np.nan
    with pytest.raises(UserError, match="not finite"):
        rank_side(model, asked, "tail", whole, nothing, RELATIONS)
    model = tables()
    model.candidate.data[0] = np.nan
    with pytest.raises(UserError, match="not finite"):
        rank_side(model, asked, "tail", [np.arange(ENTITIES)], nothing, RELATIONS)

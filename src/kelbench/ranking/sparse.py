"""Exact filtered ranks of sparse vectors: scores in float64, a block of queries against all candidates.

A sparse product adds a score's terms in the order of the query's columns, whatever the candidate's place, so that equal
rows tie exactly and nothing needs a bound or a second look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numba import njit, prange
from scipy.sparse import csr_array

from kelbench.base.errors import UserError
from kelbench.ranking.known_answers import KnownAnswers, Side, answers_of, query_keys


@runtime_checkable
class SparseLinkPredictor(Protocol):
    """Query vectors and a candidate matrix, both sparse, compared by their dot product."""

    def sparse_queries(self, side: Side, entities: np.ndarray, relations: np.ndarray) -> csr_array:
        """Query vectors float64 `(n, width)` asking for the `side` of triples whose other end is `entities`."""

    def sparse_candidates(self, entities: np.ndarray) -> csr_array:
        """Candidate rows float64 `(n, width)`."""


def sparse_ranks(
    predictor: SparseLinkPredictor,
    triples: np.ndarray,
    side: Side,
    candidate_sets: Sequence[np.ndarray],
    known: KnownAnswers,
    num_relations: int,
    block_bytes: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Optimistic and pessimistic ranks and competing candidates, int32 `(k, m)` each; see `ranking.exact.rank_side`.

    Raises:
        UserError: a score is not finite.
        ValueError: an answer is not in the first candidate set.
    """
    entities = candidate_sets[0]
    places = np.full(max(entities.max(), triples[:, [0, 2]].max()) + 1, -1)
    places[entities] = np.arange(len(entities))
    members = np.stack([np.isin(entities, chosen) for chosen in candidate_sets])
    rows = predictor.sparse_candidates(entities)
    if not np.isfinite(rows.data).all():
        raise UserError(f"a score of the model is not finite (side {side}); its ranks would mean nothing")
    keys, answers = query_keys(triples, side, num_relations), answers_of(triples, side)
    if (places[answers] < 0).any():
        raise ValueError("an answer is not among the candidates of the first set")
    order = np.argsort(keys, kind="stable")
    distinct, first = np.unique(keys[order], return_index=True)
    bounds = np.append(first, len(triples))
    shape = (len(candidate_sets), len(triples))
    found = tuple(np.zeros(shape, dtype=np.int32) for _ in range(3))
    known_places = np.append(places, -1)[np.minimum(known.answers, len(places))]
    columns = rows.T.tocsr()
    # The product as a sparse matrix, 12 bytes a number at most, beside the dense one.
    size = max(1, block_bytes // (20 * len(entities)))
    for begin in range(0, len(distinct), size):
        ends = bounds[begin : begin + size + 1]
        asked = triples[order[ends[:-1]]]
        queries = predictor.sparse_queries(side, asked[:, 0 if side == "tail" else 2], asked[:, 1])
        if not np.isfinite(queries.data).all():
            raise UserError(f"a score of the model is not finite (side {side}); its ranks would mean nothing")
        start, stop = known.spans(distinct[begin : begin + size])
        which = order[ends[0] : ends[-1]]
        counts = _count(
            (queries @ columns).toarray(), members, ends - ends[0], places[answers[which]],
            start, stop, known_places,
        )  # fmt: skip
        for result, part in zip(found, counts, strict=True):
            result[:, which] = part
    return found[0], found[1], found[2]


@njit(cache=True, parallel=True)
def _count(scores, members, offsets, answers, known_start, known_stop, known):  # type: ignore[no-untyped-def]
    """Ranks of each query's answers; the known other answers do not compete, the answer always does."""
    sets, size = members.shape
    optimistic = np.ones((sets, len(answers)), dtype=np.int32)
    pessimistic = np.ones((sets, len(answers)), dtype=np.int32)
    competing = np.ones((sets, len(answers)), dtype=np.int32)
    for query in prange(len(offsets) - 1):
        out = np.zeros(size, dtype=np.bool_)
        for place in known[known_start[query] : known_stop[query]]:
            if place >= 0:
                out[place] = True
        for answer in range(offsets[query], offsets[query + 1]):
            own = answers[answer]
            true = scores[query, own]
            for chosen in range(sets):
                above, level, total = 0, 0, 0
                for place in range(size):
                    if members[chosen, place] and not out[place] and place != own:
                        total += 1
                        if scores[query, place] > true:
                            above += 1
                        elif scores[query, place] == true:
                            level += 1
                optimistic[chosen, answer] += above
                pessimistic[chosen, answer] += above + level
                competing[chosen, answer] += total
    return optimistic, pessimistic, competing

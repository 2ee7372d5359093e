"""Exact filtered ranks.

The rank of a true answer is one plus the number of competing candidates that score above it (optimistic), or not below
it (pessimistic). Known other answers do not compete. Instead of masking scores, all candidates are counted, and then
the few known ones taken off again:

    optimistic  = 1 + #{e : s(e) > s(true)} - #{known e : s(e) > s(true)}
    pessimistic =     #{e : s(e) >= s(true)} - #{known e /= true : s(e) >= s(true)}

Equal queries are scored once. Candidates with equal rows are scored once and counted with their multiplicity, so that
exact ties are exact whatever the matrix product does with its last bits, and the true score is read from the same block
of scores as those it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.progress import Progress
from kelbench.ranking.known_answers import KnownAnswers, Side, answers_of, query_keys
from kelbench.ranking.scores import score_block
from kelbench.scoring import Similarity

SCORE_BLOCK_BYTES = 256 << 20


class LinkPredictor(Protocol):
    """Query vectors, a candidate matrix and a similarity: all that ranking knows of a method."""

    @property
    def similarity(self) -> Similarity:
        """What compares queries with candidates."""

    def queries(self, side: Side, entities: Tensor, relations: Tensor) -> Tensor:
        """Query vectors `(n, width)` asking for the `side` of triples whose other end is `entities`."""

    def candidates(self, entities: Tensor) -> Tensor:
        """Candidate rows `(n, width)`."""


@dataclass(frozen=True)
class SideRanks:
    """Ranks of the answers on one side of m triples, under k candidate sets.

    Attributes:
        optimistic: int32 `(k, m)`.
        pessimistic: int32 `(k, m)`.
        candidates: int32 `(k, m)`: candidates that competed, the answer itself included.
    """

    optimistic: np.ndarray
    pessimistic: np.ndarray
    candidates: np.ndarray


def rank_side(
    predictor: LinkPredictor,
    triples: np.ndarray,
    side: Side,
    candidate_sets: Sequence[np.ndarray],
    known: KnownAnswers,
    num_relations: int,
    block_bytes: int = SCORE_BLOCK_BYTES,
) -> SideRanks:
    """Rank the answer on `side` of each triple among each of the candidate sets.

    Args:
        predictor: gives vectors; float64 vectors give ranks that no block size changes, up to exact arithmetic ties.
        triples: integer `(m, 3)`.
        side: which end is asked for.
        candidate_sets: ascending entity ids; each further set is a subset of the first. The first holds every
            answer; an answer that is not in a further set is ranked there all the same, as one more candidate.
        known: filter for this side.
        num_relations: relations of the dataset, that `known` was built with.
        block_bytes: memory for one block of scores.

    Raises:
        UserError: a score is not finite.
        ValueError: an answer is not in the first candidate set.
    """
    count = len(triples)
    shape = (len(candidate_sets), count)
    ranks = SideRanks(*(np.zeros(shape, dtype=np.int32) for _ in range(3)))
    if count == 0:
        return ranks
    keys = query_keys(triples, side, num_relations)
    order = np.argsort(keys, kind="stable")
    distinct, first = np.unique(keys[order], return_index=True)
    bounds = np.append(first, count)
    rows = _CandidateRows.of(predictor, candidate_sets)
    answer_positions = rows.positions(answers_of(triples, side))[order]
    if answer_positions.max() == len(rows.entities):
        raise ValueError("an answer is not among the candidates of the first set")
    known_positions = rows.positions(known.answers)
    per_block = max(1, int(block_bytes // (len(rows.vectors) * rows.vectors.element_size())))
    with Progress(f"ranking {side}s", total=len(distinct), unit="query", scaled=True) as progress:
        for begin in range(0, len(distinct), per_block):
            end = min(begin + per_block, len(distinct))
            block = slice(bounds[begin], bounds[end])
            which = order[block]
            asked = triples[order[bounds[begin:end]]]
            given = torch.from_numpy(asked[:, 0 if side == "tail" else 2].astype(np.int64))
            queries = predictor.queries(side, given, torch.from_numpy(asked[:, 1].astype(np.int64)))
            scores = score_block(predictor.similarity, queries, rows.vectors)
            start, stop = known.spans(distinct[begin:end])
            query_of = np.repeat(np.arange(end - begin), np.diff(bounds[begin : end + 1]))
            results = _count(
                scores,
                rows.multiplicity,
                rows.row_of,
                rows.member,
                query_of,
                answer_positions[block],
                start,
                stop,
                known_positions,
            )
            if not results[3].all():
                raise UserError(
                    f"a score of the model is not finite (side {side}); its ranks would mean nothing. "
                    "Training diverged: lower the learning rate and train again"
                )
            for target, values in zip(
                (ranks.optimistic, ranks.pessimistic, ranks.candidates), results[:3], strict=True
            ):
                target[:, which] = values
            progress.advance(end - begin)
    return ranks


@dataclass(frozen=True)
class _CandidateRows:
    """Distinct candidate vectors, and which entities stand behind each.

    Entities are addressed by their position among the competing ones; position `len(entities)` means "no candidate".
    """

    entities: np.ndarray  # int64 (n,), ascending
    vectors: Tensor  # (d, width), distinct
    row_of: np.ndarray  # int64 (n,): row of `vectors`
    member: np.ndarray  # bool (k, n + 1): whether the entity belongs to each candidate set
    multiplicity: np.ndarray  # int32 (k, d): entities of each set behind each row

    @classmethod
    def of(cls, predictor: LinkPredictor, candidate_sets: Sequence[np.ndarray]) -> _CandidateRows:
        entities = candidate_sets[0]
        vectors = predictor.candidates(torch.from_numpy(np.ascontiguousarray(entities, dtype=np.int64)))
        kept, row_of = distinct_rows(vectors.numpy())
        member = np.zeros((len(candidate_sets), len(entities) + 1), dtype=np.bool_)
        multiplicity = np.zeros((len(candidate_sets), len(kept)), dtype=np.int32)
        for index, subset in enumerate(candidate_sets):
            member[index, np.searchsorted(entities, subset)] = True
            multiplicity[index] = np.bincount(row_of[member[index, :-1]], minlength=len(kept))
        return cls(entities, vectors[torch.from_numpy(kept)], row_of, member, multiplicity)

    def positions(self, entities: np.ndarray) -> np.ndarray:
        """Positions of entity ids; `len(self.entities)` for those that do not compete."""
        position = np.searchsorted(self.entities, entities)
        inside = np.minimum(position, len(self.entities) - 1)
        return np.where(self.entities[inside] == entities, inside, len(self.entities)).astype(np.int64)


def distinct_rows(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find equal rows of a float array `(n, width)`.

    Returns:
        positions of the first row of each kind, ascending, int64 `(d,)`; and for each row the index of its kind,
        int64 `(n,)`.
    """
    rows = np.ascontiguousarray(vectors + 0.0)  # -0.0 and 0.0 give the same scores
    words = rows.view(np.uint64 if rows.dtype.itemsize == 8 else np.uint32)
    multipliers = np.random.default_rng(20130101).integers(1, 2**63, size=words.shape[1], dtype=np.uint64) | np.uint64(
        1
    )
    hashes = np.empty(len(words), dtype=np.uint64)
    for begin in range(0, len(words), 65536):  # bounded memory
        part = words[begin : begin + 65536].astype(np.uint64)
        part = (part ^ (part >> np.uint64(29))) * multipliers
        hashes[begin : begin + 65536] = part.sum(axis=1, dtype=np.uint64)
    _, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    if not np.array_equal(words, words[first[kind]]):
        # Two different rows met in one hash: practically impossible, so the slow exact way will do.
        _, first, kind = np.unique(words, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[kind.reshape(-1)].astype(np.int64)


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _count(
    scores: np.ndarray,
    multiplicity: np.ndarray,
    row_of: np.ndarray,
    member: np.ndarray,
    query_of: np.ndarray,
    answer: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    known: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Optimistic and pessimistic ranks and competing candidates, int32 `(k, m)`, and whether all scores were finite."""
    sets, count, absent = member.shape[0], len(answer), len(row_of)
    optimistic = np.zeros((sets, count), dtype=np.int32)
    pessimistic = np.zeros((sets, count), dtype=np.int32)
    candidates = np.zeros((sets, count), dtype=np.int32)
    finite = np.ones(count, dtype=np.bool_)
    totals = multiplicity.sum(axis=1)
    for i in prange(count):
        row = scores[query_of[i]]
        true_score = row[row_of[answer[i]]]
        valid = True
        for c in range(row.shape[0]):
            valid &= np.isfinite(row[c])
        finite[i] = valid
        for k in range(sets):
            above = 0
            level = 0
            for c in range(row.shape[0]):
                above += multiplicity[k, c] * (row[c] > true_score)
                level += multiplicity[k, c] * (row[c] == true_score)
            filtered = 0
            for j in range(start[query_of[i]], stop[query_of[i]]):
                entity = known[j]
                if entity == absent or entity == answer[i] or not member[k, entity]:
                    continue
                filtered += 1
                score = row[row_of[entity]]
                above -= score > true_score
                level -= score == true_score
            if not member[k, answer[i]]:
                level += 1
                filtered -= 1
            optimistic[k, i] = above + 1
            pessimistic[k, i] = above + level
            candidates[k, i] = totals[k] - filtered
    return optimistic, pessimistic, candidates, finite

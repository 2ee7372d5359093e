"""Exact filtered ranks.

The rank of a true answer is one plus the number of competing candidates that score above it (optimistic), or not below
it (pessimistic). Known other answers do not compete. Instead of masking scores, all candidates are counted, and then
the few known ones taken off again:

    optimistic  = 1 + #{e : s(e) > s(true)} - #{known e : s(e) > s(true)}
    pessimistic =     #{e : s(e) >= s(true)} - #{known e /= true : s(e) >= s(true)}

A score s is that of float64 vectors, added in float64 in one fixed order (`kernels/pairs.py`). Most comparisons need
less: float32 scores with a bound on their error (`bounds.py`) settle them, and only pairs within the bound are scored
in float64. So ranks do not depend on block sizes or on the order of summation or the device of the fast pass, and equal
rows tie exactly. Equal queries are scored once, equal candidate rows are scored once and counted with multiplicity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.progress import Progress
from kelbench.kernels.pairs import DOT, L1, MODULUS, SQUARED_L2
from kelbench.ranking import cpu, device
from kelbench.ranking.asked import Asked, Block, Counter, Interval, full_float32
from kelbench.ranking.bounds import LARGEST, Sizes, interval, is_exact
from kelbench.ranking.candidates import CandidateRows
from kelbench.ranking.known_answers import KnownAnswers, Side, answers_of, query_keys
from kelbench.ranking.sparse import SparseLinkPredictor, sparse_ranks
from kelbench.scoring import Similarity

BLOCK_BYTES = 256 << 20
_KINDS: dict[Similarity, int] = {
    "dot": DOT,
    "cosine": DOT,  # of vectors of length 1
    "l1": L1,
    "l2": SQUARED_L2,
    "complex_modulus": MODULUS,
}


class LinkPredictor(Protocol):
    """Query vectors, a candidate matrix and a similarity: all that ranking knows of a method."""

    @property
    def similarity(self) -> Similarity:
        """What compares queries with candidates."""

    def queries(self, side: Side, entities: Tensor, relations: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Query vectors `(n, width)` asking for the `side` of triples whose other end is `entities`.

        With a `dtype`, they are computed in it.
        """

    def candidates(self, entities: Tensor) -> Tensor:
        """Candidate rows `(n, width)`."""


@dataclass(frozen=True)
class SideRanks:
    """Ranks of the answers on one side of m triples, under k candidate sets.

    Attributes:
        optimistic: int32 `(k, m)`.
        pessimistic: int32 `(k, m)`.
        candidates: int32 `(k, m)`: candidates that competed, the answer itself included.
        recomputed: pairs of answer and candidate that float32 could not tell apart.
    """

    optimistic: np.ndarray
    pessimistic: np.ndarray
    candidates: np.ndarray
    recomputed: int


def rank_side(
    predictor: LinkPredictor | SparseLinkPredictor,
    triples: np.ndarray,
    side: Side,
    candidate_sets: Sequence[np.ndarray],
    known: KnownAnswers,
    num_relations: int,
    block_bytes: int = BLOCK_BYTES,
    early_termination: bool = True,
    with_torch: bool = False,
) -> SideRanks:
    """Rank the answer on `side` of each triple among each of the candidate sets.

    Args:
        predictor: gives vectors; where they lie on a GPU, ranking runs there.
        triples: integer `(m, 3)`.
        side: which end is asked for.
        candidate_sets: ascending entity ids; each further set is a subset of the first. The first holds every
            answer; an answer that is not in a further set is ranked there all the same, as one more candidate.
        known: filter for this side.
        num_relations: relations of the dataset, that `known` was built with.
        block_bytes: memory for a chunk of queries and a block of candidates.
        early_termination: on the CPU, drop a distance as soon as a part of its sum settles all comparisons.
        with_torch: run what a GPU runs on the CPU as well.

    Raises:
        UserError: a vector is not finite, or too large to be scored in float32.
        ValueError: an answer is not in the first candidate set.
    """
    if len(triples) == 0:
        nothing = np.zeros((len(candidate_sets), 0), dtype=np.int32)
        return SideRanks(nothing, nothing, nothing, 0)
    if isinstance(predictor, SparseLinkPredictor):
        ranks = sparse_ranks(predictor, triples, side, candidate_sets, known, num_relations, block_bytes)
        return SideRanks(*ranks, recomputed=0)
    with torch.no_grad(), full_float32():
        ranking = _Ranking(predictor, side, candidate_sets, known, block_bytes, early_termination, with_torch)
        return ranking.ranks(triples, num_relations)


class _Ranking:
    """One pass over one side."""

    def __init__(
        self,
        predictor: LinkPredictor,
        side: Side,
        candidate_sets: Sequence[np.ndarray],
        known: KnownAnswers,
        block_bytes: int,
        early_termination: bool,
        with_torch: bool,
    ) -> None:
        self._predictor, self._side, self._known = predictor, side, known
        self._sets, self._block_bytes, self._early_termination = candidate_sets, block_bytes, early_termination
        sample = predictor.candidates(torch.from_numpy(np.asarray(candidate_sets[0][:1], dtype=np.int64)))
        self._width = sample.shape[1]
        self._with_torch = with_torch or not sample.is_cpu
        self._program = device if self._with_torch else cpu
        self._kind = _KINDS[predictor.similarity]
        self._candidates = CandidateRows.of(predictor.candidates, candidate_sets)

    def ranks(self, triples: np.ndarray, num_relations: int) -> SideRanks:
        """Chunk by chunk of distinct queries."""
        keys, answers = query_keys(triples, self._side, num_relations), answers_of(triples, self._side)
        if (self._candidates.rows(answers) < 0).any():
            raise ValueError("an answer is not among the candidates of the first set")
        order = np.argsort(keys, kind="stable")
        distinct, first = np.unique(keys[order], return_index=True)
        bounds = np.append(first, len(triples))
        shape = (len(self._sets), len(triples))
        optimistic, pessimistic, candidates = (np.zeros(shape, dtype=np.int32) for _ in range(3))
        recomputed = 0
        # A quarter of the memory; a query needs its vector in float64 and, packed, in float32.
        size = max(1, self._block_bytes // (4 * 16 * self._width))
        total = len(distinct) * len(self._candidates.entities)
        with Progress(f"ranking {self._side}s", total=total, unit="pair", scaled=True) as progress:
            for begin in range(0, len(distinct), size):
                chunk = slice(begin, begin + size)
                ends = bounds[begin : begin + size + 1]
                which = order[ends[0] : ends[-1]]
                parts = self._rank_chunk(
                    triples[order[ends[:-1]]], distinct[chunk], ends - ends[0], answers[which], progress
                )
                optimistic[:, which], pessimistic[:, which], candidates[:, which] = parts[:3]
                recomputed += parts[3]
        return SideRanks(optimistic, pessimistic, candidates, recomputed)

    def _rank_chunk(
        self, asked: np.ndarray, keys: np.ndarray, offsets: np.ndarray, answers: np.ndarray, progress: Progress
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Optimistic and pessimistic ranks, competing candidates, each `(k, m)`, and pairs recomputed.

        Args:
            asked: a triple for each query `(q, 3)`.
            keys: the queries' keys, ascending.
            offsets: `(q + 1,)`: query i has the answers `offsets[i]` to `offsets[i + 1]`.
            answers: entity ids `(m,)`.
            progress: advanced by each pair of query and row.
        """
        query_of = np.repeat(np.arange(len(keys)), np.diff(offsets))
        known_offsets, known_rows, answer_known = self._known_rows(keys, query_of, answers)
        vectors = self._queries(asked)
        true = self._true_scores(vectors, query_of, answers)
        queries = Asked(self._kind, vectors, offsets.astype(np.int64), query_of, true, known_offsets, known_rows)
        sizes = self._program.sizes(vectors)
        per_answer = Sizes(sizes.l1[query_of], sizes.l2[query_of], sizes.whole)
        counter = self._counter(queries)
        # Rows, their copy in float32 and one in float64.
        rows_at_once = max(1, self._block_bytes // (2 * 16 * self._width))
        for part, begin, end in self._candidates.blocks(rows_at_once):
            rows = self._rows(self._candidates.entities[begin:end])
            block = Block(rows, begin, self._candidates.weights[begin:end])
            counter.count(block, self._interval(true, per_answer, rows), part)
            counter.discount(block, part)
            progress.advance(len(keys) * (end - begin))
        above, level, recomputed = counter.counts()
        return (*self._ranks_of(above, level, query_of, answers, known_offsets, known_rows, answer_known), recomputed)

    def _counter(self, queries: Asked) -> Counter:
        parts = len(self._candidates.parts) - 1
        if self._with_torch:
            return device.DeviceCounter(queries, parts, self._block_bytes)
        return cpu.CpuCounter(queries, parts, self._early_termination)

    def _interval(self, true: np.ndarray, queries: Sizes, rows: Tensor) -> Interval:
        each = self._program.sizes(rows)
        candidates = Sizes(each.l1.max(), each.l2.max(), each.whole)
        self._check(queries, candidates)
        low, high = interval(self._kind, self._width, true, queries, candidates, rows.dtype != torch.float32)
        return Interval(low, high, is_exact(self._kind, queries, candidates))

    def _check(self, *sizes: Sizes) -> None:
        """All scores are finite, in float32 and without looking at them, where all norms are in range."""
        # NumPy's maximum of numbers with NaN among them is NaN.
        largest = float(np.max([np.max(norms) for size in sizes for norms in (size.l1, size.l2)]))
        if not np.isfinite(largest):
            raise UserError(
                f"a score of the model is not finite (side {self._side}); its ranks would mean nothing. "
                "Training diverged: lower the learning rate and train again"
            )
        if largest > LARGEST:
            raise UserError(
                f"a vector of the model has a norm of {largest:.1e} (side {self._side}); scores in float32 allow "
                f"{LARGEST:.1e}. Training diverged: lower the learning rate and train again"
            )

    def _queries(self, asked: np.ndarray) -> Tensor:
        given = torch.from_numpy(asked[:, 0 if self._side == "tail" else 2].astype(np.int64))
        relations = torch.from_numpy(asked[:, 1].astype(np.int64))
        vectors = self._predictor.queries(self._side, given, relations, dtype=torch.float64)
        return self._program.normalized(vectors) if self._predictor.similarity == "cosine" else vectors

    def _rows(self, entities: np.ndarray) -> Tensor:
        rows = self._predictor.candidates(torch.from_numpy(entities))
        return self._program.normalized(rows) if self._predictor.similarity == "cosine" else rows

    def _true_scores(self, vectors: Tensor, query_of: np.ndarray, answers: np.ndarray) -> np.ndarray:
        size = max(1, self._block_bytes // (2 * 16 * self._width))
        parts = [
            self._program.pair_scores(
                self._kind, vectors, query_of[begin : begin + size], self._rows(answers[begin : begin + size])
            )
            for begin in range(0, len(answers), size)
        ]
        return np.concatenate(parts)

    def _known_rows(
        self, keys: np.ndarray, query_of: np.ndarray, answers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Known answers as `Asked` has them, and whether each answer `(m,)` is itself a known one."""
        start, stop = self._known.spans(keys)
        query = np.repeat(np.arange(len(keys)), stop - start)
        before = np.cumsum(stop - start) - (stop - start)
        entities = self._known.answers[np.arange(len(query)) + np.repeat(start - before, stop - start)]
        span = 1 + max(int(entities.max(initial=0)), int(answers.max()))
        pairs = query * span + entities  # ascending, as the answers of each query are
        wanted = query_of * span + answers
        place = np.searchsorted(pairs, wanted)
        answer_known = np.zeros(len(answers), dtype=bool)
        inside = place < len(pairs)
        answer_known[inside] = pairs[place[inside]] == wanted[inside]
        rows = self._candidates.rows(entities)
        distinct_rows = len(self._candidates.entities)
        packed = np.sort((query * distinct_rows + rows)[rows >= 0])
        counts = np.bincount(packed // distinct_rows, minlength=len(keys))
        return np.concatenate(([0], np.cumsum(counts))), packed % distinct_rows, answer_known

    def _ranks_of(
        self,
        above: np.ndarray,
        level: np.ndarray,
        query_of: np.ndarray,
        answers: np.ndarray,
        known_offsets: np.ndarray,
        known_rows: np.ndarray,
        answer_known: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sum the parts of each candidate set; and let each answer compete that was left or taken out."""
        queries, parts = len(known_offsets) - 1, len(above)
        known_query = np.repeat(np.arange(queries), np.diff(known_offsets))
        known = np.bincount(self._candidates.part_of(known_rows) * queries + known_query, minlength=parts * queries)
        competing = self._candidates.totals()[:, None] - known.reshape(parts, queries)[:, query_of]
        member = self._candidates.member
        absent = answer_known | ~member[:, self._candidates.part_of(self._candidates.rows(answers))]
        chosen = member.astype(np.int64)
        optimistic = chosen @ above + 1
        pessimistic = optimistic - 1 + chosen @ level + absent
        return optimistic, pessimistic, chosen @ competing + absent

"""Which entities compete: distinct candidate rows, in parts that belong to the same candidate sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kelbench.kernels.pairs import hash_rows

_HASH_ROWS = 1 << 16


@dataclass(frozen=True)
class CandidateRows:
    """Distinct candidate rows and the entities behind them.

    A part is the rows of entities that belong to the same candidate sets; equal rows of two parts stay apart. Rows are
    numbered part by part, within a part by their first entity.

    Attributes:
        entities: int64 `(d,)`: the first entity behind each row.
        weights: int32 `(d,)`: entities behind each row.
        parts: int64 `(p + 1,)`: part i has the rows from `parts[i]` to `parts[i + 1]`.
        member: bool `(k, p)`: whether part p belongs to candidate set k.
        row_of: int32 by entity id: its row; -1 where it does not compete.
    """

    entities: np.ndarray
    weights: np.ndarray
    parts: np.ndarray
    member: np.ndarray
    row_of: np.ndarray

    @classmethod
    def of(cls, rows_of: Callable[[Tensor], Tensor], candidate_sets: Sequence[np.ndarray]) -> CandidateRows:
        """Find the distinct rows of the first candidate set; each further set is a subset of it.

        Args:
            rows_of: entity ids, int64 `(n,)`, to rows `(n, width)`.
            candidate_sets: ascending entity ids.
        """
        everyone = np.asarray(candidate_sets[0], dtype=np.int64)
        code = np.ones(len(everyone), dtype=np.int64)
        for number, subset in enumerate(candidate_sets[1:], start=1):
            code[np.searchsorted(everyone, subset)] |= 1 << number
        hashes = _hashes(rows_of, everyone)
        row_of = np.full(int(everyone[-1]) + 1, -1, dtype=np.int32)
        entities, weights, parts = [], [], [0]
        codes = np.unique(code)
        for kind in codes:
            which = np.flatnonzero(code == kind)
            first, index = _distinct(rows_of, everyone[which], hashes[which])
            row_of[everyone[which]] = index + parts[-1]
            entities.append(everyone[which][first])
            weights.append(np.bincount(index, minlength=len(first)).astype(np.int32))
            parts.append(parts[-1] + len(first))
        member = (codes[None] >> np.arange(len(candidate_sets))[:, None]) & 1 == 1
        return cls(np.concatenate(entities), np.concatenate(weights), np.array(parts), member, row_of)

    def rows(self, entities: np.ndarray) -> np.ndarray:
        """Row of each entity id, int64; -1 for those that do not compete."""
        inside = np.minimum(entities, len(self.row_of) - 1)
        return np.where(entities == inside, self.row_of[inside], -1).astype(np.int64)

    def part_of(self, rows: np.ndarray) -> np.ndarray:
        """The part of each row number."""
        return np.searchsorted(self.parts, rows, side="right") - 1

    def totals(self) -> np.ndarray:
        """Entities in each part, int64 `(p,)`."""
        return np.array([self.weights[begin:end].sum() for begin, end in zip(self.parts, self.parts[1:], strict=False)])

    def blocks(self, size: int) -> Iterator[tuple[int, int, int]]:
        """Part, first row and one past the last of blocks of at most so many rows."""
        for part in range(len(self.parts) - 1):
            for begin in range(int(self.parts[part]), int(self.parts[part + 1]), size):
                yield part, begin, min(begin + size, int(self.parts[part + 1]))


def _hashes(rows_of: Callable[[Tensor], Tensor], entities: np.ndarray) -> np.ndarray:
    hashes = np.empty(len(entities), dtype=np.uint64)
    multipliers = None
    for begin in range(0, len(entities), _HASH_ROWS):
        # Adding 0 turns -0.0, which gives the same scores, into 0.0.
        rows = (rows_of(torch.from_numpy(entities[begin : begin + _HASH_ROWS])) + 0.0).cpu().numpy()
        words = np.ascontiguousarray(rows).view(np.uint64 if rows.dtype.itemsize == 8 else np.uint32)
        if multipliers is None:
            multipliers = np.random.default_rng(20130101).integers(2**63, size=words.shape[1], dtype=np.uint64)
            multipliers = multipliers * np.uint64(2) + np.uint64(1)
        hash_rows(words, multipliers, hashes[begin : begin + len(rows)])
    return hashes


def _distinct(
    rows_of: Callable[[Tensor], Tensor], entities: np.ndarray, hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the first row of each kind, ascending, and the index of each row's kind.

    Rows that meet in a hash without being equal, which hardly ever happens, stay each on its own: that rows are scored
    once saves work and changes no rank.
    """
    ascending = np.sort(hashes)
    if not (ascending[1:] == ascending[:-1]).any():
        return np.arange(len(hashes)), np.arange(len(hashes))
    _, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    representative = first[kind]
    repeated = np.flatnonzero(representative != np.arange(len(hashes)))
    for begin in range(0, len(repeated), _HASH_ROWS):
        some = repeated[begin : begin + _HASH_ROWS]
        pair = (rows_of(torch.from_numpy(entities[which])) for which in (some, representative[some]))
        equal = torch.eq(*pair).all(dim=1).cpu().numpy()
        representative[some[~equal]] = some[~equal]
    return np.unique(representative, return_inverse=True)

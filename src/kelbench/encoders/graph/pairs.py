"""Messages of a graph grouped into pairs of a node and a relation, so that none is ever computed edge by edge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kelbench.encoders.graph.products import SparseMatrix


@dataclass(frozen=True)
class PairMatrices:
    """Weighted sums of messages f_r(x_source), f_r linear, as: gather x into pairs, apply f_r, scatter to rows.

    Within a relation the edges share either their destinations or their sources: sum w f_r(x) over the edges to one
    destination is f_r(sum w x), one application a (destination, relation); and the edges from one source all carry the
    same f_r(x), one application a (source, relation). Each relation takes whichever are fewer.

    Attributes:
        gather: `(pairs, nodes)`; a (destination, relation) has the weights of its edges, a (source, relation) one 1.
        scatter: `(rows, pairs)`; the other way round.
        select: `(pairs, relations)`; the row of each pair's relation. Pairs ascend by relation.
        sizes: pairs of each relation.
    """

    gather: SparseMatrix
    scatter: SparseMatrix
    select: SparseMatrix
    sizes: list[int]
    _in_gather: np.ndarray
    _in_scatter: np.ndarray

    @classmethod
    def of(
        cls,
        source: np.ndarray,
        row: np.ndarray,
        relation: np.ndarray,
        weight: np.ndarray,
        shape: tuple[int, int, int],
        device: str,
    ) -> PairMatrices:
        """Group edges.

        Args:
            source: int64 `(edges,)`: node that each message comes from.
            row: int64 `(edges,)`: row that it is added to.
            relation: int64 `(edges,)`.
            weight: float `(edges,)`.
            shape: how many rows, nodes and relations there are.
            device: where products are computed.
        """
        rows, nodes, relations = shape
        by_source = _distinct(relation, source, shape) < _distinct(relation, row, shape)
        shared = by_source[relation]
        largest = max(rows, nodes)
        key, pair = np.unique(relation * largest + np.where(shared, source, row), return_inverse=True)
        pair_relation, member = np.divmod(key, largest)
        ones, alone = np.ones(len(key)), by_source[pair_relation]
        # The edges' own entries come first, so that an edge's number among them is that of its entry.
        gather = (
            np.append(pair[~shared], np.flatnonzero(alone)),
            np.append(source[~shared], member[alone]),
            np.append(weight[~shared], ones[alone]),
        )
        scatter = (
            np.append(row[shared], member[~alone]),
            np.append(pair[shared], np.flatnonzero(~alone)),
            np.append(weight[shared], ones[~alone]),
        )
        select = np.arange(len(key)), pair_relation, ones
        return cls(
            SparseMatrix.of(*gather, (len(key), nodes), device),
            SparseMatrix.of(*scatter, (rows, len(key)), device),
            SparseMatrix.of(*select, (len(key), relations), device),
            np.bincount(pair_relation, minlength=relations).tolist(),
            _numbers(~shared),
            _numbers(shared),
        )

    def without(self, edges: np.ndarray) -> PairMatrices:
        """The same without the edges of the given numbers; the weights of the others stay."""
        gather, scatter = self._in_gather[edges], self._in_scatter[edges]
        return replace(
            self,
            gather=self.gather.without(gather[gather >= 0]),
            scatter=self.scatter.without(scatter[scatter >= 0]),
        )


def _distinct(relation: np.ndarray, member: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    largest = max(shape[0], shape[1])
    return np.bincount(np.unique(relation * largest + member) // largest, minlength=shape[2])


def _numbers(chosen: np.ndarray) -> np.ndarray:
    """Position of each chosen one among the chosen, -1 for the others."""
    return np.where(chosen, np.cumsum(chosen) - 1, -1)

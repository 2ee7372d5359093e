"""The edges of a graph along which an encoder passes messages, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from kelbench.encoders.graph.pairs import PairMatrices
from kelbench.encoders.graph.products import SparseMatrix

AdjacencyKind = Literal["graph", "random", "none"]


@dataclass(frozen=True)
class Edges:
    """Messages: n of the triples, then n of their inverses, all int64 `(2n,)`.

    Attributes:
        source: node that a message comes from: h of (h, r, t), t for its inverse.
        destination: node that it goes to: t, h for the inverse.
        relation: r, r + num_relations for the inverse.
        direction: 0 for "in" (that of the triples), 1 for "out" (that of the inverses).
    """

    source: np.ndarray
    destination: np.ndarray
    relation: np.ndarray
    direction: np.ndarray


@dataclass(frozen=True, eq=False)
class Adjacency:
    """A graph as encoders use it. Matrices are made when first asked for and kept.

    Attributes:
        num_nodes: nodes, with those that have no edge.
        num_relations: relations, inverses not counted.
        edges: what is passed along.
        device: where products are computed.
        weighted: what an edge's weight is a factor of: the message, or, as in CLEP's released code, the relation alone.
        whole: the graph that this one lacks edges of, if it does.
        dropped: numbers of these edges.
    """

    num_nodes: int
    num_relations: int
    edges: Edges
    device: str = "cpu"
    weighted: Literal["message", "relation"] = "message"
    whole: Adjacency | None = None
    dropped: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        triples: np.ndarray,
        num_nodes: int,
        num_relations: int,
        kind: AdjacencyKind = "graph",
        generator: np.random.Generator | None = None,
        interleaved: bool = False,
        apart: int | None = None,
    ) -> Adjacency:
        """The edges of triples and of their inverses.

        Args:
            triples: integers `(n, 3)`: head, relation, tail.
            num_nodes: nodes that there are; heads and tails are below.
            num_relations: relations that there are, inverses not counted; those of the triples are below.
            kind: `graph`; `random`: messages keep their source and relation and go elsewhere: the destinations of a
                direction are permuted (Zhang et al. 2022, "random adjacency", whose code draws them), so that a node
                receives as many as before; `none`: no messages, which leaves of a layer its transformation of each node
                by itself (LTE there).
            generator: what `random` draws from.
            interleaved: the fault of CLEP's released code. Its edges are laid out t1, inverse of t1, t2, inverse of
                t2, ..., and the first half of this list is given the direction "in", the second "out". Relations stay
                right; weights and norms of a direction meet messages of the other.
            apart: for `random`: the triples from this one on are permuted by themselves. What stands before is permuted
                as it is alone, whatever follows it.

        Raises:
            ValueError: an id is out of range, or `random` comes without a generator.
        """
        _check(triples, num_nodes, num_relations)
        edges = _edges(triples[:0] if kind == "none" else triples, num_relations, interleaved)
        if kind == "random":
            if generator is None:
                raise ValueError("a random adjacency needs a generator to be drawn from")
            edges = replace(edges, destination=_permuted(edges, generator, len(triples) if apart is None else apart))
        return cls(num_nodes, num_relations, edges)

    @property
    def empty(self) -> bool:
        """Whether there is no edge."""
        return len(self.edges.source) == 0

    def without_triples(self, triples: np.ndarray | Sequence[int]) -> Adjacency:
        """The same graph without both edges of each of the given triples, by their numbers.

        The norms stay those of the whole graph: a batch's edges are dropped for one step, and degrees that change
        from step to step would have to be counted anew each time.

        Raises:
            ValueError: there is no triple of such a number.
        """
        if self.empty:
            return self
        count = len(self.edges.source) // 2
        numbers = np.asarray(triples, dtype=np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < count:
            raise ValueError(f"expected numbers of triples from 0 to {count - 1}, found one of another")
        numbers = np.append(numbers, numbers + count)
        before = () if self.dropped is None else self.dropped
        return replace(self, whole=self.whole or self, dropped=np.union1d(before, numbers).astype(np.int64))

    def to(self, device: str) -> Adjacency:
        """The same graph, with products computed on a device."""
        return replace(self, device=device, whole=self.whole and self.whole.to(device))

    @cached_property
    def differences(self) -> SparseMatrix:
        """`(2 num_nodes, num_nodes + 2 num_relations)`: times [X; Z], the sums of norm (x_source - z_relation).

        With `weighted: relation`, the sums of x_source - norm z_relation. Rows are the destinations of direction "in",
        then those of "out".
        """
        count = len(self.edges.source)
        if self.whole is not None and self.dropped is not None:
            return self.whole.differences.without(np.append(self.dropped, self.dropped + count))
        norm, row = self._norms(), self._rows()
        return SparseMatrix.of(
            np.append(row, row),
            np.append(self.edges.source, self.edges.relation + self.num_nodes),
            np.append(norm if self.weighted == "message" else np.ones_like(norm), -norm),
            (2 * self.num_nodes, self.num_nodes + 2 * self.num_relations),
            self.device,
        )

    @cached_property
    def compositions(self) -> PairMatrices:
        """Sums of norm phi(x_source, z_relation) for a phi that is linear in x; rows as for `differences`.

        Raises:
            ValueError: relations alone are weighted, which only `differences` knows.
        """
        if self.weighted == "relation":
            raise ValueError("weighted: relation goes with the composition sub")
        if self.whole is not None and self.dropped is not None:
            return self.whole.compositions.without(self.dropped)
        shape = (2 * self.num_nodes, self.num_nodes, 2 * self.num_relations)
        edges = self.edges
        return PairMatrices.of(edges.source, self._rows(), edges.relation, self._norms(), shape, self.device)

    @cached_property
    def means(self) -> PairMatrices:
        """Sums over relations of the mean of W_r x_source over each destination's neighbours; a row a node."""
        if self.whole is not None and self.dropped is not None:
            return self.whole.means.without(self.dropped)
        edges = self.edges
        key = edges.relation * self.num_nodes + edges.destination
        _, group, count = np.unique(key, return_inverse=True, return_counts=True)
        shape = (self.num_nodes, self.num_nodes, 2 * self.num_relations)
        return PairMatrices.of(edges.source, edges.destination, edges.relation, 1 / count[group], shape, self.device)

    def _rows(self) -> np.ndarray:
        return self.edges.direction * self.num_nodes + self.edges.destination

    def _norms(self) -> np.ndarray:
        """CompGCN's weights of edges: deg(destination)^-1/2 deg(source)^-1/2, with the degrees of one direction.

        The degree of a node, be it the destination or the source, is the number of messages that it receives in this
        direction, as in the released code of Vashishth et al. 2020. A node that receives none there has the factor 0:
        what it sends in that direction counts for nothing.
        """
        degree = np.bincount(self._rows(), minlength=2 * self.num_nodes).astype(np.float64)
        factor = np.where(degree > 0, np.maximum(degree, 1) ** -0.5, 0)
        return factor[self._rows()] * factor[self.edges.direction * self.num_nodes + self.edges.source]


def _check(triples: np.ndarray, num_nodes: int, num_relations: int) -> None:
    if triples.ndim != 2 or triples.shape[1] != 3:
        raise ValueError(f"expected triples of shape (n, 3), found {triples.shape}")
    for name, ids, count in (("node", triples[:, ::2], num_nodes), ("relation", triples[:, 1], num_relations)):
        if ids.size and not 0 <= ids.min() <= ids.max() < count:
            raise ValueError(f"expected {name} ids from 0 to {count - 1}, found {ids.min()} to {ids.max()}")


def _edges(triples: np.ndarray, num_relations: int, interleaved: bool) -> Edges:
    head, relation, tail = triples.astype(np.int64).T
    count = len(triples)
    inverse = np.repeat([0, 1], count)
    place = 2 * np.tile(np.arange(count), 2) + inverse
    direction = (place >= count).astype(np.int64) if interleaved else inverse
    return Edges(np.append(head, tail), np.append(tail, head), np.append(relation, relation + num_relations), direction)


def _permuted(edges: Edges, generator: np.random.Generator, apart: int) -> np.ndarray:
    destination = edges.destination.copy()
    later = np.tile(np.arange(len(destination) // 2) >= apart, 2)
    for part in (~later, later):
        for direction in (0, 1):
            chosen = np.flatnonzero(part & (edges.direction == direction))
            destination[chosen] = destination[generator.permutation(chosen)]
    return destination

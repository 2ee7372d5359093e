"""1vsAll training: every entity is a candidate answer of every query.

A batch holds whole queries: all triples that ask for the tails of one (head, relation), or for the heads of one
(relation, tail). Their answers share one row of scores, so the loss of each triple is exactly that of Lacroix et al.
2018 (Eq. 4) while a graph with many answers a query costs a fraction: FB15k-237's 544,230 answers are those of 149,689
queries.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.encoders.tables import EmbeddingTables
from kelbench.ranking.known_answers import Side
from kelbench.training.all_entities import cross_entropy_over_entities
from kelbench.training.queries import Queries, QueryBatch
from kelbench.training.randomness import counter_generator
from kelbench.training.regularizers import cubic_penalty

SIDES: tuple[Side, ...] = ("tail", "head")
Gradients = dict[str, tuple[Tensor, Tensor]]


class OneVsAll:
    """Batches, loss and gradients of 1vsAll."""

    def __init__(self, tables: EmbeddingTables, settings: KnowledgeEmbeddingSettings, seed: int) -> None:
        self.tables, self.settings, self.seed = tables, settings, seed
        self._queries: list[Queries] = []
        self._everyone = torch.arange(tables.num_entities, device=tables.entity.device)

    def batches(self, triples: np.ndarray, epoch: int) -> Iterator[QueryBatch]:
        """The triples int `(n, 3)` once for their tails and once for their heads, the sides in turn."""
        if not self._queries:
            self._queries = [Queries(np.asarray(triples), side) for side in SIDES]
        sides = [
            queries.batches(counter_generator(self.seed, f"{queries.side} queries", epoch), self.settings.batch_size)
            for queries in self._queries
        ]
        while sides:
            for side in list(sides):
                batch = next(side, None)
                if batch is None:
                    sides.remove(side)
                else:
                    yield batch

    def gradients(self, batch: QueryBatch, epoch: int, step: int) -> tuple[Tensor, Gradients]:
        """The loss of a batch, and for each table the rows that changed, none twice, and their gradients."""
        tables, function = self.tables, self.tables.score_function
        inverse = tables.reciprocal and batch.side == "head"
        asked, relation_of = torch.unique(batch.relations, return_inverse=True)
        relations, relation_of, given = self._sent(
            asked + tables.num_relations if inverse else asked, relation_of, batch.given
        )
        relation_rows, given_rows = (
            tables.relation[relations].requires_grad_(),
            tables.entity[given].requires_grad_(),
        )
        rows_asked = relation_rows[relation_of]
        if batch.side == "tail" or inverse:
            queries = function.tail_query(given_rows, rows_asked)
        else:
            queries = function.head_query(rows_asked, given_rows)
        everyone = tables.entity.detach().requires_grad_()
        candidates = function.candidate(everyone)
        loss, query_gradient, candidate_gradient = cross_entropy_over_entities(
            tables.similarity,
            queries.detach(),
            candidates.detach(),
            batch.offsets,
            batch.answers,
            self.settings.precision,
        )
        (entity_gradient,) = torch.autograd.grad(candidates, everyone, candidate_gradient)
        outputs, upstream = [queries], [query_gradient]
        if self.settings.regularizer is not None and self.settings.regularizer.weight > 0:
            penalty, answers, answer_rows = self._penalty(batch, given_rows, rows_asked)
            loss = loss + penalty.detach()
            entity_gradient.index_add_(0, answers, torch.autograd.grad(penalty, answer_rows, retain_graph=True)[0])
            outputs.append(penalty)
            upstream.append(torch.ones_like(penalty))
        given_gradient, relation_gradient = torch.autograd.grad(outputs, (given_rows, relation_rows), upstream)
        entity_gradient.index_add_(0, given, given_gradient)
        return loss, {"entity": (self._everyone, entity_gradient), "relation": (relations, relation_gradient)}

    def _penalty(self, batch: QueryBatch, given_rows: Tensor, relation_rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The penalty, and the distinct answers and their rows, which are among those that it was taken of."""
        regularizer, name = self.settings.regularizer, self.tables.score_function.name
        if regularizer is None:
            raise ValueError("no penalty is configured")
        distinct, counts = torch.unique(batch.answers, return_counts=True)
        of_queries, of_answers = torch.diff(batch.offsets) / len(batch), counts / len(batch)
        answers, of_queries, of_answers = self._sent(distinct, of_queries.to(given_rows), of_answers.to(given_rows))
        answer_rows = self.tables.entity[answers].requires_grad_()
        is_complex = name in ("complex", "rotate")
        factors = [(given_rows, is_complex, of_queries), (answer_rows, is_complex, of_answers)]
        if name != "rotate":  # its relations have modulus 1 by construction
            factors.append((relation_rows, is_complex, of_queries))
        return regularizer.weight * cubic_penalty(regularizer.kind, factors), answers, answer_rows

    def _sent(self, *host: Tensor) -> Iterator[Tensor]:
        """Tensors of the host, on the tables' device."""
        return (tensor.to(self.tables.entity.device, non_blocking=True) for tensor in host)

"""What a step compares: queries of the graph's side, columns of descriptions, and which of them are right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kelbench.config.clep import ContrastiveSettings
from kelbench.ranking.known_answers import KnownAnswers, occurrences
from kelbench.training.queries import Queries, TripleNumbers, both_directions
from kelbench.training.randomness import counter_generator

Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ContrastiveBatch:
    """One step.

    Attributes:
        given: int64 `(q,)`: the node of each query.
        relations: int64 `(q,)`: relations, those of the inverses from `num_relations` on; empty where a query is a
            node alone.
        columns: int64 `(n,)`: the text of each column.
        positive: rows and columns, int64 `(p,)` each: the pairs whose likelihood is raised.
        excluded: rows and columns, int64 `(m,)` each: pairs that are no negatives, the positive ones among them.
        triples: int64: numbers of the training triples that the queries are made of, where their edges are dropped;
            else none.
    """

    given: np.ndarray
    relations: np.ndarray
    columns: np.ndarray
    positive: Pairs
    excluded: Pairs
    triples: np.ndarray

    def __len__(self) -> int:
        return len(self.positive[0])


class Batches:
    """The batches of an epoch, a function of seed and epoch. All that is known comes from the training triples."""

    def __init__(
        self,
        settings: ContrastiveSettings,
        triples: np.ndarray,
        num_relations: int,
        text_of_entity: np.ndarray,
        seed: int,
    ) -> None:
        """Index what is asked.

        Args:
            settings: target and loss decide what a batch holds.
            triples: training triples integer `(n, 3)`.
            num_relations: relations, inverses not counted.
            text_of_entity: int64, by entity id of the training graph: number of its description, below their count.
            seed: decides every order.
        """
        self._settings, self._seed = settings, seed
        self._own = settings.target == "own_description"
        self._texts = np.arange(int(text_of_entity.max()) + 1)
        if self._own:
            nodes = np.arange(len(text_of_entity))
            self._asked = np.stack([nodes, np.zeros_like(nodes), nodes], axis=1)
            self._relations = 1
        else:
            self._asked = both_directions(triples, num_relations)
            self._relations = 2 * num_relations
        self._asked_texts = np.stack([*self._asked[:, :2].T, text_of_entity[self._asked[:, 2]]], axis=1)
        # multihot, as the released code has it, speaks of entities; the masks speak of texts.
        self._answers = self._asked if settings.loss == "multihot" else self._asked_texts
        self._known: KnownAnswers | None = None
        if settings.loss in ("masked", "multihot"):
            self._known = KnownAnswers.build(self._answers, "tail", self._relations)
        self._queries = Queries(np.unique(self._asked_texts, axis=0), "tail") if settings.loss == "all" else None
        self._numbers: TripleNumbers | None = None
        self._pair_keys = np.arange(len(self._asked))
        if settings.graph.drop_batch_edges and not self._own:
            keys = self._asked[:, 0] * self._relations + self._asked[:, 1]
            if self._queries is None:  # a batch of pairs has some answers of a query and not others
                keys = self._pair_keys = np.unique(self._asked, axis=0, return_inverse=True)[1]
            self._numbers = TripleNumbers(keys)

    @property
    def pairs(self) -> int:
        """Positive pairs of an epoch."""
        return len(self._asked) if self._queries is None else len(self._queries.answers)

    def of_epoch(self, epoch: int) -> Iterator[ContrastiveBatch]:
        """All pairs in a new order."""
        random = counter_generator(self._seed, "order", epoch)
        if self._queries is not None:
            for batch in self._queries.batches(random, self._settings.batch_size):
                yield self._of_queries(
                    batch.given.numpy(), batch.relations.numpy(), batch.answers.numpy(), batch.offsets.numpy()
                )
            return
        order = random.permutation(len(self._asked))
        for begin in range(0, len(order), self._settings.batch_size):
            yield self._of_pairs(order[begin : begin + self._settings.batch_size])

    def _of_queries(
        self, given: np.ndarray, relations: np.ndarray, answers: np.ndarray, offsets: np.ndarray
    ) -> ContrastiveBatch:
        """Whole queries against every text; equal texts are one column, so none rivals its equal."""
        rows = np.repeat(np.arange(len(given)), np.diff(offsets))
        triples = self._behind(given * self._relations + relations)
        positive = rows, answers
        return ContrastiveBatch(given, self._relations_of(relations), self._texts, positive, positive, triples)

    def _of_pairs(self, which: np.ndarray) -> ContrastiveBatch:
        """Queries against the batch's texts: a column for each, however often a text stands in it."""
        given, relations, _ = self._asked[which].T
        diagonal = np.arange(len(which))
        excluded: Pairs = (diagonal, diagonal)
        if self._known is not None:
            known = self._known.pairs(given * self._relations + relations)
            excluded = _among_columns(known, self._answers[which, 2])
        columns = self._asked_texts[which, 2]
        triples = self._behind(self._pair_keys[which])
        return ContrastiveBatch(given, self._relations_of(relations), columns, (diagonal, diagonal), excluded, triples)

    def _behind(self, keys: np.ndarray) -> np.ndarray:
        return np.empty(0, dtype=np.int64) if self._numbers is None else self._numbers.of(keys)

    def _relations_of(self, relations: np.ndarray) -> np.ndarray:
        return relations[:0] if self._own else relations


def _among_columns(known: Pairs, columns: np.ndarray) -> Pairs:
    """Rows and columns of known answers, given as rows and answers, among the answers of columns `(n,)`."""
    row, answers = known
    order = np.argsort(columns, kind="stable")
    number, at = occurrences(columns[order], answers)
    return row[number], order[at]

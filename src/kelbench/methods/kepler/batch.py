"""What a step encodes and compares: the texts of a batch, each once, and the wrong answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.encoders.graph_texts import GraphTexts
from kelbench.ranking.known_answers import KnownAnswers, Side
from kelbench.training.randomness import counter_generator

SIDES: tuple[Side, ...] = ("tail", "head")


_OTHER: dict[Side, Side] = {"tail": "head", "head": "tail"}


class TrainingAnswers:
    """Which answers the training triples hold, by query; nothing else is ever asked here, the test set least of all."""

    def __init__(self, triples: np.ndarray, num_entities: int, num_relations: int) -> None:
        """Index triples integer `(n, 3)`."""
        self._entities, self._relations = num_entities, num_relations
        self._known = {side: KnownAnswers.build(np.asarray(triples), side, num_relations) for side in SIDES}
        # Number of the query and answer in one, ascending.
        self._pairs = {
            side: np.repeat(np.arange(len(known.keys)), np.diff(known.offsets)) * num_entities + known.answers
            for side, known in self._known.items()
        }

    def holds(self, side: Side, known: np.ndarray, relations: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Whether answers `(batch, k)` are right for queries `(batch,)`: bool `(batch, k)`."""
        keys, pairs, asked = self._known[side].keys, self._pairs[side], known * self._relations + relations
        number = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        wanted = number[:, None] * self._entities + answers
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        right: np.ndarray = (pairs[place] == wanted) & (keys[number] == asked)[:, None]
        return right

    def in_pool(self, side: Side, known: np.ndarray, relations: np.ndarray, pool: np.ndarray) -> np.ndarray:
        """Which entities of a pool, ascending and distinct `(p,)`, are right for each query: bool `(batch, p)`."""
        row, answers = self._known[side].pairs(known * self._relations + relations)
        place = np.minimum(np.searchsorted(pool, answers), len(pool) - 1)
        there = pool[place] == answers
        right = np.zeros((len(known), len(pool)), dtype=bool)
        right[row[there], place[there]] = True
        return right


@dataclass(frozen=True)
class Plan:
    """One step: the inputs that it encodes, and where each role finds its vector among them.

    Attributes:
        codes: int64 `(u,)`: the inputs, each once.
        head, tail: int64 `(batch,)`: the answers, unconditioned.
        query: for each side int64 `(batch,)`: the known entity, with the relation's text where that is wanted.
        relation: int64 `(batch,)`: places of the relations' texts; relation ids where a table has their vectors.
        negatives: for each side int64 `(batch, k)`, or `(k,)` for one set for the whole batch.
        right: for each side bool `(batch, k)`: negatives that do not count, being right.
        bias: for each side float32 `(batch,)` and `(k,)`: what is subtracted from the scores of answers and negatives,
            where scores are corrected for how often a batch holds an entity.
    """

    codes: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    query: dict[Side, np.ndarray]
    relation: np.ndarray
    negatives: dict[Side, np.ndarray] = field(default_factory=dict)
    right: dict[Side, np.ndarray] = field(default_factory=dict)
    bias: dict[Side, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


class Planner:
    """Makes the plan of a step, a function of the batch, the seed, the epoch and the step."""

    def __init__(
        self,
        settings: TextKnowledgeEmbeddingSettings,
        texts: GraphTexts,
        triples: np.ndarray,
        num_entities: int,
        seed: int,
    ) -> None:
        """Index the training triples `(n, 3)` of a graph whose entities are `0 .. num_entities - 1`."""
        self._settings, self._texts, self._seed, self._num_entities = settings, texts, seed, num_entities
        self._answers = TrainingAnswers(triples, num_entities, texts.num_relations)
        self._bias = _bias(settings, triples, num_entities)

    def plan(self, batch: np.ndarray, epoch: int, step: int) -> Plan:
        """The plan for triples int64 `(batch, 3)`."""
        texts, relations = self._texts, batch[:, 1]
        known: dict[Side, np.ndarray] = {"tail": batch[:, 0], "head": batch[:, 2]}
        drawn = {side: self._negatives(side, batch, epoch, step) for side in SIDES}
        roles = {"head": texts.of_entities(batch[:, 0]), "tail": texts.of_entities(batch[:, 2])}
        for side in SIDES:
            roles[f"{side} query"] = (
                texts.of_pairs(known[side], relations, side)
                if self._settings.conditioned
                else texts.of_entities(known[side])
            )
            roles[f"{side} negatives"] = texts.of_entities(drawn[side])
        if self._settings.relation == "text":
            roles["relation"] = texts.of_relations(relations)
        codes, places = np.unique(np.concatenate([role.ravel() for role in roles.values()]), return_inverse=True)
        ends = np.cumsum([role.size for role in roles.values()])[:-1]
        split = np.split(places.ravel(), ends)
        at = {name: part.reshape(role.shape) for (name, role), part in zip(roles.items(), split, strict=True)}
        return Plan(
            codes=codes,
            head=at["head"],
            tail=at["tail"],
            query={side: at[f"{side} query"] for side in SIDES},
            relation=at.get("relation", relations),
            negatives={side: at[f"{side} negatives"] for side in SIDES},
            right={side: self._right(side, known[side], relations, drawn[side]) for side in SIDES},
            bias=(
                {side: (self._bias[known[other]], self._bias[drawn[side]]) for side, other in _OTHER.items()}
                if self._bias is not None
                else {}
            ),
        )

    def _negatives(self, side: Side, batch: np.ndarray, epoch: int, step: int) -> np.ndarray:
        """Entity ids `(batch, k)`, or for the whole batch `(k,)`, distinct and ascending."""
        wanted = self._settings.negatives
        if wanted is None:
            return np.empty(0, dtype=np.int64)
        if wanted.mode == "in_batch":
            return np.unique(batch[:, [0, 2]])
        generator = counter_generator(self._seed, f"negative {side}s", epoch, step)
        count = wanted.per_positive or 0
        if wanted.shared:
            drawn = generator.integers(self._num_entities, size=count, dtype=np.int64)
            return np.unique(drawn)
        return generator.integers(self._num_entities, size=(len(batch), count), dtype=np.int64)

    def _right(self, side: Side, known: np.ndarray, relations: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        if drawn.ndim == 1:
            return self._answers.in_pool(side, known, relations, drawn)
        return self._answers.holds(side, known, relations, drawn)


def _bias(settings: TextKnowledgeEmbeddingSettings, triples: np.ndarray, num_entities: int) -> np.ndarray | None:
    """Float32 `(entities,)`: the correction times the log of each entity's frequency; None where there is none."""
    if settings.negatives is None or not settings.negatives.frequency_correction:
        return None
    frequency = np.bincount(np.asarray(triples)[:, [0, 2]].ravel(), minlength=num_entities)
    # Who has no triple is in no batch; its value is never asked for.
    logarithm = np.log(np.maximum(frequency, 1))
    return (settings.negatives.frequency_correction * logarithm).astype(np.float32)

"""Link prediction: rank the missing end of every triple of a split, write every rank, then make metrics of the ranks.

Unseen entities (in no training triple and in no support triple) are kept in the primary rows: `keep` ranks all triples
among all candidates. `drop` leaves out the triples and the candidates that are unseen. Both come from one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kelbench.base.files import write_arrays, write_json
from kelbench.data.prepared import PreparedDataset, Protocol
from kelbench.ranking.exact import LinkPredictor, SideRanks, rank_side
from kelbench.ranking.known_answers import KnownAnswers, Side, query_keys
from kelbench.ranking.metrics import TIES, VALIDATION_METRICS, Ranks, hits_at, mean_reciprocal_rank, summarize
from kelbench.ranking.sparse import SparseLinkPredictor
from kelbench.tasks.breakdowns import breakdown_masks

Predictor = LinkPredictor | SparseLinkPredictor
Split = Literal["valid", "test"]
SPLITS: tuple[Split, ...] = ("valid", "test")
SIDES: tuple[Side, ...] = ("head", "tail")
UNSEEN = ("keep", "drop")
BREAKDOWN_METRICS = ("mrr", "hits@10")


class SplitRanker:
    """Ranks one split under one protocol; the filter is indexed once and serves every model."""

    def __init__(
        self, dataset: PreparedDataset, split: Split, protocol: Protocol, early_termination: bool = True
    ) -> None:
        """Index the filter of `protocol`; see `rank_side` for `early_termination`, which changes no rank."""
        self._early_termination = early_termination
        self.triples = np.asarray(dataset.triples(split))
        self.num_relations = dataset.num_relations
        self.candidates = dataset.candidates(protocol)
        known = dataset.known(protocol)
        self.known = {side: KnownAnswers.build(known, side, self.num_relations) for side in SIDES}

    def rank(self, predictor: Predictor, side: Side, subset: np.ndarray | None = None) -> SideRanks:
        """Ranks of all triples on one side, among all candidates and, where given, among a subset of them."""
        sets = [self.candidates] if subset is None else [self.candidates, subset]
        return rank_side(
            predictor, self.triples, side, sets, self.known[side], self.num_relations,
            early_termination=self._early_termination,
        )  # fmt: skip

    def metrics(self, predictor: Predictor) -> dict[str, float]:
        """The VALIDATION_METRICS of both sides together: realistic, filtered, unseen entities kept."""
        of_sides = []
        for side in SIDES:
            ranks = self.rank(predictor, side)
            realistic = (ranks.optimistic[0] + ranks.pessimistic[0]) / 2.0
            of_sides.append([mean_reciprocal_rank(realistic), hits_at(realistic, 1), hits_at(realistic, 10)])
        return dict(zip(VALIDATION_METRICS, np.mean(of_sides, axis=0).tolist(), strict=True))

    def mrr(self, predictor: Predictor) -> float:
        """MRR alone, see `metrics`."""
        return self.metrics(predictor)["mrr"]


def validation_ranker(dataset: PreparedDataset) -> SplitRanker:
    """The ranker whose MRR selects models: the validation split under its primary protocol, filtered without test."""
    return SplitRanker(dataset, "valid", dataset.protocols("valid")[0])


@dataclass(frozen=True)
class _Table:
    """All ranks of a split in long form; the columns of ranks.SPLIT.npz."""

    triple: np.ndarray
    side: np.ndarray
    protocol: np.ndarray
    unseen: np.ndarray
    optimistic: np.ndarray
    pessimistic: np.ndarray
    candidates: np.ndarray

    def columns(self) -> dict[str, np.ndarray]:
        return dict(vars(self))


def evaluate(predictor: Predictor, dataset: PreparedDataset, folder: Path) -> None:
    """Rank the validation and the test split and write `ranks.valid.npz`, `ranks.test.npz` and `metrics.json`.

    Args:
        predictor: the trained vectors; ranks are those of float64 scores whatever their dtype.
        dataset: the prepared dataset that it was trained on.
        folder: the seed's folder.

    Raises:
        UserError: a score is not finite.
    """
    records: list[dict[str, Any]] = []
    for split in SPLITS:
        table = rank_split(predictor, dataset, split)
        write_arrays(folder / f"ranks.{split}.npz", **table.columns())
        records.extend(metric_records(dataset, split, table))
    write_json(folder / "metrics.json", records)


def rank_split(predictor: Predictor, dataset: PreparedDataset, split: Split) -> _Table:
    """Every rank of a split: each protocol, each side, unseen entities kept and, where there are any, dropped."""
    seen = dataset.seen_in_training()
    triples = np.asarray(dataset.triples(split))
    both_seen = seen[triples[:, 0]] & seen[triples[:, 2]]
    parts: list[dict[str, np.ndarray]] = []
    for number, protocol in enumerate(dataset.protocols(split)):
        ranker = SplitRanker(dataset, split, protocol)
        subset = ranker.candidates[seen[ranker.candidates]]
        has_unseen = len(subset) < len(ranker.candidates)
        for side_number, side in enumerate(SIDES):
            ranks = ranker.rank(predictor, side, subset if has_unseen else None)
            for policy in range(2 if has_unseen else 1):
                which = np.arange(len(triples)) if policy == 0 else np.flatnonzero(both_seen)
                parts.append(
                    {
                        "triple": which.astype(np.int32),
                        "side": np.full(len(which), side_number, dtype=np.uint8),
                        "protocol": np.full(len(which), number, dtype=np.uint8),
                        "unseen": np.full(len(which), policy, dtype=np.uint8),
                        "optimistic": ranks.optimistic[policy, which],
                        "pessimistic": ranks.pessimistic[policy, which],
                        "candidates": ranks.candidates[policy, which],
                    }
                )
    return _Table(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def metric_records(dataset: PreparedDataset, split: Split, table: _Table) -> Iterator[dict[str, Any]]:
    """Every metric of a split's ranks, as records of metrics.json; no model is needed."""
    triples = np.asarray(dataset.triples(split))
    seen = dataset.seen_in_training()
    for number, protocol in enumerate(dataset.protocols(split)):
        entities = dataset.candidates(protocol)
        for policy, unseen in enumerate(UNSEEN):
            chosen = (table.protocol == number) & (table.unseen == policy)
            if not chosen.any():
                continue
            shared = {
                "split": split,
                "candidates": protocol.candidates,
                "unseen": unseen,
                "filter": "standard",
                "n_candidates": int(seen[entities].sum() if unseen == "drop" else len(entities)),
            }
            for side in (*SIDES, "both"):
                on_side = chosen if side == "both" else chosen & (table.side == SIDES.index(side))
                yield from _side_records(shared | {"side": side}, _ranks(table, on_side, triples, dataset))
            if split == "test" and number == 0 and unseen == "keep":
                yield from _breakdown_records(shared | {"side": "both"}, table, chosen, dataset)


def _ranks(table: _Table, which: np.ndarray, triples: np.ndarray, dataset: PreparedDataset) -> Ranks:
    """The ranks at a mask, with a number for each distinct query."""
    ranked = triples[table.triple[which]]
    side = table.side[which]
    keys = np.where(
        side == SIDES.index("tail"),
        query_keys(ranked, "tail", dataset.num_relations),
        query_keys(ranked, "head", dataset.num_relations) + dataset.num_entities * dataset.num_relations,
    )
    return Ranks(table.optimistic[which], table.pessimistic[which], table.candidates[which], keys)


def _side_records(shared: dict[str, Any], ranks: Ranks) -> Iterator[dict[str, Any]]:
    sides = 2 if shared["side"] == "both" else 1
    for ties in TIES:
        for metric, value in summarize(ranks, ties).items():
            yield shared | {
                "ties": ties,
                "metric": metric,
                "breakdown": None,
                "value": value,
                "n_triples": len(ranks) // sides,
            }


def _breakdown_records(
    shared: dict[str, Any], table: _Table, chosen: np.ndarray, dataset: PreparedDataset
) -> Iterator[dict[str, Any]]:
    triples = np.asarray(dataset.triples("test"))
    for name, mask in breakdown_masks(dataset, triples[table.triple], table.side == SIDES.index("tail")):
        which = chosen & mask
        if not which.any():
            continue
        metrics = summarize(_ranks(table, which, triples, dataset), "realistic")
        for metric in BREAKDOWN_METRICS:
            yield shared | {
                "ties": "realistic",
                "metric": metric,
                "breakdown": name,
                "value": metrics[metric],
                "n_triples": len(np.unique(table.triple[which])),
            }

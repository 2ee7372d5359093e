"""The whole-split rows of a leaderboard, found by what claims name."""

from __future__ import annotations

from typing import Any

from kelbench.config.claims import ClaimFile, ValueClaim, encoder_fits

Row = dict[str, Any]
Setups = dict[tuple[str, str], tuple[object, ...]]

_DROP = "drop"


class Rows:
    """Rows without breakdowns.

    Args:
        rows: all rows.
        primary: dataset -> candidates of its primary protocol.
        setups: (dataset, run) -> the parts of what runs that are compared must share; None, or nothing, for a part that
            is not asked.
        altered: (dataset, run) of runs whose graph or texts were scrambled: controls, of which no paper says anything.
    """

    def __init__(
        self,
        rows: list[Row],
        primary: dict[str, str],
        setups: Setups,
        altered: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        self._primary, self._setups, self._altered = primary, setups, altered
        self.all = [row for row in rows if row["breakdown"] is None]
        self._datasets_with_drop = {row["dataset"] for row in self.all if row["unseen"] == _DROP}
        self._mrr = {
            (row["dataset"], row["run"], row["split"], row["candidates"], row["unseen"], row["side"], row["ties"]): row
            for row in self.all
            if row["metric"] == "mrr"
        }

    def unseen(self, dataset: str, claimed: str) -> str:
        """The treatment of unseen entities whose rows a claim means: where there are none to drop, `keep` is both."""
        return claimed if dataset in self._datasets_with_drop else "keep"

    def of_value(self, file: ClaimFile, claim: ValueClaim, metric: str) -> list[Row]:
        """Rows with the dataset, method, engine, encoder and protocol of one published value, whatever its preset."""
        protocol = file.protocol
        wanted = {
            "dataset": claim.dataset,
            "method": claim.method,
            "metric": metric,
            "split": protocol.split,
            "side": protocol.side,
            "filter": protocol.filter,
            "ties": "realistic",
            "candidates": protocol.candidates,
            "unseen": self.unseen(claim.dataset, protocol.unseen),
        }
        return [
            row
            for row in self.all
            if all(row[key] == value for key, value in wanted.items())
            and claim.engine in (None, row["engine"])
            and encoder_fits(claim.encoder, row["encoder"])
            and not self.is_altered(row)
        ]

    def tie_gap(self, row: Row) -> float:
        """Optimistic minus pessimistic MRR of the ranks behind `row`."""
        key = tuple(row[name] for name in ("dataset", "run", "split", "candidates", "unseen", "side"))
        return float(self._mrr[(*key, "optimistic")]["mean"] - self._mrr[(*key, "pessimistic")]["mean"])

    def mrr(self, dataset: str, run: str, split: str) -> Row | None:
        """The primary row of a run on a split: realistic MRR of both sides, unseen entities kept."""
        return self._mrr.get((dataset, run, split, self._primary[dataset], "keep", "both", "realistic"))

    def setup(self, row: Row) -> tuple[object, ...]:
        """What a run that is compared with that of `row` must share with it."""
        return self._setups.get((row["dataset"], row["run"]), ())

    def is_altered(self, row: Row) -> bool:
        """Whether the run of `row` had a scrambled graph or texts, or began from one that had."""
        return (row["dataset"], row["run"]) in self._altered

    def runs(self, dataset: str) -> list[tuple[Row, Row]]:
        """The primary rows of each run on a dataset, validation and test, in the order of run names."""
        names = sorted({row["run"] for row in self.all if row["dataset"] == dataset})
        pairs = [(self.mrr(dataset, name, "valid"), self.mrr(dataset, name, "test")) for name in names]
        return [(valid, test) for valid, test in pairs if valid is not None and test is not None]


def best_on_validation(runs: list[tuple[Row, Row]]) -> Row | None:
    """The test row of the run with the best validation MRR, the first of equal ones; None without a run."""
    return max(runs, key=lambda pair: pair[0]["mean"])[1] if runs else None

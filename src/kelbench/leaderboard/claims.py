"""Published claims beside our rows: which rows a claim speaks of, and what they say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from kelbench.config.claims import Claim, ClaimFile, EffectClaim, OrderingClaim, ValueClaim
from kelbench.leaderboard.statistics import Difference
from kelbench.leaderboard.verdicts import TIE_GAP, Judgement, Verdict, judge_value, margin, together

Row = dict[str, Any]
LoadedClaim = tuple[ClaimFile, Claim]
Compare = Callable[[str, str, str], Difference]

_DROP = "drop"


class Rows:
    """The whole-split rows of a leaderboard, found by what claims name.

    Args:
        rows: all rows.
        primary: dataset -> candidates of its primary protocol.
    """

    def __init__(self, rows: list[Row], primary: dict[str, str]) -> None:
        self._primary = primary
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
        """Rows with the dataset, method, engine and protocol of one published value, whatever release and preset."""
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
            if all(row[key] == value for key, value in wanted.items()) and claim.engine in (None, row["engine"])
        ]

    def tie_gap(self, row: Row) -> float:
        """Optimistic minus pessimistic MRR of the ranks behind `row`."""
        key = tuple(row[name] for name in ("dataset", "run", "split", "candidates", "unseen", "side"))
        return float(self._mrr[(*key, "optimistic")]["mean"] - self._mrr[(*key, "pessimistic")]["mean"])

    def mrr(self, dataset: str, run: str, split: str) -> Row | None:
        """The primary row of a run on a split: realistic MRR of both sides, unseen entities kept."""
        return self._mrr.get((dataset, run, split, self._primary[dataset], "keep", "both", "realistic"))


def attach_published(rows: Rows, claims: Iterable[LoadedClaim]) -> None:
    """Fill in `published` and `verdict` of every row that a value claim speaks of.

    A row of preset `ours` shows deltas and gets no verdict; one of preset `paper` or `code` is judged against claims of
    its own preset. Published ties other than ours count as comparable while ties can move our MRR by at most TIE_GAP.
    """
    for file, claim in claims:
        if not isinstance(claim, ValueClaim):
            continue
        for metric, value in claim.values.items():
            for row in rows.of_value(file, claim, metric):
                judged = row["preset"] == claim.preset
                judgement = _judge_row(rows, row, file, claim, value) if judged else None
                row["published"].append(
                    {
                        "id": claim.id,
                        "value": value,
                        "decimals": 0 if metric == "mr" else claim.decimals,
                        "delta": row["mean"] - value,
                        "source": file.source.model_dump(),
                        "setting": claim.setting,
                        "preset": claim.preset,
                        "protocol": file.protocol.model_dump(),
                        "verdict": judgement.verdict if judgement else None,
                        "reason": judgement.reason if judgement else _caution(rows, row, file, claim),
                    }
                )
    for row in rows.all:
        row["verdict"] = together([item["verdict"] for item in row["published"] if item["verdict"] is not None])


def _caution(rows: Rows, row: Row, file: ClaimFile, claim: ValueClaim) -> str | None:
    """Why the two numbers were not measured alike; None where they were."""
    if claim.not_comparable is not None:
        return claim.not_comparable
    if claim.dataset_version not in (None, row["dataset_version"]):
        return f"measured on {claim.dataset_version}, here on {row['dataset_version']}"
    if file.protocol.ties != "realistic" and (gap := rows.tie_gap(row)) > TIE_GAP:
        return f"measured with {file.protocol.ties} ranks, and ties move our MRR by {gap:.4f}"
    return None


def _judge_row(rows: Rows, row: Row, file: ClaimFile, claim: ValueClaim, value: float) -> Judgement:
    if caution := _caution(rows, row, file, claim):
        return Judgement("not comparable", caution)
    half_width = margin(row["dataset"], row["metric"], value, claim.decimals, row["n_triples"])
    return judge_value(np.array(row["values"]), value, half_width, lower_is_better=row["metric"] == "mr")


def judge_claims(rows: Rows, claims: Iterable[LoadedClaim], controls: set[str], compare: Compare) -> list[Row]:
    """One record a claim (a metric of it, for values), with its verdict, in the order of the claim files.

    Args:
        rows: after `attach_published`.
        claims: all claims, also those on datasets that this experiment does not use.
        controls: labels of control methods, which no claim speaks of.
        compare: (dataset, run, other run) -> paired difference of test MRR.
    """
    records: list[Row] = []
    for file, claim in claims:
        if isinstance(claim, ValueClaim):
            records += [_value_record(rows, file, claim, metric) for metric in claim.values]
        elif isinstance(claim, OrderingClaim):
            records.append(_ordering_record(rows, file, claim, compare))
        else:
            records.append(_effect_record(rows, file, claim, controls))
    return records


def _record(file: ClaimFile, claim: Claim, kind: str, statement: str, metric: str, **more: Any) -> Row:
    return {
        "id": claim.id,
        "kind": kind,
        "dataset": claim.dataset,
        "dataset_version": claim.dataset_version,
        "engine": claim.engine,
        "metric": metric,
        "source": file.source.model_dump(),
        "protocol": file.protocol.model_dump(),
        "statement": statement,
        "rows": [],
        "tested_on": None,
        **more,
    }


def _value_record(rows: Rows, file: ClaimFile, claim: ValueClaim, metric: str) -> Row:
    decimals = 0 if metric == "mr" else claim.decimals
    value = claim.values[metric]
    statement = f"{claim.method} has {metric} {value:.{decimals}f} ({claim.setting})"
    record = _record(
        file,
        claim,
        "value",
        statement,
        metric,
        method=claim.method,
        setting=claim.setting,
        preset=claim.preset,
        value=value,
        decimals=decimals,
    )
    verdicts: list[Verdict] = []
    for row in rows.of_value(file, claim, metric):
        entry = next(item for item in row["published"] if item["id"] == claim.id)
        record["rows"].append(
            {key: row[key] for key in ("run", "preset", "engine", "mean")}
            | {key: entry[key] for key in ("delta", "verdict", "reason")}
        )
        if entry["verdict"] is not None:
            verdicts.append(entry["verdict"])
    if record["rows"]:
        record["tested_on"] = claim.dataset
    verdict = together(verdicts)
    if claim.not_comparable is not None:
        return record | {"verdict": "not comparable", "reason": claim.not_comparable}
    if verdict is None:
        needs = f"a run of {claim.method} on {claim.dataset} with preset {claim.preset}"
        needs += f", engine {claim.engine}" if claim.engine else ""
        return record | {"verdict": "not run", "reason": f"needs {needs}"}
    reasons = sorted({item["reason"] for item in record["rows"] if item["verdict"] is not None})
    return record | {"verdict": verdict, "reason": "; ".join(reasons)}


def _ordering_record(rows: Rows, file: ClaimFile, claim: OrderingClaim, compare: Compare) -> Row:
    statement = f"{claim.higher} has a higher {claim.metric.upper()} than {claim.lower} ({claim.printed})"
    record = _record(file, claim, "ordering", statement, claim.metric)
    if claim.not_comparable is not None:
        return record | {"verdict": "not comparable", "reason": claim.not_comparable}
    engine = claim.engine or "native"
    for dataset in (claim.dataset, *claim.stand_ins):
        higher = _selected_run(rows, dataset, claim.higher, engine)
        lower = _selected_run(rows, dataset, claim.lower, engine)
        if higher is None or lower is None:
            continue
        difference = compare(dataset, higher["run"], lower["run"])
        record["tested_on"] = dataset
        for row in (higher, lower):
            record["rows"].append({"run": row["run"], "preset": row["preset"], "engine": engine, "mean": row["mean"]})
        judgement = _judge_order(difference, higher["n_seeds"])
        return record | {"verdict": judgement.verdict, "reason": judgement.reason}
    needs = f"runs of {claim.higher} and {claim.lower} on {' or '.join((claim.dataset, *claim.stand_ins))}"
    return record | {"verdict": "not run", "reason": f"needs {needs}"}


def _selected_run(rows: Rows, dataset: str, method: str, engine: str) -> Row | None:
    """The test MRR row of the method's run with the best validation MRR; None if it was not run there."""
    runs = {
        row["run"] for row in rows.all if (row["dataset"], row["method"], row["engine"]) == (dataset, method, engine)
    }
    scored = []
    for run in sorted(runs):
        valid, test = rows.mrr(dataset, run, "valid"), rows.mrr(dataset, run, "test")
        if valid is not None and test is not None:
            scored.append((valid["mean"], test))
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def _judge_order(difference: Difference, n_seeds: int) -> Judgement:
    low, high = difference.interval
    words = f"difference {difference.value:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, p = {difference.p:.4f}"
    if n_seeds == 1:
        words += "; one seed: the interval is over test triples only"
    if low > 0:
        return Judgement("reproduced", words)
    return Judgement("below", f"the order is reversed: {words}") if high < 0 else Judgement("inconclusive", words)


def _effect_record(rows: Rows, file: ClaimFile, claim: EffectClaim, controls: set[str]) -> Row:
    who = claim.method or "the methods' average"
    statement = (
        f"Dropping unseen entities changes the {claim.metric.upper()} of {who} by {claim.value:+.{claim.decimals}f}"
    )
    record = _record(file, claim, "effect", statement, claim.metric, value=claim.value, decimals=claim.decimals)
    if claim.not_comparable is not None:
        return record | {"verdict": "not comparable", "reason": claim.not_comparable}
    pairs = _keep_and_drop(rows, claim, controls)
    if not pairs:
        return record | {"verdict": "not run", "reason": f"needs runs on {claim.dataset}"}
    gains = np.array([np.array(drop["values"]) - np.array(keep["values"]) for keep, drop in pairs])
    for (keep, _), gain in zip(pairs, gains, strict=True):
        record["rows"].append(
            {"run": keep["run"], "preset": keep["preset"], "engine": keep["engine"], "mean": float(gain.mean())}
        )
    record["tested_on"] = claim.dataset
    half_width = margin(claim.dataset, claim.metric, claim.value, claim.decimals, pairs[0][1]["n_triples"])
    judgement = judge_value(gains.mean(axis=0), claim.value, half_width)
    reason = f"{gains.mean():+.4f} over {len(pairs)} runs; {judgement.reason}"
    return record | {"verdict": judgement.verdict, "reason": reason}


def _keep_and_drop(rows: Rows, claim: EffectClaim, controls: set[str]) -> list[tuple[Row, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for row in rows.all:
        if (
            row["dataset"] == claim.dataset
            and (row["split"], row["side"], row["ties"], row["candidates"]) == ("test", "both", "realistic", "all")
            and row["metric"] == claim.metric
            and row["method"] not in controls
            and claim.method in (None, row["method"])
        ):
            found.setdefault(row["run"], {})[row["unseen"]] = row
    return [(pair["keep"], pair["drop"]) for _, pair in sorted(found.items()) if len(pair) == 2]

"""Published claims beside our rows: which rows a claim speaks of, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kelbench.config.claims import Claim, ClaimFile, EffectClaim, OrderingClaim, ValueClaim
from kelbench.leaderboard.orderings import ordering_records
from kelbench.leaderboard.records import Compare, claim_record
from kelbench.leaderboard.rows import Row, Rows
from kelbench.leaderboard.verdicts import TIE_GAP, Judgement, Verdict, judge_value, margin, together

LoadedClaim = tuple[ClaimFile, Claim]


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
                        "printed_as": claim.printed_as,
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
    """Records of all claims with their verdicts, in the order of the claim files.

    A value has one a metric, an ordering one a pair of runs that tests it, an effect one.

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
            records += ordering_records(rows, file, claim, compare)
        else:
            records.append(_effect_record(rows, file, claim, controls))
    return records


def _value_record(rows: Rows, file: ClaimFile, claim: ValueClaim, metric: str) -> Row:
    decimals = 0 if metric == "mr" else claim.decimals
    value = claim.values[metric]
    name = f"{claim.method} (printed as {claim.printed_as})" if claim.printed_as else claim.method
    statement = f"{name} has {metric} {value:.{decimals}f} ({claim.setting})"
    record = claim_record(
        file,
        claim,
        "value",
        statement,
        metric,
        method=claim.method,
        printed_as=claim.printed_as,
        encoder=claim.encoder,
        note=claim.note,
        cost=claim.cost.model_dump() if claim.cost else None,
        setting=claim.setting,
        preset=claim.preset,
        value=value,
        decimals=decimals,
    )
    verdicts: list[Verdict] = []
    for row in rows.of_value(file, claim, metric):
        entry = next(item for item in row["published"] if item["id"] == claim.id)
        record["rows"].append(
            {key: row[key] for key in ("run", "preset", "engine", "encoder", "mean", "sd")}
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
        needs += f", encoder {claim.encoder}" if claim.encoder else ""
        return record | {"verdict": "not run", "reason": f"needs {needs}"}
    reasons = sorted({item["reason"] for item in record["rows"] if item["verdict"] is not None})
    return record | {"verdict": verdict, "reason": "; ".join(reasons)}


def _effect_record(rows: Rows, file: ClaimFile, claim: EffectClaim, controls: set[str]) -> Row:
    who = claim.method or "the methods' average"
    statement = (
        f"Dropping unseen entities changes the {claim.metric.upper()} of {who} by {claim.value:+.{claim.decimals}f}"
    )
    record = claim_record(file, claim, "effect", statement, claim.metric, value=claim.value, decimals=claim.decimals)
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

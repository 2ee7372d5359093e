"""Claims that one method ranks above another: which runs are compared, and what their difference says."""

from __future__ import annotations

from kelbench.config.claims import ClaimFile, OrderingClaim, encoder_fits
from kelbench.leaderboard.records import Compare, claim_record, difference_record
from kelbench.leaderboard.rows import Row, Rows, best_on_validation
from kelbench.leaderboard.statistics import Difference
from kelbench.leaderboard.verdicts import Judgement

# Methods that come with these have no choice of encoder: graph embeddings have none, and DKRL is its convolution.
_NO_CHOICE = (None, "cnn")

# Preset, encoder, and how it was trained.
Kind = tuple[str, str | None, tuple[object, ...]]


def ordering_records(rows: Rows, file: ClaimFile, claim: OrderingClaim, compare: Compare) -> list[Row]:
    """One record a dataset and pair of runs on which the claim is tested; one without a test if there is none.

    The claim's own dataset is the only one where it has a pair; else every stand-in with one is taken.
    """
    higher = _with_encoder(claim.higher, claim.higher_encoder)
    lower = _with_encoder(claim.lower, claim.lower_encoder)
    statement = f"{higher} has a higher {claim.metric.upper()} than {lower} ({claim.printed})"
    record = claim_record(
        file,
        claim,
        "ordering",
        statement,
        claim.metric,
        higher=claim.higher,
        lower=claim.lower,
        higher_encoder=claim.higher_encoder,
        lower_encoder=claim.lower_encoder,
        printed=claim.printed,
        stand_ins=claim.stand_ins,
        lower_at_least=claim.lower_at_least,
        difference=None,
        interval=None,
        p=None,
    )
    if claim.not_comparable is not None:
        return [record | {"verdict": "not comparable", "reason": claim.not_comparable}]
    pairs = _pairs(rows, claim.dataset, claim)
    if not pairs:
        pairs = [pair for dataset in claim.stand_ins for pair in _pairs(rows, dataset, claim)]
    if not pairs:
        return [record | {"verdict": "not run", "reason": _needs(claim, higher, lower)}]
    return [record | _tested(claim, first, second, compare) for first, second in pairs]


def _pairs(rows: Rows, dataset: str, claim: OrderingClaim) -> list[tuple[Row, Row]]:
    """Test rows of runs that differ in the method alone: one preset, and encoders that may be compared."""
    highers = _by_kind(rows, dataset, claim.higher, claim.higher_encoder, claim.engine or "native")
    lowers = _by_kind(rows, dataset, claim.lower, claim.lower_encoder, claim.engine or "native")
    return [
        (higher, lower)
        for (preset, encoder, setup), higher in highers.items()
        for (other_preset, other_encoder, other_setup), lower in lowers.items()
        if preset == other_preset and _alike(claim, encoder, other_encoder)
        if all(part == other or None in (part, other) for part, other in zip(setup, other_setup, strict=False))
    ]


def _alike(claim: OrderingClaim, encoder: str | None, other: str | None) -> bool:
    if claim.higher_encoder is not None:
        return True
    return encoder == other or encoder in _NO_CHOICE or other in _NO_CHOICE


def _by_kind(rows: Rows, dataset: str, method: str, encoder: str | None, engine: str) -> dict[Kind, Row]:
    """Kind -> the test row of the method's run with the best validation MRR among those of its kind."""
    kinds: dict[Kind, list[tuple[Row, Row]]] = {}
    for valid, test in rows.runs(dataset):
        if rows.is_altered(test):
            continue
        if (test["method"], test["engine"]) == (method, engine) and encoder_fits(encoder, test["encoder"]):
            kinds.setdefault((test["preset"], test["encoder"], rows.setup(test)), []).append((valid, test))
    chosen = {kind: best_on_validation(runs) for kind, runs in sorted(kinds.items(), key=str)}
    return {kind: row for kind, row in chosen.items() if row is not None}


def _with_encoder(method: str, encoder: str | None) -> str:
    return f"{method} (encoder {encoder})" if encoder else method


def _needs(claim: OrderingClaim, higher: str, lower: str) -> str:
    alike = "one preset" if claim.higher_encoder else "one preset, and one encoder where both have a choice,"
    return f"needs runs of {higher} and {lower} with {alike} on {' or '.join((claim.dataset, *claim.stand_ins))}"


def _tested(claim: OrderingClaim, higher: Row, lower: Row, compare: Compare) -> Row:
    difference = compare(higher["dataset"], higher["run"], lower["run"])
    judgement = _judge_order(difference, higher["n_seeds"])
    wanted = claim.lower_at_least if lower["dataset"] == claim.dataset else None
    if wanted is not None and lower["mean"] < wanted:
        reason = f"{lower['run']} is at {lower['mean']:.4f}, below {wanted:g}: it is under-trained; {judgement.reason}"
        judgement = Judgement("inconclusive", reason)
    shown = ("run", "preset", "engine", "encoder", "mean")
    return {
        "rows": [{key: row[key] for key in shown} for row in (higher, lower)],
        "tested_on": higher["dataset"],
        **difference_record(difference),
        "verdict": judgement.verdict,
        "reason": judgement.reason,
    }


def _judge_order(difference: Difference, n_seeds: int) -> Judgement:
    low, high = difference.interval
    words = f"difference {difference.value:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, p = {difference.p:.4f}"
    if n_seeds == 1:
        words += "; one seed: the interval is over test triples only"
    if low > 0:
        return Judgement("reproduced", words)
    return Judgement("below", f"the order is reversed: {words}") if high < 0 else Judgement("inconclusive", words)

"""Whether an encoder that was trained before ends higher than one from random weights, or from another beginning."""

from __future__ import annotations

from typing import Any

from kelbench.leaderboard.records import Compare, difference_record
from kelbench.leaderboard.rows import Row, Rows, best_on_validation
from kelbench.leaderboard.statistics import holm

# What a beginning is compared with.
_OTHERS = {
    "pre-training": ("random", "link prediction", "shuffled texts"),
    "shuffled texts": ("random",),
    "link prediction": ("random",),
    "random": (),
}


def starts_compared(
    rows: Rows, dataset: str, settings: dict[str, dict[str, Any]], compare: Compare
) -> list[dict[str, Any]]:
    """Each run with the key `start` minus those that began otherwise, in MRR; Holm over the dataset.

    It is compared with one from random weights and, where it goes on from pre-training, with one that goes on from link
    prediction itself and with one whose pre-training had the descriptions of other entities; their graph encoders and
    decoders are of one kind. Of several the one with the same settings, `start` apart, is taken; else the best on
    validation.

    Args:
        rows: of the whole leaderboard.
        dataset: where to look.
        settings: of each run on the dataset; those with the key `decoder` are looked at.
        compare: paired difference of test MRR.
    """
    decoded = {run: keys for run, keys in settings.items() if keys.get("decoder") is not None}
    began = {run: _beginning(keys, settings) for run, keys in decoded.items()}
    pairs = []
    for run in sorted(decoded):
        for beginning in _OTHERS[began[run]]:
            twins = [
                name
                for name, keys in decoded.items()
                if began[name] == beginning and _trained(keys) == _trained(decoded[run])
            ]
            other = _nearest(rows, dataset, run, twins, decoded)
            if other is not None:
                pairs.append((run, other))
    differences = [compare(dataset, run, other["run"]) for run, other in pairs]
    adjusted = holm([difference.p for difference in differences])
    return [
        {
            "dataset": dataset,
            "run": run,
            "compared_with": other["run"],
            "decoder": decoded[run]["decoder"],
            "began": began[run],
            "other_began": began[other["run"]],
            "metric": "mrr",
            "n_seeds": other["n_seeds"],
            **difference_record(difference),
            "p_holm": p,
        }
        for (run, other), difference, p in zip(pairs, differences, adjusted, strict=True)
    ]


def _trained(keys: dict[str, Any]) -> tuple[str, str | None]:
    """The decoder and the kind of graph encoder."""
    return keys["decoder"], keys.get("graph", {}).get("kind")


def _beginning(keys: dict[str, Any], settings: dict[str, dict[str, Any]]) -> str:
    """`random`, `link prediction` (going on from a run with a decoder), `shuffled texts` or `pre-training`."""
    if keys.get("start") is None:
        return "random"
    start = settings.get(keys["start"], {})
    if start.get("decoder") is not None:
        return "link prediction"
    return "shuffled texts" if start.get("shuffled_texts") else "pre-training"


def _nearest(rows: Rows, dataset: str, run: str, twins: list[str], decoded: dict[str, dict[str, Any]]) -> Row | None:
    """The test row of the twin with the settings of `run`, else of the best on validation; None where none is."""
    ranked = [pair for pair in rows.runs(dataset) if pair[1]["run"] in twins]
    same = [pair for pair in ranked if _without_start(decoded[pair[1]["run"]]) == _without_start(decoded[run])]
    return best_on_validation(same or ranked)


def _without_start(keys: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if key != "start"}

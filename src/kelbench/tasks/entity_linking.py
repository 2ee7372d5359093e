"""Entity linking: rank the entity that a mention means, among all entities and among those with names like it.

A method hands over scores; ranks are written before any metric is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from kelbench.base.errors import UserError
from kelbench.base.files import write_arrays, write_json
from kelbench.data.linking import TASK, Mentions
from kelbench.ranking.metrics import Ranks, summarize

# Mentions that are scored together, and the metrics that say something of one right answer a mention.
MENTIONS_AT_ONCE = 256
METRICS = ("accuracy", "hits@1", "hits@3", "hits@10", "mrr", "mr", "tie_rate")
# Candidate sets by their place in the arrays: every entity, or those that the task gives.
CANDIDATES = ("all", "given")

# All mentions, or those that mean an entity with a training triple: no message reaches the others.
SUBSETS = ("every", "connected")

ARRAYS = ("optimistic", "pessimistic", "candidates")

# Numbers of mentions, int64 `(k,)`, to the scores of all entities, float64 `(k, entities)`.
Scorer = Callable[[np.ndarray], np.ndarray]


def link(mentions: Mentions, scores_of: Scorer) -> dict[str, np.ndarray]:
    """Ranks of the right entity, int32 `(n, 2)`: columns are the candidate sets of CANDIDATES.

    Scores are compared as float32: candidates with equal vectors tie whatever the order of summation.

    Returns:
        optimistic, pessimistic and candidates (how many competed); and connected, bool `(n,)`, as `Mentions` has it.

    Raises:
        UserError: a score is not finite.
    """
    arrays = {
        name: np.zeros((len(mentions), 2), dtype=np.int32) for name in ("optimistic", "pessimistic", "candidates")
    }
    for begin in range(0, len(mentions), MENTIONS_AT_ONCE):
        numbers = np.arange(begin, min(begin + MENTIONS_AT_ONCE, len(mentions)))
        scores = scores_of(numbers).astype(np.float32)
        if not np.isfinite(scores).all():
            raise UserError(f"entity linking: a score of mention {begin} or one of the next is not finite")
        right = scores[np.arange(len(numbers)), mentions.entities[numbers]]
        documents = mentions.documents[numbers]
        described = np.flatnonzero(documents >= 0)
        scores[described, documents[described]] = -np.inf
        above, not_below = scores > right[:, None], scores >= right[:, None]
        arrays["optimistic"][numbers, 0] = 1 + above.sum(1)
        arrays["pessimistic"][numbers, 0] = not_below.sum(1)
        arrays["candidates"][numbers, 0] = scores.shape[1] - (documents >= 0)  # without the document's own entity
        row, entity = _given(mentions, numbers)
        arrays["optimistic"][numbers, 1] = 1 + np.bincount(row, above[row, entity], len(numbers))
        arrays["pessimistic"][numbers, 1] = np.bincount(row, not_below[row, entity], len(numbers))
        arrays["candidates"][numbers, 1] = np.bincount(row, minlength=len(numbers))
    return arrays | {"connected": mentions.connected}


def evaluate_linking(mentions: Mentions, scores_of: Scorer, folder: Path) -> None:
    """Write `entity_linking.npz`, the ranks of the test part, and `entity_linking.json`, what they amount to.

    Raises:
        UserError: a score is not finite.
    """
    arrays = link(mentions, scores_of)
    write_arrays(folder / f"{TASK}.npz", **arrays)
    write_json(folder / f"{TASK}.json", list(linking_records(arrays)))


def counted(arrays: dict[str, np.ndarray], subset: str, candidates: str) -> np.ndarray:
    """Which mentions a metric is made of, bool `(n,)`: those of the subset that leave something to choose.

    Args:
        arrays: as `link` made them.
        subset: one of SUBSETS.
        candidates: one of CANDIDATES.
    """
    choice = arrays["candidates"][:, CANDIDATES.index(candidates)] > 1
    return choice if subset == "every" else choice & arrays["connected"]


def accuracies(optimistic: np.ndarray, pessimistic: np.ndarray) -> np.ndarray:
    """Chance, float64, that each mention's first candidate is the right one, equal scores being in random order.

    Hits@1 of realistic ranks takes any tie at the top for a miss: between two candidates that a scorer cannot tell
    apart it would be 0 instead of a half.

    Args:
        optimistic: ranks before all candidates with an equal score, integers.
        pessimistic: ranks after them, of the same shape.
    """
    return np.where(optimistic == 1, 1.0 / (pessimistic - optimistic + 1), 0.0)


def linking_records(arrays: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Every metric of ranks that `link` made, as records; none of a subset without a mention."""
    for subset, candidates in product(SUBSETS, CANDIDATES):
        rows, column = counted(arrays, subset, candidates), CANDIDATES.index(candidates)
        if not rows.any():
            continue
        optimistic, pessimistic, competing = (arrays[name][rows, column] for name in ARRAYS)
        ranks = Ranks(optimistic, pessimistic, competing, query=np.arange(len(optimistic)))
        found = summarize(ranks, "realistic") | {"accuracy": float(np.mean(accuracies(optimistic, pessimistic)))}
        for metric in METRICS:
            yield {
                "subset": subset,
                "candidates": candidates,
                "metric": metric,
                "value": found[metric],
                "n_examples": len(ranks),
                "n_candidates": round(float(np.mean(competing)), 2),
            }


def _given(mentions: Mentions, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows among `numbers`, and the candidates that the task gives them."""
    start, stop = mentions.offsets[numbers[0]], mentions.offsets[numbers[-1] + 1]
    rows = np.repeat(np.arange(len(numbers)), np.diff(mentions.offsets[numbers[0] : numbers[-1] + 2]))
    return rows, mentions.candidates[start:stop]

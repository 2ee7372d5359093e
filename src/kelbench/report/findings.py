"""What a reader should know before any table: sentences of the first screen."""

from __future__ import annotations

from typing import Any

from kelbench.report.board import Board
from kelbench.report.text import share, signed


def word_bag_sentences(board: Board) -> list[str]:
    """For each dataset with both: whether the best bag of words is above the best transformer that was trained."""
    return [_sentence(board, item) for item in board.content["word_bags"]]


def _sentence(board: Board, item: dict[str, Any]) -> str:
    dataset = item["dataset"]
    bag, transformer = (board.row(dataset, item[name]) for name in ("bag_of_words", "transformer"))
    if bag is None or transformer is None:
        raise AssertionError(f"{dataset}: the leaderboard compares runs that it has no rows of")
    low, high = item["interval"]
    place = "is above" if low > 0 else "is below" if high < 0 else "cannot be told from"
    seeds = "; one seed: the interval is over test triples only" if item["n_seeds"] == 1 else ""
    ours = f"{item['bag_of_words']} ({bag['method']}, MRR {share(bag['mean'])})"
    other = f"{transformer['method']}, encoder {transformer['encoder']}, MRR {share(transformer['mean'])}"
    return (
        f"On {board.title(dataset)}, the bag of words {ours} {place} the best transformer that was trained, "
        f"{item['transformer']} ({other}): paired difference {signed(item['difference'])}, "
        f"95 % interval {signed(low)} to {signed(high)}{seeds}."
    )

"""CLEP's loss: seconds of value and gradient, with one table of exponentials and by torch's own functions, in one run.

    python benchmarks/contrastive_loss.py [--queries 1120] [--texts 14541] [--threads 2] [--rounds 9]

The sizes are those of a step of config/clep.yaml on FB15k-237: whole queries with 4,096 answers against every
description; of each query's answers none is another's negative. `torch` writes the same loss with index_put and
logsumexp, over rows and over the columns that are asked for. They alternate within a round; figures are medians over
rounds, of the loss alone, without the product that makes the scores. Values and gradients are compared first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import harness
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from kelbench.methods.clep.loss import Places, contrastive_loss

ANSWERS = 4096
SCALE = 1 / 0.05  # e^tau where training on atlas ended


def main() -> None:
    """Measure both, with and without the columns' loss."""
    options = harness.parser(__doc__, models=False)
    options.add_argument("--queries", type=int, default=1120)
    options.add_argument("--texts", type=int, default=14541)
    options.add_argument("--rounds", type=int, default=9)
    chosen = options.parse_args()
    harness.start(chosen.threads)
    settings = {key: getattr(chosen, key) for key in ("queries", "texts", "threads", "rounds")}
    harness.show_heading("contrastive loss", settings)
    section = harness.Section(chosen.out, "contrastive-loss", settings)
    scores, right = drawn(chosen.queries, chosen.texts)
    for key, column_loss in (("rows-and-columns", True), ("rows", False)):
        taken = measure(scores, right, column_loss, chosen.rounds)
        record = {name: harness.rounded(seconds) for name, seconds in taken.items()}
        record["torch_over_kelbench"] = harness.rounded(taken["torch"] / taken["kelbench"], 3)
        section.add(key, record)
        harness.show("contrastive-loss", key, **record)


def drawn(queries: int, texts: int) -> tuple[Tensor, Places]:
    """Scaled cosines of random vectors `(queries, texts)`, and the places of the answers."""
    torch.manual_seed(0)
    asked, told = (F.normalize(torch.randn(number, 256), dim=1) for number in (queries, texts))
    place = torch.randperm(queries * texts)[:ANSWERS]
    return SCALE * asked @ told.T, (place // texts, place % texts)


def measure(scores: Tensor, right: Places, column_loss: bool, rounds: int) -> dict[str, float]:
    """Median seconds of value and gradient by implementation; the first round, which is not counted, compares them."""
    losses = {"kelbench": contrastive_loss, "torch": by_torch}
    taken: dict[str, list[float]] = {name: [] for name in losses}
    for round_number in range(rounds + 1):
        found = {}
        for name, loss in losses.items():
            seconds, found[name] = harness.seconds_of(lambda loss=loss: learn(loss, scores, right, column_loss))
            if round_number:
                taken[name].append(seconds)
        if not round_number and not all(
            torch.allclose(ours, other, rtol=1e-3, atol=1e-9) for ours, other in zip(*found.values(), strict=True)
        ):
            sys.exit("the two losses or their gradients differ")
    return {name: harness.median(seconds) for name, seconds in taken.items()}


def learn(loss: Callable[..., Tensor], scores: Tensor, right: Places, column_loss: bool) -> tuple[Tensor, Tensor]:
    """Value and gradient."""
    leaf = scores.detach().requires_grad_()
    value = loss(leaf, right, right, column_loss)
    value.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return value.detach(), leaf.grad


def by_torch(scores: Tensor, positive: Places, excluded: Places, column_loss: bool) -> Tensor:
    """The same loss by torch's functions; every excluded pair is a positive one."""
    loss = _of_rows(scores, positive, excluded)
    if not column_loss:
        return loss
    asked, place = torch.unique(positive[1], return_inverse=True)
    return (loss + _of_rows(scores[:, asked].T, (place, positive[0]), (place, excluded[0]))) / 2


def _of_rows(scores: Tensor, positive: Places, excluded: Places) -> Tensor:
    negatives = torch.logsumexp(scores.index_put(excluded, scores.new_tensor(-1e30)), dim=1)
    return F.softplus(negatives[positive[0]] - scores[positive]).mean()


if __name__ == "__main__":
    main()

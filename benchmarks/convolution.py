"""ConvE's queries: seconds of value and gradient, by products and by torch's own convolution and dropout, in one run.

    python benchmarks/convolution.py [--queries 640] [--threads 2] [--rounds 5]

The image and the filters are those of config/methods/compgcn_conve.yaml. `torch` does the same with conv2d, batch
normalization of its channels and torch's dropout; the columns of its projection are in the order that it needs. They
alternate within a round; figures are medians over rounds. Without dropout values and gradients are compared first.
"""

from __future__ import annotations

import sys

import harness
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from kelbench.config.graph_decoders import ConvolutionSettings
from kelbench.encoders.decoders import ConvE

IMAGE = {"kernel": 5, "filters": 200, "rows": 10, "columns": 20}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    """Measure both, in both precisions."""
    options = harness.parser(__doc__, models=False)
    options.add_argument("--queries", type=int, default=640)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    harness.start(chosen.threads)
    settings = {key: getattr(chosen, key) for key in ("queries", "threads", "rounds")}
    harness.show_heading("convolution", settings)
    section = harness.Section(chosen.out, "convolution", settings)
    compare(chosen.queries)
    for name, dtype in DTYPES.items():
        taken = measure(chosen.queries, dtype, chosen.rounds)
        record = {key: harness.rounded(seconds) for key, seconds in taken.items()}
        record["torch_over_kelbench"] = harness.rounded(taken["torch"] / taken["kelbench"], 3)
        section.add(name, record)
        harness.show("convolution", name, **record)


def decoders(dropout: float) -> dict[str, ConvE]:
    """Both, of equal weights but for the order of the projection's columns."""
    settings = ConvolutionSettings(**IMAGE, feature_dropout=dropout, hidden_dropout=dropout)
    width = settings.rows * settings.columns
    ours, torchs = (kind(width, settings, torch.Generator().manual_seed(0)) for kind in (ConvE, ByTorch))
    with torch.no_grad():
        places = ours.projection.view(width, -1, settings.filters)
        torchs.projection.copy_(places.transpose(1, 2).flatten(1))
    return {"kelbench": ours.train(), "torch": torchs.train()}


class ByTorch(ConvE):
    """The same decoder by torch's functions."""

    def _queries(self, images: Tensor) -> Tensor:
        dtype, dropped = images.dtype, self.settings.feature_dropout
        convolved = F.conv2d(_by_batch(images, self.of_image), self.filters.to(dtype))
        features = F.dropout(F.relu(_by_batch(convolved, self.of_filters)).flatten(1), dropped)
        projected = F.linear(features, self.projection.to(dtype), self.projection_bias.to(dtype))
        return F.relu(_by_batch(F.dropout(projected, self.settings.hidden_dropout), self.of_query))


def _by_batch(values: Tensor, norm: torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) -> Tensor:
    return F.batch_norm(values, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)


def compare(queries: int) -> None:
    """Exit where values or gradients differ."""
    leaves, upstream = _drawn(queries)
    values, gradients = zip(
        *(learn(decoder, leaves, upstream, torch.float32) for decoder in decoders(0.0).values()), strict=True
    )
    for ours, other in (values, gradients):
        if not torch.allclose(ours, other, rtol=1e-3, atol=1e-3):
            sys.exit(f"the two decoders differ by up to {(ours - other).abs().max():.2g}")


def measure(queries: int, dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """Median seconds of value and gradient by implementation; the first round is not counted."""
    leaves, upstream = _drawn(queries)
    both = decoders(0.3)
    taken: dict[str, list[float]] = {name: [] for name in both}
    for round_number in range(rounds + 1):
        for name, decoder in both.items():
            seconds, _ = harness.seconds_of(lambda decoder=decoder: learn(decoder, leaves, upstream, dtype))
            if round_number:
                taken[name].append(seconds)
    return {name: harness.median(seconds) for name, seconds in taken.items()}


def _drawn(queries: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    drawn = torch.randn(3, queries, IMAGE["rows"] * IMAGE["columns"], generator=torch.Generator().manual_seed(1))
    return (drawn[0], drawn[1]), drawn[2]


def learn(decoder: ConvE, rows: tuple[Tensor, Tensor], upstream: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Queries, and the gradient with respect to the nodes' rows; weights get theirs too."""
    decoder.zero_grad()
    nodes, relations = (given.clone().requires_grad_() for given in rows)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        queries = decoder(nodes, relations, torch.zeros(len(nodes), dtype=torch.int64)).float()
    queries.backward(upstream)  # type: ignore[no-untyped-call]
    assert nodes.grad is not None
    return queries.detach(), nodes.grad


if __name__ == "__main__":
    main()

"""Attention of a text encoder on a CPU: seconds of one forward and backward pass, fused and plain, in one run.

    python benchmarks/text_attention.py [--tokens 24 64 128 256] [--layers 6] [--threads 2] [--rounds 5]

A BERT of all-MiniLM-L6-v2's widths with random weights reads 8,192 tokens, in texts of each length, half of which end
in padding. `sdpa` is torch's fused attention, which the transformers library takes unless told otherwise, `eager` the
plain matrix products that `encoders/attention.py` takes for short texts in bfloat16. They alternate within a round;
figures are medians over rounds, and the ratio is of the whole pass, not of its attention alone.
"""

from __future__ import annotations

import harness
import torch
from transformers import BertConfig, BertModel

from kelbench.encoders.text_encoder import TOKENS_AT_ONCE

IMPLEMENTATIONS = ("sdpa", "eager")
PRECISIONS = {"bfloat16": True, "float32": False}


def main() -> None:
    """Measure both at every length and precision."""
    options = harness.parser(__doc__, models=False)
    options.add_argument("--tokens", type=int, nargs="+", default=[24, 64, 128, 256], help="tokens of a text")
    options.add_argument("--layers", type=int, default=6)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    harness.start(chosen.threads)
    settings = {key: getattr(chosen, key) for key in ("layers", "threads", "rounds")} | {"tokens": TOKENS_AT_ONCE}
    harness.show_heading("text attention", settings)
    section = harness.Section(chosen.out, "text-attention", settings)
    model = encoder(chosen.layers, max(chosen.tokens))
    for precision in PRECISIONS:
        for length in chosen.tokens:
            taken = measure(model, length, precision, chosen.rounds)
            record = {name: harness.rounded(seconds) for name, seconds in taken.items()}
            record["sdpa_over_eager"] = harness.rounded(taken["sdpa"] / taken["eager"], 3)
            key = f"{precision}-{length}-tokens"
            section.add(key, record)
            harness.show("text-attention", key, **record)


def encoder(layers: int, positions: int) -> BertModel:
    """A BERT of random weights without dropout."""
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=False)


def measure(model: BertModel, length: int, precision: str, rounds: int) -> dict[str, float]:
    """Median seconds of a pass by implementation; the first round, which fills caches, is not counted."""
    ids = torch.randint(model.config.vocab_size, (TOKENS_AT_ONCE // length, length))
    mask = torch.ones_like(ids)
    mask[::2, -length // 4 :] = 0
    taken: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    for round_number in range(rounds + 1):
        for name in IMPLEMENTATIONS:
            model.set_attn_implementation(name)
            seconds, _ = harness.seconds_of(lambda: one_pass(model, ids, mask, precision))
            if round_number:
                taken[name].append(seconds)
    return {name: harness.median(seconds) for name, seconds in taken.items()}


def one_pass(model: BertModel, ids: torch.Tensor, mask: torch.Tensor, precision: str) -> None:
    """Forward and backward."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=PRECISIONS[precision]):
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    states.float().mean().backward()


if __name__ == "__main__":
    main()

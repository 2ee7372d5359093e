"""Which of the transformers library's implementations of attention an encoder uses."""

from __future__ import annotations

from typing import Any

import torch

from kelbench.config.text_encoder import TextEncoderSettings

# Up to here the plain one was the faster one, see benchmarks/text_attention.py.
_LONGEST = 128


def choose_attention(model: Any, settings: TextEncoderSettings) -> None:
    """Take the plain matrix products for short texts in bfloat16 where there is no GPU.

    torch's fused attention on a CPU spends a third of a step on its backward pass there.
    """
    short = settings.precision == "bfloat16" and settings.max_tokens <= _LONGEST
    if short and not torch.cuda.is_available():
        model.set_attn_implementation("eager")

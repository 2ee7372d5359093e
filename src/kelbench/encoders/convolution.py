"""DKRL's text encoder: two convolutions over word vectors."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kelbench.base.files import write_bytes
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.words import WordTokenizer

# Xie et al. 2016, Section 5.2: windows of 2 (convolution) and, after the first, of 1; pooling over 4 states.
WINDOW = 2
POOL = 4


class Convolution(nn.Module):
    """Xie et al. 2016, Section 3.2: convolution, max-pooling over 4 states, convolution, mean over what is left; tanh.

    Zeros stand before and behind a text, as there. A text without a known word has the vector of an empty text.
    """

    def __init__(self, tokenizer: WordTokenizer, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.tokenizer, self.width = tokenizer, width
        rows = torch.randn(len(tokenizer.vocabulary) + 1, width, generator=generator) * width**-0.5
        rows[-1] = 0.0
        self.words = nn.Parameter(rows)
        self.first = nn.Parameter(torch.randn(width, width, WINDOW, generator=generator) * (WINDOW * width) ** -0.5)
        self.first_bias = nn.Parameter(torch.zeros(width))
        self.second = nn.Parameter(torch.randn(width, width, 1, generator=generator) * width**-0.5)
        self.second_bias = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tokens) -> Tensor:
        """Vectors float32 `(texts, width)`."""
        padding = len(self.tokenizer.vocabulary)
        ids = torch.from_numpy(tokens.padded(padding)).to(self.words.device)
        known = (ids != padding)[:, None]
        states = self.words[ids].transpose(1, 2) * known
        states = torch.tanh(F.conv1d(F.pad(states, (1, WINDOW - 1)), self.first, self.first_bias))
        length = torch.from_numpy(tokens.lengths).to(ids.device) + 1  # states that a word has touched
        states = states.masked_fill(torch.arange(states.shape[2], device=ids.device) >= length[:, None, None], -1.0)
        states = F.max_pool1d(states, POOL, ceil_mode=True)
        states = torch.tanh(F.conv1d(states, self.second, self.second_bias))
        pools = (length + POOL - 1) // POOL
        inside = torch.arange(states.shape[2], device=ids.device) < pools[:, None, None]
        return (states * inside).sum(2) / pools[:, None]

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and the vocabulary."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.named_parameters()}
        write_bytes(folder / "model.safetensors", save(tensors))
        self.tokenizer.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Convolution:
        """Read what `save` wrote."""
        stored = load_file(folder / "model.safetensors")
        encoder = cls(WordTokenizer.load(folder), stored["words"].shape[1])
        encoder.load_state_dict(stored)
        return encoder

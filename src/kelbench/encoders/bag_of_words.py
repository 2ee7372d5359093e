"""Learned word vectors: a text is the weighted sum of its words'."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kelbench.base.files import write_bytes
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.words import WordTokenizer


class BagOfWords(nn.Module):
    """Sum of word vectors, weighted by inverse document frequency, the weights of a text of Euclidean norm 1.

    A text without a known word has the vector 0.
    """

    def __init__(self, tokenizer: WordTokenizer, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.tokenizer, self.width = tokenizer, width
        rows = torch.randn(len(tokenizer.vocabulary), width, generator=generator)
        self.words = nn.Parameter(rows * width**-0.5)
        self.register_buffer("weights", torch.from_numpy(tokenizer.weights), persistent=False)
        self.weights: Tensor

    def forward(self, tokens: Tokens) -> Tensor:
        """Vectors float32 `(texts, width)`."""
        ids = torch.from_numpy(tokens.ids).long().to(self.words.device)
        lengths = torch.from_numpy(tokens.lengths).to(self.words.device)
        row = torch.repeat_interleave(torch.arange(len(tokens), device=self.words.device), lengths)
        weights = self.weights[ids]
        squares = torch.zeros(len(tokens), device=weights.device).index_add_(0, row, weights * weights)
        offsets = torch.from_numpy(tokens.offsets[:-1].copy()).to(self.words.device)
        return F.embedding_bag(
            ids, self.words, offsets, mode="sum", per_sample_weights=weights / squares.clamp_min(1e-12).sqrt()[row]
        )

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and the vocabulary."""
        write_bytes(folder / "model.safetensors", save({"words": self.words.detach().cpu().contiguous()}))
        self.tokenizer.save(folder)

    @classmethod
    def load(cls, folder: Path) -> BagOfWords:
        """Read what `save` wrote."""
        stored = load_file(folder / "model.safetensors")["words"]
        encoder = cls(WordTokenizer.load(folder), stored.shape[1])
        with torch.no_grad():
            encoder.words.copy_(stored)
        return encoder

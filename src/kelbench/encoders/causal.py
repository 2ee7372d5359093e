"""Language models that read from left to right (GPT-2) as text encoders: a text's vector is that of its last token."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kelbench.base.errors import UserError
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.encoders.loading import loading
from kelbench.encoders.tokens import Tokens, concatenated

_TEXTS_AT_ONCE = 4096
_KINDS = ("gpt2",)


class CausalTokenizer:
    """The tokenizer of such a model. Nothing frames an input; an empty text is the one token that ends texts."""

    special = None

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def tokens(self, texts: list[str]) -> Tokens:
        """Ids of the pieces of each text, uncut."""
        parts = [Tokens.of([])]
        for begin in range(0, len(texts), _TEXTS_AT_ONCE):
            ids = self.tokenizer(texts[begin : begin + _TEXTS_AT_ONCE], verbose=False)["input_ids"]
            parts.append(Tokens.of([row or [self.tokenizer.eos_token_id] for row in ids]))
        return concatenated(parts)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's own files."""
        self.tokenizer.save_pretrained(folder)


class CausalTransformer(nn.Module):
    """GPT-2: the last state of a text's last token, which alone has seen all of them."""

    def __init__(self, tokenizer: CausalTokenizer, model: Any, precision: Literal["float32", "bfloat16"]) -> None:
        super().__init__()
        self.tokenizer, self.model, self.precision = tokenizer, model, precision
        self.width = int(model.config.hidden_size)

    def forward(self, tokens: Tokens) -> Tensor:
        """Vectors float32 `(texts, width)`."""
        device = next(self.model.parameters()).device
        # Padding stands to the right, where no token looks: what its id is does not matter.
        ids = torch.from_numpy(tokens.padded(0)).to(device)
        last = torch.from_numpy(tokens.lengths).to(device) - 1
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            states = self.model(input_ids=ids, use_cache=False).last_hidden_state
        return states[torch.arange(len(ids), device=device), last].float()  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        """Write a checkpoint that `AutoModel.from_pretrained` loads."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.model.save_pretrained(folder)
        self.tokenizer.save(folder)


def pretrained_causal(settings: TextEncoderSettings, place: str | Path, options: dict[str, Any]) -> CausalTransformer:
    """A checkpoint, of a folder or the hub; all blocks but its last `trained_layers` frozen.

    Args:
        settings: precision, dropout and what is trained.
        place: folder, or the hub's name.
        options: of `from_pretrained`: `local_files_only` or `revision`.

    Raises:
        UserError: there is no such checkpoint, it is of another kind, or it has fewer positions or layers than asked.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    with loading(place):
        config = AutoConfig.from_pretrained(place, **options)
        if config.model_type not in _KINDS:
            raise UserError(f"encoder {place}: pooling: last goes with {', '.join(_KINDS)}, found {config.model_type}")
        for key in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
            setattr(config, key, settings.dropout)
        model = AutoModel.from_pretrained(place, config=config, dtype=torch.float32, use_safetensors=True, **options)
        tokenizer = CausalTokenizer(AutoTokenizer.from_pretrained(place, use_fast=True, **options))
    if settings.max_tokens > config.n_positions:
        raise UserError(f"encoder {place}: max_tokens is {settings.max_tokens}, the model has {config.n_positions}")
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    _freeze(model, settings.trained_layers, place)
    return CausalTransformer(tokenizer, model, settings.precision)


def _freeze(model: Any, trained_layers: int | None, place: str | Path) -> None:
    if trained_layers is None:
        return
    if trained_layers > len(model.h):
        raise UserError(f"encoder {place}: trained_layers is {trained_layers}, the model has {len(model.h)}")
    # Of GPT-2 the released code of CLEP freezes blocks alone: embeddings and the last norm are trained.
    for module in model.h[: len(model.h) - trained_layers]:
        module.requires_grad_(False)

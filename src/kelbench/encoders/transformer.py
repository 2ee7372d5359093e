"""Transformers of the transformers library as text encoders, with the output layer of masked language modelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from kelbench.base.errors import UserError
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.encoders.attention import choose_attention
from kelbench.encoders.loading import loading
from kelbench.encoders.subwords import SubwordTokenizer
from kelbench.encoders.tokens import Tokens


class Transformer(nn.Module):
    """A BERT-like model: a text's vector is the last state of its first token, or the mean of all.

    Attributes:
        masked: the model with its output layer (`AutoModelForMaskedLM`); the encoder is its base model.
        head_is_new: whether the checkpoint came without an output layer and one was made.
    """

    def __init__(
        self,
        tokenizer: SubwordTokenizer,
        masked: Any,
        pooling: Literal["cls", "mean"],
        precision: Literal["float32", "bfloat16"] = "float32",
        head_is_new: bool = False,
    ) -> None:
        super().__init__()
        self.tokenizer, self.masked, self.pooling, self.precision = tokenizer, masked, pooling, precision
        self.head_is_new = head_is_new
        self.width = int(masked.config.hidden_size)

    @property
    def model(self) -> Any:
        """The encoder, without the output layer."""
        return self.masked.base_model

    def forward(self, tokens: Tokens) -> Tensor:
        """Vectors float32 `(texts, width)` of inputs with their special tokens."""
        states, mask = self._states(tokens)
        if self.pooling == "cls":
            return states[:, 0].float()
        weights = mask[..., None].to(torch.float32)
        return (states.float() * weights).sum(1) / weights.sum(1)

    def masked_loss(self, tokens: Tokens, wanted: np.ndarray) -> Tensor:
        """Summed negative log-likelihood of the wanted tokens.

        Args:
            tokens: inputs, masked.
            wanted: int32, by place in `tokens.ids`: the token that stood there, -1 where none is asked for.
        """
        states, _ = self._states(tokens)
        places = Tokens(wanted, tokens.offsets).padded(-1)
        labels = torch.from_numpy(places).to(states.device)
        with self._autocast(states.device):
            # Only the states that are asked for pass the output layer: its width is the vocabulary.
            logits = self._output_layer(states[labels >= 0])
        return F.cross_entropy(logits.float(), labels[labels >= 0], reduction="sum")

    def head_parameters(self) -> list[nn.Parameter]:
        """The output layer's own parameters, those tied to the embeddings apart."""
        base = {id(parameter) for parameter in self.model.parameters()}
        return [parameter for parameter in self.masked.parameters() if id(parameter) not in base]

    def _output_layer(self, states: Tensor) -> Tensor:
        layer = self.masked.cls if hasattr(self.masked, "cls") else self.masked.lm_head  # BERT's name, RoBERTa's
        logits: Tensor = layer(states)
        return logits

    def _states(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Last states `(texts, longest, width)` and the mask of what is no padding."""
        device = next(self.masked.parameters()).device
        ids = torch.from_numpy(tokens.padded(self.tokenizer.special.padding)).to(device)
        lengths = torch.from_numpy(tokens.lengths).to(device)
        mask = (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long()
        with self._autocast(device):
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state, mask

    def _autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")

    def save(self, folder: Path) -> None:
        """Write a checkpoint that `AutoModel.from_pretrained` and `AutoModelForMaskedLM.from_pretrained` load."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.masked.save_pretrained(folder)
        self.tokenizer.save(folder)


def tiny_transformer(settings: TextEncoderSettings, texts: list[str]) -> Transformer:
    """A BERT of the configured size and a tokenizer of the training texts; initialised from torch's global state."""
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = SubwordTokenizer.trained(texts, settings.vocabulary or 0)
    width = settings.width or 0
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=settings.layers or 0,
        num_attention_heads=settings.heads or 0,
        intermediate_size=4 * width,
        max_position_embeddings=settings.max_tokens,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        pad_token_id=tokenizer.special.padding,
    )
    encoder = Transformer(tokenizer, BertForMaskedLM(config), _pooling(settings), settings.precision)
    _prepare_training(encoder, settings, "tiny")
    return encoder


def pretrained_transformer(settings: TextEncoderSettings, place: str | Path, options: dict[str, Any]) -> Transformer:
    """A checkpoint, of a folder or the hub.

    Args:
        settings: pooling, precision, dropout and what is trained.
        place: folder, or the hub's name.
        options: of `from_pretrained`: `local_files_only` or `revision`.

    Raises:
        UserError: there is no such checkpoint, it lacks weights of the encoder, or it has fewer positions or layers
            than the settings ask for.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    with loading(place):
        config = AutoConfig.from_pretrained(place, **options)
        _check_kind(config.model_type, place)
        for key in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            setattr(config, key, settings.dropout)
        masked, report = AutoModelForMaskedLM.from_pretrained(
            place, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **options
        )
        tokenizer = SubwordTokenizer.load(place, **options)
    _check_whole(masked, report["missing_keys"], place)
    encoder = Transformer(tokenizer, masked, _pooling(settings), settings.precision, bool(report["missing_keys"]))
    positions = _positions(encoder.model)
    if settings.max_tokens > positions:
        raise UserError(f"encoder {place}: max_tokens is {settings.max_tokens}, the model has {positions}")
    _prepare_training(encoder, settings, place)
    return encoder


def _check_whole(masked: Any, missing: set[str], place: str | Path) -> None:
    """Raise UserError where the checkpoint lacks weights of the encoder itself: random ones would go unnoticed."""
    lacking = sorted(name for name in missing if name.startswith(f"{masked.base_model_prefix}."))
    if lacking:
        raise UserError(
            f"encoder {place}: the checkpoint lacks {len(lacking)} weights of the encoder, {lacking[0]} among them; "
            "download or export it again"
        )


def _pooling(settings: TextEncoderSettings) -> Literal["cls", "mean"]:
    """What the settings ask for; models that read from left to right are loaded elsewhere."""
    return "mean" if settings.pooling == "mean" else "cls"


def _positions(model: Any) -> int:
    """Tokens of the longest input; RoBERTa's positions begin behind that of padding."""
    table = model.embeddings.position_embeddings
    return int(table.num_embeddings) - (0 if table.padding_idx is None else int(table.padding_idx) + 1)


# Models with BERT's layout: names of layers, of dropout and of the output layer.
_KINDS = ("bert", "roberta", "xlm-roberta", "camembert")


def _check_kind(kind: str, place: str | Path) -> None:
    if kind not in _KINDS:
        raise UserError(
            f"encoder {place}: expected a model of type {', '.join(_KINDS)}, or gpt2 with pooling: last, found {kind}"
        )


def _prepare_training(encoder: Transformer, settings: TextEncoderSettings, place: str | Path) -> None:
    """Choose how it attends; freeze all but the last `trained_layers`, and the pooler, which nothing uses."""
    choose_attention(encoder.masked, settings)
    if settings.gradient_checkpointing:
        encoder.masked.gradient_checkpointing_enable({"use_reentrant": False})
    for name, parameter in encoder.model.named_parameters():
        if name.startswith("pooler"):
            parameter.requires_grad_(False)
    if settings.trained_layers is None:
        return
    layers = encoder.model.encoder.layer
    if settings.trained_layers > len(layers):
        raise UserError(f"encoder {place}: trained_layers is {settings.trained_layers}, the model has {len(layers)}")
    frozen = [encoder.model.embeddings, *layers[: len(layers) - settings.trained_layers]]
    for module in frozen:
        module.requires_grad_(False)

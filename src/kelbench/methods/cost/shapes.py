"""Sizes of text encoders: parameters, floating-point operations (FLOPs) and bytes, from the shape alone.

A product of matrices `(m, k)` and `(k, n)` is 2 m k n FLOPs; what is done by element (normalisation, softmax, dropout)
is left out, as in Korthikanti et al. 2022 (Reducing activation recomputation in large transformer models), Appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kelbench.base.errors import UserError, nearest
from kelbench.base.files import read_json
from kelbench.config.text_encoder import TextEncoderSettings

# Tokens of a bucket, and the share of tokens that masked language modelling asks for: those of
# encoders/text_encoder.py and methods/kepler/masking.py, which import torch.
TOKENS_AT_ONCE = 8192
ASKED = 0.15


class Shape(Protocol):
    """What an encoder's settings say of its cost."""

    @property
    def width(self) -> int:
        """Numbers in a vector."""

    @property
    def open_ended(self) -> str:
        """What cannot be counted before the texts are read; empty if nothing."""

    def parameters(self, language: bool) -> int:
        """All parameters, the output layer of masked language modelling among them with `language`."""

    def trained(self, language: bool) -> int:
        """Those that are trained."""

    def forward_flops(self, length: int) -> float:
        """Per token of a text of `length` tokens."""

    def backward_flops(self, length: int) -> float:
        """Per token: twice those of the trained part, a product for the gradient of each factor (ibid.)."""

    def repeated_flops(self, length: int) -> float:
        """Per token: what gradient checkpointing computes again on the way back; 0 without it."""

    def kept_bytes(self, length: int) -> float:
        """Per token of a pass: what is kept until the way back."""

    def bucket_bytes(self, length: int) -> float:
        """Beside it, while one bucket is on its way back: what gradient checkpointing computes again."""


@dataclass(frozen=True)
class TransformerShape:
    """A BERT-like transformer.

    Attributes:
        layers, width, heads: of the transformer.
        inner: width inside a feed-forward layer.
        vocabulary, positions, types: rows of the three tables of embeddings.
        trained_layers: the last so many are trained, nothing below them; None for everything.
        half: products at 16 bits.
        checkpointing: states are computed again on the way back.
    """

    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    trained_layers: int | None = None
    half: bool = False
    checkpointing: bool = False

    @property
    def open_ended(self) -> str:
        """Everything can be counted; a vocabulary that is yet to be made counts as many pieces as it may have."""
        return ""

    def parameters(self, language: bool) -> int:
        """Embeddings, layers, and with `language` the output layer, whose matrix of words is the embeddings'."""
        embeddings = (self.vocabulary + self.positions + self.types + 2) * self.width
        return embeddings + self.layers * self._layer + (self._output if language else 0)

    def trained(self, language: bool) -> int:
        """All, or the last layers and the output layer."""
        if self.trained_layers is None:
            return self.parameters(language)
        return self.trained_layers * self._layer + (self._output if language else 0)

    @property
    def _layer(self) -> int:
        """Four projections of attention, two matrices of feed-forward, their biases, two normalisations."""
        return (
            4 * (self.width + 1) * self.width + 2 * self.width * self.inner + self.inner + self.width + 4 * self.width
        )

    @property
    def _output(self) -> int:
        return (self.width + 1) * self.width + 2 * self.width + self.vocabulary

    def forward_flops(self, length: int) -> float:
        """2 a weight of the layers' matrices, and 4 x length x width a layer for the two products of attention.

        Korthikanti et al. 2022, Appendix A: 24 B s h^2 + 4 B s^2 h a layer, where the inner width is 4 h.
        """
        return self.layers * self._layer_flops(length)

    def backward_flops(self, length: int) -> float:
        """Twice the forward ones of the trained layers."""
        return 2 * self._trained_layers * self._layer_flops(length)

    def repeated_flops(self, length: int) -> float:
        """The trained layers once more (Chen et al. 2016, Training deep nets with sublinear memory cost)."""
        return self._trained_layers * self._layer_flops(length) if self.checkpointing else 0.0

    @property
    def _trained_layers(self) -> int:
        return self.layers if self.trained_layers is None else self.trained_layers

    def _layer_flops(self, length: int) -> float:
        return 2 * (4 * self.width**2 + 2 * self.width * self.inner) + 4 * length * self.width

    def output_flops(self) -> float:
        """Of the output layer, forward, per token asked for."""
        return 2 * self.width * (self.width + self.vocabulary)

    def kept_bytes(self, length: int) -> float:
        """Per token: width (34 + 5 heads length / width) bytes a layer at 16 bits (Korthikanti et al. 2022, Eq. 2).

        Of the 34 and the 5, 2 and 1 are masks of dropout, a byte each; at 32 bits the others double. Kernels that do
        not write the table of attention keep less. With gradient checkpointing only what enters a layer is kept (ibid.,
        Section 5), at 32 bits, since torch's autocast leaves the results of normalisation so.
        """
        if self.checkpointing:
            return self._trained_layers * 4 * self.width
        return self._trained_layers * self._layer_bytes(length)

    def bucket_bytes(self, length: int) -> float:
        """Of a layer that is computed again, a whole bucket."""
        return max(TOKENS_AT_ONCE, length) * self._layer_bytes(length) if self.checkpointing else 0.0

    def _layer_bytes(self, length: int) -> float:
        numbers, attention = (34, 5) if self.half else (66, 9)
        return self.width * (numbers + attention * self.heads * length / self.width)

    def language_bytes(self, length: int) -> float:
        """What masked language modelling keeps: each bucket goes back before the next comes.

        A bucket's states, and for its asked tokens a row of the vocabulary: at 16 bits, at 32, its log-softmax and its
        gradient.
        """
        tokens = max(TOKENS_AT_ONCE, length)
        return tokens * self.kept_bytes(length) + self.bucket_bytes(length) + ASKED * tokens * self.vocabulary * 14


@dataclass(frozen=True)
class WordsShape:
    """The encoders over learned word vectors: `bow`, a text's weighted sum of them, and `cnn`, two convolutions."""

    width: int
    convolutions: bool

    # encoders/convolution.py
    WINDOW = 2
    POOL = 4

    @property
    def open_ended(self) -> str:
        """The words: a vector for each that a training text has."""
        return f"a vector a word of the texts, {16 * self.width / 1024:.1f} KiB with gradient and AdamW's state"

    def parameters(self, language: bool) -> int:
        """Without the word vectors."""
        return (self.WINDOW + 1) * self.width**2 + 2 * self.width if self.convolutions else 0

    def trained(self, language: bool) -> int:
        """All."""
        return self.parameters(language)

    def forward_flops(self, length: int) -> float:
        """bow: a product and a sum a number. cnn: the first convolution a token, the second one a pool of tokens."""
        if not self.convolutions:
            return 2 * self.width
        return 2 * self.width**2 * (self.WINDOW + 1 / self.POOL)

    def backward_flops(self, length: int) -> float:
        """Twice as many."""
        return 2 * self.forward_flops(length)

    def repeated_flops(self, length: int) -> float:
        """Nothing is computed again."""
        return 0.0

    def kept_bytes(self, length: int) -> float:
        """cnn, per token at 32 bits: input, tanh and masked tanh; per pool an index of 8 bytes, input and tanh."""
        return 16 * self.width if self.convolutions else 0.0

    def bucket_bytes(self, length: int) -> float:
        """Nothing is computed again."""
        return 0.0


# As their config.json on the hub says: layers, width, heads, inner, vocabulary, positions, types.
_KNOWN = {
    "roberta-base": (12, 768, 12, 3072, 50265, 514, 1),
    "bert-base-uncased": (12, 768, 12, 3072, 30522, 512, 2),
    "bert-base-cased": (12, 768, 12, 3072, 28996, 512, 2),
}
_MINILM = (6, 384, 12, 1536, 30522, 512, 2)
_KEYS = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)


def shape_of(settings: TextEncoderSettings) -> TransformerShape | WordsShape:
    """The shape of the encoder that settings name.

    Raises:
        UserError: it is a model of the hub whose shape is not known here.
    """
    if settings.kind in ("bow", "cnn"):
        return WordsShape(settings.width or 0, settings.kind == "cnn")
    layers, width, heads, inner, vocabulary, positions, types = _numbers(settings)
    return TransformerShape(
        layers,
        width,
        heads,
        inner,
        vocabulary,
        positions,
        types,
        trained_layers=settings.trained_layers,
        half=settings.precision == "bfloat16",
        checkpointing=settings.gradient_checkpointing,
    )


def _numbers(settings: TextEncoderSettings) -> tuple[int, ...]:
    if settings.kind == "minilm":
        return _MINILM
    if settings.kind == "tiny":
        width = settings.width or 0
        return (
            settings.layers or 0,
            width,
            settings.heads or 0,
            4 * width,
            settings.vocabulary or 0,
            settings.max_tokens,
            2,
        )
    name = settings.kind.removeprefix("hf:").rpartition("@")[0]
    if Path(name).is_dir():
        return _numbers_of_folder(Path(name) / "config.json")
    short = name.rpartition("/")[2]
    if short not in _KNOWN:
        raise UserError(
            f"encoder {settings.kind}: the shape of {name} is not known without fetching it{nearest(short, _KNOWN)}; "
            "for another model put its config.json into a local folder and name that: kind: hf:FOLDER@SHA256"
        )
    return _KNOWN[short]


def _numbers_of_folder(path: Path) -> tuple[int, ...]:
    if not path.is_file():
        raise UserError(f"{path}: expected the encoder's config.json, found no such file")
    stored = read_json(path)
    if missing := [key for key in _KEYS if not isinstance(stored.get(key), int)]:
        raise UserError(f"{path}: expected a BERT-like model's numbers, found none for {', '.join(missing)}")
    return tuple(stored[key] for key in _KEYS)

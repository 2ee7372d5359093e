"""Settings of text encoders, which several methods share."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from kelbench.config.parts import Fraction, Positive
from kelbench.config.yaml_source import Settings


class TextEncoderSettings(Settings):
    """What turns a text into a vector."""

    kind: str = Field(
        pattern=r"^(bow|cnn|tiny|minilm|hf:.+@([0-9a-f]{40}|[0-9a-f]{64}))$",
        description="bow: weighted sum of learned word vectors; cnn: DKRL's convolutions; tiny: a small transformer "
        "and its tokenizer, both from nothing; minilm: all-MiniLM-L6-v2; hf:MODEL@REVISION: a model of the Hugging "
        "Face hub at a commit, or a local folder at the sha256 of its model.safetensors",
    )
    texts: str | None = Field(None, description="source of the entities' texts; the dataset's first unless given")
    max_tokens: int = Field(ge=4, description="tokens of an input, special ones included; what is longer is cut")
    pooling: Literal["cls", "mean", "last"] = Field(
        "cls", description="the first token's state, the mean of all, or, of models such as gpt2, the last token's"
    )
    width: Positive | None = Field(None, description="bow, cnn and tiny: numbers in a vector")
    layers: Positive | None = Field(None, description="tiny: transformer layers")
    heads: Positive | None = Field(None, description="tiny: attention heads a layer")
    vocabulary: Positive | None = Field(None, description="tiny: word pieces of the tokenizer")
    projection: Positive | None = Field(None, description="a learned linear map to so many numbers, after pooling")
    trained_layers: Positive | None = Field(
        None,
        description="train the last so many layers; the others and the embeddings are frozen, but for those of GPT-2, "
        "which are trained as in the released code of CLEP; all unless given",
    )
    dropout: Fraction = Field(0.0, description="of a transformer's states and attention")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of a transformer's products")
    gradient_checkpointing: bool = Field(False, description="compute a transformer's states twice, to keep fewer")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        own = self.kind in ("bow", "cnn", "tiny")
        if own != (self.width is not None):
            raise ValueError("the key width goes with kind: bow, cnn or tiny, and only with them")
        for key in ("layers", "heads", "vocabulary"):
            if (self.kind == "tiny") != (getattr(self, key) is not None):
                raise ValueError(f"the key {key} goes with kind: tiny, and only with it")
        if self.kind == "tiny" and (self.width or 0) % (self.heads or 1):
            raise ValueError(f"width must be a multiple of heads, found {self.width} and {self.heads}")
        if self.pooling == "last" and not self.kind.startswith("hf:"):
            raise ValueError(f"pooling: last goes with models that read from left to right, not with {self.kind}")
        if self.kind in ("bow", "cnn"):
            if self.pooling != "cls":
                raise ValueError(f"pooling: {self.pooling} goes with transformers, not with kind: {self.kind}")
            for key in ("trained_layers", "gradient_checkpointing", "dropout"):
                if getattr(self, key):
                    raise ValueError(f"the key {key} goes with transformers, not with kind: {self.kind}")
            if self.precision != "float32":
                raise ValueError(f"precision: {self.precision} goes with transformers, not with kind: {self.kind}")
        return self

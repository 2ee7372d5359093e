"""Settings of KEPLER, DKRL and the bi-encoder: text encoders trained to predict links.

Each key says what it means; config/methods has defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from kelbench.config.parts import EarlyStopping, Fraction, NonNegativeFloat, Positive, PositiveFloat
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.config.yaml_source import Settings

TextScore = Literal["transe_l1", "transe_l2", "dot", "cosine", "distmult", "complex", "rotate", "simple"]


class TextNegatives(Settings):
    """Wrong answers; one that makes a triple of the training graph does not count."""

    mode: Literal["uniform", "in_batch"] = Field(
        description="uniform: drawn from the training graph's entities; in_batch: all entities of the batch, each "
        "query's own among them"
    )
    per_positive: Positive | None = Field(None, description="uniform: negatives a positive and side")
    shared: bool = Field(False, description="uniform: one set for the whole batch and side")
    frequency_correction: float = Field(
        0.0,
        ge=0,
        le=1,
        description="in_batch, with loss: cross_entropy: this times the log of an entity's training triples is "
        "subtracted from its score in training, since a batch holds frequent entities more often as negatives "
        "(Yi et al. 2019, Section 3, has 1, and the probability of being drawn, which the count of triples overstates "
        "for an entity that is in almost every batch)",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.mode == "uniform") != (self.per_positive is not None):
            raise ValueError("the key per_positive goes with mode: uniform, and only with it")
        if self.mode == "in_batch" and self.shared:
            raise ValueError("mode: in_batch shares its negatives anyway; remove the key shared")
        if self.frequency_correction and self.mode != "in_batch":
            raise ValueError("the key frequency_correction goes with mode: in_batch, and only with it")
        return self


class MaskedLanguageModelling(Settings):
    """Masked language modelling beside the knowledge embedding: 15 % of the tokens; 80/10/10."""

    corpus: Literal["descriptions", "file"] = Field(
        description="descriptions: the texts of the training graph's entities; file: the lines of a text file"
    )
    file: Path | None = Field(None, description="for corpus: file; a line a text")
    batch_size: Positive = Field(description="texts a step")
    weight: NonNegativeFloat = Field(1.0, description="factor of this loss beside that of the triples; Eq. 6 has 1")
    head_warmup_steps: int = Field(
        200, ge=0, description="steps that train the output layer alone, where the checkpoint came without one"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.corpus == "file") != (self.file is not None):
            raise ValueError("the key file goes with corpus: file, and only with it")
        return self


class TextKnowledgeEmbeddingSettings(Settings):
    """A link predictor over encoded texts: KEPLER and its variants, DKRL, the bi-encoder."""

    encoder: TextEncoderSettings = Field(description="what turns a text into a vector")
    relation: Literal["table", "text", "none"] = Field(
        description="table: a learned vector a relation; text: its text, encoded; none: it speaks through `conditioned`"
    )
    conditioned: bool = Field(
        False, description="a query encodes the known entity's text together with the relation's; an answer does not"
    )
    score: TextScore = Field(description="compares query and answer; dot and cosine take TransE's query h + r or t - r")
    loss: Literal["kepler", "cross_entropy"] | None = Field(
        description="kepler: Eq. 2 of Wang et al. 2021; cross_entropy: softmax over the answer and its negatives; "
        "null: no knowledge embedding, masked language modelling alone"
    )
    margin: NonNegativeFloat = Field(
        0.0, description="kepler: gamma; cross_entropy: subtracted from the score of the right answer"
    )
    halved: bool = Field(False, description="kepler: the factor 1/2 of the released code")
    temperature: PositiveFloat | None = Field(
        None, description="cross_entropy: scores are divided by it; where it starts, since it is learned"
    )
    negatives: TextNegatives | None = Field(None, description="what the right answer is compared with")
    masked_language_modelling: MaskedLanguageModelling | None = Field(None, description="the second loss")
    learning_rate: PositiveFloat = Field(description="peak, of the encoder; AdamW")
    relation_learning_rate: PositiveFloat = Field(
        description="peak, of relation vectors, projection and temperature; that of the warm-up of an output layer"
    )
    weight_decay: NonNegativeFloat = Field(0.01, description="of the encoder's matrices")
    warmup: Fraction = Field(0.1, description="part of all steps in which the rate rises; it falls to 0 afterwards")
    gradient_norm: PositiveFloat | None = Field(None, description="gradients are scaled down to this norm")
    batch_size: Positive = Field(description="triples a step; each asks for its tail and for its head")
    texts_per_pass: Positive = Field(
        4096,
        description="texts encoded with gradient at once; more of them in a step are encoded twice, at equal gradients",
    )
    steps_per_epoch: Positive | None = Field(None, description="end an epoch after so many steps")
    epochs: Positive = Field(description="at most this many passes over the training triples")
    early_stopping: EarlyStopping = Field(description="when to validate, and when to stop")
    max_minutes: PositiveFloat | None = Field(
        None, description="wall-clock limit; a run that meets it is marked unconverged and is not bit-reproducible"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.loss is None) != (self.negatives is None):
            raise ValueError("the key negatives goes with a loss, and only with one")
        if self.loss is None and self.masked_language_modelling is None:
            raise ValueError("loss: null needs the key masked_language_modelling: nothing would be learned")
        if self.relation == "none" and not self.conditioned:
            raise ValueError("relation: none needs conditioned: true; no query would know its relation")
        if self.negatives is not None and self.negatives.frequency_correction and self.loss != "cross_entropy":
            raise ValueError("the key frequency_correction goes with loss: cross_entropy, and only with it")
        if self.temperature is not None and self.loss != "cross_entropy":
            raise ValueError("the key temperature goes with loss: cross_entropy, and only with it")
        if self.halved and self.loss != "kepler":
            raise ValueError("the key halved goes with loss: kepler, and only with it")
        if self.masked_language_modelling is not None and self.encoder.kind in ("bow", "cnn"):
            raise ValueError(f"masked_language_modelling needs a transformer, not kind: {self.encoder.kind}")
        if self.masked_language_modelling is not None and self.encoder.pooling == "last":
            raise ValueError("masked_language_modelling needs a model that reads both ways, not pooling: last")
        return self

    @model_validator(mode="after")
    def _score_fits(self) -> Self:
        if self.relation == "text" and self.score in ("rotate",):
            raise ValueError("relation: text does not go with score: rotate, whose relations have half the width")
        # Without vectors of relations a query is the known entity's, which these scores would multiply by nothing.
        if self.score not in ("transe_l1", "transe_l2", "dot", "cosine"):
            if self.relation == "none":
                raise ValueError(f"relation: none does not go with score: {self.score}")
            if self.loss is None:
                raise ValueError(f"loss: null learns no relation, which score: {self.score} needs")
        width = self.encoder.projection or self.encoder.width
        if self.score in ("complex", "rotate", "simple") and width is not None and width % 2:
            raise ValueError(f"score: {self.score} needs an even projection or width, found {width}")
        return self

    def check_method(self, method: str) -> None:
        """Raise ValueError for keys that make another variant than `method` (Wang et al. 2021, Section 2.5)."""
        modelling = self.masked_language_modelling
        corpus = None if modelling is None else modelling.corpus
        rules = {
            "masked_language_modelling": (corpus is not None, method not in ("kepler_ke", "dkrl", "bi_encoder")),
            "loss": (self.loss is not None, method != "kepler_mlm_only"),
            "relation: text": (self.relation == "text", method == "kepler_rel"),
            "relation: none": (self.relation == "none", method == "bi_encoder"),
            "conditioned": (self.conditioned, method in ("kepler_cond", "bi_encoder")),
            "encoder: {kind: cnn}": (self.encoder.kind == "cnn", method == "dkrl"),
        }
        for key, (found, expected) in rules.items():
            if found != expected:
                raise ValueError(f"{method} is defined {'with' if expected else 'without'} {key}")
        for name, wanted in (("kepler_only_desc", "descriptions"), ("kepler_wiki", "file")):
            if method == name and corpus != wanted:
                raise ValueError(f"{name} is defined with masked_language_modelling: {{corpus: {wanted}}}")

    def training_setup(self) -> tuple[object, object]:
        """What two variants must share to be compared fairly: of learning from triples, and from masked texts.

        None stands for a loss that a variant does not have; nothing is asked of it then.
        """
        language = self.masked_language_modelling
        triples = None
        if self.loss is not None and self.negatives is not None:
            negatives = tuple(self.negatives.model_dump().values())
            triples = (self.score, self.loss, self.margin, self.halved, negatives, self.batch_size, self.epochs)
        return triples, None if language is None else tuple(language.model_dump().values())

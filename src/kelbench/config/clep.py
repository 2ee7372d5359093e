"""Settings of CLEP: a graph encoder and a text encoder, aligned by a contrastive loss.

Each key says what it means; config/methods has defaults.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from kelbench.config.graph_encoder import GraphEncoderSettings
from kelbench.config.parts import EarlyStopping, Fraction, NonNegativeFloat, Positive, PositiveFloat
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.config.yaml_source import Settings

Fault = Literal["label_not_transposed", "edges_interleaved", "relations_weighted"]


class ContrastiveSettings(Settings):
    """A link predictor across spaces: the graph's side of a query is compared with the answer's description."""

    graph: GraphEncoderSettings = Field(description="the encoder of nodes and relations")
    encoder: TextEncoderSettings = Field(description="what turns a description into a vector")
    frozen: bool = Field(description="leave the text encoder as it is; descriptions are then encoded once")
    words: Positive | None = Field(
        None,
        description="frozen: so many numbers of a learned bag of words stand beside the encoder's in a text's vector, "
        "which may tell apart what the encoder, left as it is, does not",
    )
    shuffled_texts: bool = Field(
        False,
        description="a control: the descriptions of the training graph are dealt out among its entities at random, by "
        "the seed, which keeps all of training but what texts say",
    )
    query: Literal["sum", "product"] = Field(
        "sum",
        description="how a node h and a relation rho ask: sum: the head of h + rho, as on the slides; product: (h V) * "
        "(rho W) is added to that in the shared space, so that what a relation asks depends on the node",
    )
    head: Literal["linear", "mlp"] = Field(
        description="from each encoder to the shared space: a linear map, or two with a rectifier between them"
    )
    width: Positive = Field(description="numbers in a vector of the shared space")
    target: Literal["tail_description", "own_description"] = Field(
        description="tail_description: head and relation against the tail's text, in both directions; "
        "own_description: a node against its own text"
    )
    loss: Literal["diagonal", "masked", "all", "multihot"] = Field(
        description="diagonal: the batch's other texts are negatives; masked: the same without equal texts and texts "
        "of other known answers; all: every text of the training graph takes part, masked likewise; multihot: every "
        "known answer in the batch is a target, as in the released code"
    )
    column_loss: bool = Field(
        True, description="ask as well which query of the batch a text answers, and take the mean of both losses"
    )
    text_dropout: Fraction = Field(
        0.0,
        description="share of the numbers that are set to 0 in a description's vector where it is an answer, not where "
        "a node is made of it",
    )
    temperature: float = Field(
        0.07,
        ge=0.01,
        allow_inf_nan=False,
        description="cosines are divided by it; where it starts: it is learned, and never below .01",
    )
    faults: list[Fault] = Field(
        [],
        description="of the released code: label_not_transposed: the columns of multihot are asked for the rows' "
        "targets; edges_interleaved: half of the edges pass in the wrong direction; relations_weighted: an edge's "
        "weight is a factor of the relation's vector alone, not of the message",
    )
    learning_rate: PositiveFloat = Field(description="peak, of graph encoder, heads, temperature and `words`; AdamW")
    text_learning_rate: PositiveFloat | None = Field(None, description="peak, of the text encoder where it is trained")
    weight_decay: NonNegativeFloat = Field(0.0, description="of matrices")
    warmup: Fraction = Field(0.05, description="part of all steps in which the rate rises")
    decay: bool = Field(True, description="the rate falls to 0 after the warm-up; it stays constant otherwise")
    gradient_norm: PositiveFloat | None = Field(None, description="gradients are scaled down to this norm")
    batch_size: Positive = Field(
        description="triples a step, each asked in one direction; with loss: all, answers of whole queries, about as "
        "many; with own_description, nodes"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the dense products of graph encoder, heads and scores in training: bfloat16 keeps 8 bits of "
        "each factor and product, and is faster on GPUs and on processors that multiply it; a text encoder has a key "
        "of its own",
    )
    texts_per_pass: Positive = Field(
        4096,
        description="texts encoded with gradient at once; more of them in a step are encoded twice, at equal gradients",
    )
    steps_per_epoch: Positive | None = Field(None, description="end an epoch after so many steps")
    epochs: Positive = Field(description="at most this many passes over the training triples, each in both directions")
    early_stopping: EarlyStopping = Field(description="when to validate, and when to stop")
    max_minutes: PositiveFloat | None = Field(
        None, description="wall-clock limit; a run that meets it is marked unconverged and is not bit-reproducible"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.frozen == (self.text_learning_rate is not None):
            raise ValueError("the key text_learning_rate goes with frozen: false, and only with it")
        if self.frozen and self.encoder.kind in ("bow", "cnn", "tiny"):
            raise ValueError(f"frozen: true goes with an encoder that was trained before, not {self.encoder.kind}")
        if self.frozen and (self.encoder.trained_layers is not None or self.encoder.dropout):
            raise ValueError("frozen: true goes with neither trained_layers nor dropout of the encoder")
        if self.words is not None and not self.frozen:
            raise ValueError("the key words goes with frozen: true, and only with it")
        if self.encoder.projection is not None:
            raise ValueError("the encoder's key projection is the head's task here; remove it")
        if self.loss == "all" and not (self.frozen or self.encoder.kind == "bow"):
            raise ValueError("loss: all reads every text in every step; it needs frozen: true or encoder: {kind: bow}")
        if self.loss == "multihot" and not self.column_loss:
            raise ValueError("loss: multihot has both sides; remove column_loss: false")
        if "label_not_transposed" in self.faults and self.loss != "multihot":
            raise ValueError("the fault label_not_transposed goes with loss: multihot, and only with it")
        if "edges_interleaved" in self.faults and self.graph.kind != "compgcn":
            raise ValueError("the fault edges_interleaved goes with graph: {kind: compgcn}; R-GCN knows no direction")
        if "relations_weighted" in self.faults and self.graph.composition != "sub":
            raise ValueError("the fault relations_weighted goes with graph: {kind: compgcn, composition: sub}")
        return self

    @model_validator(mode="after")
    def _nodes_alone(self) -> Self:
        if self.target == "tail_description":
            return self
        if self.graph.drop_batch_edges:
            raise ValueError("drop_batch_edges goes with target: tail_description; a batch of nodes has no triples")
        if self.query == "product":
            raise ValueError("query: product goes with target: tail_description; a node alone has no relation")
        if self.loss == "multihot":
            raise ValueError("loss: multihot goes with target: tail_description; a node has one description")
        return self

    def check_method(self, method: str) -> None:
        """Every key fits CLEP."""

"""Settings of link prediction with a graph encoder and a decoder, trained end to end; and of going on from one.

Each key says what it means; config/methods has defaults.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from kelbench.config.graph_encoder import GraphEncoderSettings
from kelbench.config.parts import EarlyStopping, Fraction, NonNegativeFloat, Positive, PositiveFloat
from kelbench.config.yaml_source import Settings

DecoderKind = Literal["transe", "distmult", "rescal", "conve"]

_FROM_NOTHING = ("compgcn_transe", "compgcn_distmult", "compgcn_rescal", "compgcn_conve", "rgcn_distmult")
_FINE_TUNED = ("clep_transe", "clep_distmult", "clep_rescal", "clep_conve")
_WARM = ("warm_transe", "warm_distmult", "warm_rescal", "warm_conve")
GRAPH_DECODER_METHODS = _FROM_NOTHING + _FINE_TUNED + _WARM

# Method -> the methods whose graph encoder it goes on from.
STARTS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_FROM_NOTHING, ()),
    **dict.fromkeys(_FINE_TUNED, ("clep",)),
    **dict.fromkeys(_WARM, _FROM_NOTHING),
}
_FAULTS_OF_THE_GRAPH = {"edges_interleaved", "relations_weighted"}


class ConvolutionSettings(Settings):
    """ConvE: node and relation as an image, convolved (Dettmers et al. 2018)."""

    kernel: Positive = Field(description="side of a filter")
    filters: Positive = Field(description="how many")
    rows: Positive = Field(
        description="of the image that a node's vector makes, k_w in CompGCN's code; with the "
        "relation's it has twice as many"
    )
    columns: Positive = Field(description="of the image, k_h there; rows times columns are the graph encoder's width")
    feature_dropout: Fraction = Field(0.3, description="of the convolved image")
    hidden_dropout: Fraction = Field(0.3, description="of the projected image")


class GraphDecoderSettings(Settings):
    """Link prediction with a graph encoder and a decoder; every entity is a candidate answer of every query.

    Inverse relations are always there: heads are asked for as tails of the inverse.
    """

    graph: GraphEncoderSettings = Field(description="the encoder of nodes and relations; of features: free")
    decoder: DecoderKind = Field(description="what makes a query of a node and a relation; that of the method's name")
    start: str | None = Field(
        None,
        description="name of a run of the same experiment whose graph encoder is trained further, seed by seed; its "
        "graph may have other dropouts and drop_batch_edges, and must be the same otherwise",
    )
    mapping: bool = Field(
        False,
        description="a linear map of all nodes after the graph encoder, which CLEP's fine-tuning has; never "
        "taken over from `start`",
    )
    entity_bias: bool = Field(False, description="a learned number for each entity is added to its scores; not transe")
    convolution: ConvolutionSettings | None = Field(None, description="of conve")
    loss: Literal["cross_entropy", "binary_cross_entropy"] = Field(
        description="cross_entropy: each answer of a query against all entities; binary_cross_entropy: every entity is "
        "an answer or is not, as in CompGCN's code"
    )
    label_smoothing: Fraction = Field(
        0.0,
        description="for binary_cross_entropy: an answer's target is 1 less this; if it is not 0, all targets are "
        "raised by 1 / entities",
    )
    margin: PositiveFloat | None = Field(
        None, description="for transe with binary_cross_entropy: gamma, which the distance is subtracted from"
    )
    learning_rate: PositiveFloat = Field(description="peak; AdamW, which is Adam without weight decay")
    weight_decay: NonNegativeFloat = Field(0.0, description="of matrices")
    warmup: Fraction = Field(0.0, description="part of all steps in which the rate rises")
    decay: bool = Field(False, description="the rate falls to 0 after the warm-up; it stays constant otherwise")
    gradient_norm: PositiveFloat | None = Field(None, description="gradients are scaled down to this norm")
    batch_size: Positive = Field(description="answers of whole queries a step, of both directions, about as many")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the dense products of graph encoder, mapping, decoder and scores in training: bfloat16 keeps 8 "
        "bits of each factor and product, and is faster on GPUs and on processors that multiply it; distances stay "
        "float32",
    )
    epochs: Positive = Field(description="at most this many passes over the training triples, each in both directions")
    early_stopping: EarlyStopping = Field(description="when to validate, and when to stop")
    max_minutes: PositiveFloat | None = Field(
        None, description="wall-clock limit; a run that meets it is marked unconverged and is not bit-reproducible"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.graph.features != "free":
            raise ValueError(f"the graph's features must be free here, found {self.graph.features}")
        if (self.decoder == "conve") != (self.convolution is not None):
            raise ValueError("the key convolution goes with decoder: conve, and only with it")
        if self.convolution is not None:
            self._check_image(self.convolution)
        if self.decoder == "transe" and self.entity_bias:
            raise ValueError("decoder: transe takes no entity_bias")
        binary = self.loss == "binary_cross_entropy"
        if self.label_smoothing and not binary:
            raise ValueError("the key label_smoothing goes with loss: binary_cross_entropy, and only with it")
        if (self.margin is not None) != (binary and self.decoder == "transe"):
            raise ValueError("the key margin goes with decoder: transe and loss: binary_cross_entropy, and only so")
        return self

    def _check_image(self, image: ConvolutionSettings) -> None:
        if image.rows * image.columns != self.graph.width:
            raise ValueError(
                f"rows times columns of the convolution must be the graph's width, {self.graph.width}, "
                f"found {image.rows} and {image.columns}"
            )
        if image.kernel > min(2 * image.rows, image.columns):
            raise ValueError(f"a kernel of {image.kernel} is larger than the image, {2 * image.rows} x {image.columns}")

    def check_method(self, method: str) -> None:
        """Raise ValueError for keys that do not fit the method, whose name says encoder or start, and decoder."""
        origin, decoder = method.split("_")
        if self.decoder != decoder:
            raise ValueError(f"decoder of {method} must be {decoder}, found {self.decoder}")
        if origin in ("compgcn", "rgcn") and self.graph.kind != origin:
            raise ValueError(f"the graph of {method} must be of kind {origin}, found {self.graph.kind}")
        if not STARTS_OF[method] and self.start is not None:
            raise ValueError(f"{method} starts from nothing; remove the key start, or use a method of {_hint(decoder)}")
        if STARTS_OF[method] and self.start is None:
            raise ValueError(f"{method} needs the key start, a run of {' or '.join(STARTS_OF[method])}")


def _hint(decoder: str) -> str:
    return " or ".join(method for method in _FINE_TUNED + _WARM if method.endswith(f"_{decoder}"))


def start_problem(method: str, settings: GraphDecoderSettings, other: str, others: Settings) -> str:
    """Why a run cannot start from another one; empty where it can.

    Args:
        method: of the run.
        settings: of the run.
        other: method of the other run.
        others: its settings.
    """
    if other not in STARTS_OF[method]:
        return f"start names a run of {other}; {method} starts from one of {' or '.join(STARTS_OF[method])}"
    graph = getattr(others, "graph", None)
    if not isinstance(graph, GraphEncoderSettings):
        raise TypeError(f"{other} has no graph encoder")
    # An encoder trained with them passes other messages than this method's would.
    if faults := _FAULTS_OF_THE_GRAPH & set(getattr(others, "faults", [])):
        return f"start names a run with faults that this method cannot repeat: {', '.join(sorted(faults))}"
    own, found = settings.graph.architecture(), graph.architecture()
    differing = [f"{key}: {own[key]} here, {found[key]} there" for key in own if own[key] != found[key]]
    return f"the graph encoder of {settings.start} is another ({'; '.join(differing)})" if differing else ""

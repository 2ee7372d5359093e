"""Settings of the methods: one class a way of training. Each key says what it means; config/methods has defaults."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from kelbench.config.clep import ContrastiveSettings
from kelbench.config.graph_decoders import GRAPH_DECODER_METHODS, GraphDecoderSettings
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.config.parts import EarlyStopping, NonNegativeFloat, Positive, PositiveFloat
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.config.yaml_source import Settings

SCORE_FUNCTION_METHODS = ("transe", "distmult", "complex", "rotate", "simple")
TEXT_METHODS = (
    "kepler_wiki",
    "kepler_only_desc",
    "kepler_rel",
    "kepler_cond",
    "kepler_ke",
    "kepler_mlm_only",
    "dkrl",
    "bi_encoder",
)


class Negatives(Settings):
    """Negative samples, drawn uniformly from the entities of the training graph."""

    per_positive: Positive = Field(description="negatives a positive and side")
    shared: bool = Field(False, description="one set for the whole batch and side, instead of one a positive")


class Regularizer(Settings):
    """Penalty on the vectors of each batch, weighted by frequency as in Lacroix et al. 2018."""

    kind: Literal["n3", "l3"] = Field(
        description="n3: sum of cubed moduli of complex numbers; l3: sum of cubed absolute values of reals"
    )
    weight: NonNegativeFloat = Field(description="factor of the penalty, averaged over the batch")


class KnowledgeEmbeddingSettings(Settings):
    """A knowledge embedding trained by kelbench's own engine (`engine: native`)."""

    dimension: Positive = Field(
        description="real numbers in an entity's vector: half as many complex ones, or SimplE's two halves"
    )
    distance: Literal["l1", "l2"] | None = Field(None, description="TransE only: the norm of h + r - t")
    reciprocal: bool = Field(
        description="learn a second vector a relation, for its inverse, and predict heads as tails of the inverse"
    )
    training: Literal["1vsall", "negative_sampling"] = Field(
        description="1vsall: every entity is a candidate answer; negative_sampling: a few drawn ones"
    )
    negatives: Negatives | None = Field(None, description="for negative_sampling")
    loss: Literal["cross_entropy", "margin", "self_adversarial"] = Field(
        description="1vsall takes cross_entropy; self_adversarial is Eq. 5 of Sun et al. 2019"
    )
    margin: PositiveFloat | None = Field(None, description="for margin and self_adversarial (gamma there)")
    adversarial_temperature: NonNegativeFloat | None = Field(None, description="for self_adversarial: alpha")
    regularizer: Regularizer | None = Field(None, description="penalty on the vectors of a batch")
    optimizer: Literal["adagrad", "row_adagrad", "adam"] = Field(
        description="updates the rows that a batch used, and no others; row_adagrad keeps one sum a row, not a number"
    )
    learning_rate: PositiveFloat = Field(description="step size, constant")
    batch_size: Positive = Field(
        description="positives a step; with 1vsall, answers of whole queries of one side, about as many"
    )
    epochs: Positive = Field(description="at most this many passes over the training triples")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the factors of matrix products in 1vsall training; tables and sums stay float32"
    )
    initial_scale: PositiveFloat = Field(description="standard deviation of the normal draw that starts the vectors")
    early_stopping: EarlyStopping = Field(description="when to validate, and when to stop")
    max_minutes: PositiveFloat | None = Field(
        None, description="wall-clock limit; a run that meets it is marked unconverged and is not bit-reproducible"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.training == "negative_sampling" and self.negatives is None:
            raise ValueError("training: negative_sampling needs the key negatives")
        if self.training == "1vsall" and self.negatives is not None:
            raise ValueError("training: 1vsall takes no negatives; remove the key or use negative_sampling")
        if self.training == "1vsall" and self.loss != "cross_entropy":
            raise ValueError(f"training: 1vsall needs loss: cross_entropy, found {self.loss}")
        if (self.loss in ("margin", "self_adversarial")) != (self.margin is not None):
            raise ValueError("the key margin goes with loss: margin or self_adversarial, and only with them")
        if (self.loss == "self_adversarial") != (self.adversarial_temperature is not None):
            raise ValueError("the key adversarial_temperature goes with loss: self_adversarial, and only with it")
        return self

    def check_method(self, method: str) -> None:
        """Raise ValueError for keys that do not fit the score function named `method`."""
        if (method == "transe") != (self.distance is not None):
            raise ValueError("the key distance goes with TransE, and only with it")
        if method in ("complex", "rotate", "simple") and self.dimension % 2:
            raise ValueError(f"dimension must be even for {method}, found {self.dimension}")


class PykeenSettings(Settings):
    """One of the five baselines trained by PyKEEN (`engine: pykeen`)."""

    dimension: Positive = Field(
        description="real numbers in an entity's vector; PyKEEN's embedding_dim is half for complex or paired ones"
    )
    distance: Literal["l1", "l2"] | None = Field(None, description="TransE only: the norm of h + r - t")
    training: Literal["slcwa", "lcwa"] = Field(
        description="slcwa: negative sampling; lcwa: all tails of each (head, relation), heads by inverse relations"
    )
    negatives_per_positive: Positive | None = Field(None, description="for slcwa")
    loss: Literal["cross_entropy", "margin", "self_adversarial", "softplus"] = Field(description="PyKEEN's loss")
    margin: PositiveFloat | None = Field(None, description="for margin and self_adversarial")
    adversarial_temperature: NonNegativeFloat | None = Field(None, description="for self_adversarial")
    constrainer: Literal["pykeen", "none"] = Field(
        "none", description="pykeen: keep the model's default (TransE, DistMult: entities normalised after each step)"
    )
    regularizer: Literal["pykeen", "none"] = Field("none", description="pykeen: keep the model's default penalty")
    optimizer: Literal["adagrad", "adam"] = Field(description="that of torch, over whole tables")
    learning_rate: PositiveFloat = Field(description="step size, constant")
    batch_size: Positive = Field(description="positives (slcwa) or (head, relation) pairs (lcwa) a step")
    epochs: Positive = Field(description="at most this many passes")
    early_stopping: EarlyStopping = Field(description="when to validate, and when to stop")
    max_minutes: PositiveFloat | None = Field(
        None, description="wall-clock limit; a run that meets it is marked unconverged"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.training == "slcwa") != (self.negatives_per_positive is not None):
            raise ValueError("the key negatives_per_positive goes with training: slcwa, and only with it")
        if (self.loss in ("margin", "self_adversarial")) != (self.margin is not None):
            raise ValueError("the key margin goes with loss: margin or self_adversarial, and only with them")
        if (self.loss == "self_adversarial") != (self.adversarial_temperature is not None):
            raise ValueError("the key adversarial_temperature goes with loss: self_adversarial, and only with it")
        return self

    def check_method(self, method: str) -> None:
        """Raise ValueError for keys that do not fit the model named `method`."""
        if (method == "transe") != (self.distance is not None):
            raise ValueError("the key distance goes with TransE, and only with it")
        if method in ("complex", "rotate", "simple") and self.dimension % 2:
            raise ValueError(f"dimension must be even for {method}, found {self.dimension}")


class NodePieceSettings(Settings):
    """InductiveNodePiece of PyKEEN: an entity is the set of relations around it (Galkin et al. 2022)."""

    dimension: Positive = Field(description="real numbers in an entity's and a relation's vector")
    tokens: Positive = Field(description="incident relations drawn for each entity")
    negatives_per_positive: Positive = Field(description="negative samples a positive")
    loss: Literal["cross_entropy", "margin", "self_adversarial"] = Field(description="PyKEEN's loss")
    margin: PositiveFloat | None = Field(None, description="for margin and self_adversarial")
    adversarial_temperature: NonNegativeFloat | None = Field(None, description="for self_adversarial: alpha")
    optimizer: Literal["adam"] = Field("adam", description="that of torch")
    learning_rate: PositiveFloat = Field(description="step size, constant")
    batch_size: Positive = Field(description="positives a step")
    epochs: Positive = Field(description="at most this many passes over the training triples")
    early_stopping: EarlyStopping = Field(description="when to validate, and when to stop")
    max_minutes: PositiveFloat | None = Field(None, description="wall-clock limit; a run that meets it is unconverged")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.loss in ("margin", "self_adversarial")) != (self.margin is not None):
            raise ValueError("the key margin goes with loss: margin or self_adversarial, and only with them")
        if (self.loss == "self_adversarial") != (self.adversarial_temperature is not None):
            raise ValueError("the key adversarial_temperature goes with loss: self_adversarial, and only with it")
        return self

    def check_method(self, method: str) -> None:
        """Every key fits NodePiece."""


class RandomSettings(Settings):
    """A scorer that knows nothing: independent normal vectors, so that every rank is equally likely."""

    def check_method(self, method: str) -> None:
        """No keys, nothing to check."""


class FrequencySettings(Settings):
    """A scorer that answers with the entities seen most often on that side of the relation in the known graph."""

    def check_method(self, method: str) -> None:
        """No keys, nothing to check."""


class TextCosineSettings(Settings):
    """The cosine of an answer's text with that of the known entity and the relation; nothing is trained."""

    encoder: Literal["bow", "minilm"] = Field(
        description="bow: TF-IDF, its vocabulary from training entities; minilm: all-MiniLM-L6-v2, frozen"
    )
    relation: bool = Field(description="add the relation's text to that of the known entity")
    texts: str | None = Field(None, description="source of the entities' texts; the dataset's first unless given")

    def check_method(self, method: str) -> None:
        """Every key fits."""


class NameMatchSettings(Settings):
    """Whether the name of one entity stands in the text of the other; nothing is trained."""

    texts: str | None = Field(None, description="source of the entities' texts; the dataset's first unless given")

    def check_method(self, method: str) -> None:
        """Every key fits."""


MethodSettings = (
    KnowledgeEmbeddingSettings
    | PykeenSettings
    | NodePieceSettings
    | RandomSettings
    | FrequencySettings
    | TextCosineSettings
    | NameMatchSettings
    | TextKnowledgeEmbeddingSettings
    | ContrastiveSettings
    | GraphDecoderSettings
)

# (method, engine) -> settings class. A new method adds its line here and in MODULE_OF.
SETTINGS_OF: dict[tuple[str, str], type[MethodSettings]] = {
    **{(method, "native"): KnowledgeEmbeddingSettings for method in SCORE_FUNCTION_METHODS},
    **{(method, "pykeen"): PykeenSettings for method in SCORE_FUNCTION_METHODS},
    ("nodepiece", "pykeen"): NodePieceSettings,
    ("random", "native"): RandomSettings,
    ("frequency", "native"): FrequencySettings,
    ("text_cosine", "native"): TextCosineSettings,
    ("name_match", "native"): NameMatchSettings,
    **{(method, "native"): TextKnowledgeEmbeddingSettings for method in TEXT_METHODS},
    ("clep", "native"): ContrastiveSettings,
    **{(method, "native"): GraphDecoderSettings for method in GRAPH_DECODER_METHODS},
}

# (method, engine) -> the module that trains it. Names, so that reading a config imports no torch.
MODULE_OF: dict[tuple[str, str], str] = {
    **{(method, "native"): "kelbench.methods.ke" for method in SCORE_FUNCTION_METHODS},
    **{(method, "pykeen"): "kelbench.methods.pykeen_engine" for method in SCORE_FUNCTION_METHODS},
    ("nodepiece", "pykeen"): "kelbench.methods.pykeen_engine",
    ("random", "native"): "kelbench.methods.controls",
    ("frequency", "native"): "kelbench.methods.controls",
    ("text_cosine", "native"): "kelbench.methods.controls",
    ("name_match", "native"): "kelbench.methods.controls",
    **{(method, "native"): "kelbench.methods.kepler" for method in TEXT_METHODS},
    ("clep", "native"): "kelbench.methods.clep",
    **{(method, "native"): "kelbench.methods.graph_decoders" for method in GRAPH_DECODER_METHODS},
}

# Text task -> the methods that can be asked it, each by `linking.py` and so on beside what trains it.
METHODS_OF_TASK: dict[str, tuple[str, ...]] = {"entity_linking": ("clep", "text_cosine", "name_match")}


def training_setup(settings: MethodSettings) -> tuple[object, ...]:
    """What two runs must share for their difference to be the method's, part by part; None where nothing is asked."""
    return settings.training_setup() if isinstance(settings, TextKnowledgeEmbeddingSettings) else ()


def encoder_name(settings: MethodSettings) -> str | None:
    """What encodes texts: the leaderboard's column; None where nothing does."""
    encoder = getattr(settings, "encoder", None)
    return encoder.kind if isinstance(encoder, TextEncoderSettings) else encoder


def is_scrambled(settings: MethodSettings) -> bool:
    """Whether a run reads other texts than its entities', or another graph than the dataset's: a control."""
    if isinstance(settings, ContrastiveSettings) and settings.shuffled_texts:
        return True
    return isinstance(settings, ContrastiveSettings | GraphDecoderSettings) and settings.graph.adjacency != "graph"

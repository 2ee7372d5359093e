"""Published results: config/claims/SOURCE.yaml, one file a source, and what each number was measured under."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kelbench.base.errors import ProblemList
from kelbench.config.yaml_source import Settings, read_yaml, validate

CLAIMS_FOLDER = Path("config/claims")

Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9@_]*$")]
# What a text method's encoder is: a kind, or any transformer. The others speak of words without their order.
EncoderName = Annotated[str, Field(pattern=r"^(bow|cnn|tiny|minilm|transformer|hf:.+)$")]
ANY_TRANSFORMER = "transformer"
WORD_ENCODERS = ("bow", "cnn")
# 49 negatives and the true answer: not a rank among all candidates, so it joins no row.
SAMPLED_METRICS = ("sampled_hits@10_of_50",)


def _https(url: str) -> str:
    if not url.startswith("https://"):
        raise ValueError("expected an https URL")
    return url


def is_transformer(kind: str | None) -> bool:
    """Whether an encoder's kind is a transformer; None is a method without an encoder."""
    return kind is not None and kind not in WORD_ENCODERS


def encoder_fits(claimed: str | None, kind: str | None) -> bool:
    """Whether a claim on `claimed` speaks of an encoder of this kind; one that names no encoder speaks of all."""
    if claimed == ANY_TRANSFORMER:
        return is_transformer(kind)
    return claimed in (None, kind)


class ClaimSource(Settings):
    """Where the numbers are printed."""

    title: str = Field(description="paper or repository")
    short: str = Field(description="name in a table cell")
    where: str = Field(description="table, page or file")
    url: str

    _https = field_validator("url")(_https)


class ClaimCost(Settings):
    """What it cost its authors to get a number, as they or their users report it."""

    words: str = Field(description="machines and time")
    where: str = Field(description="who says so, and where")
    url: str

    _https = field_validator("url")(_https)


class ClaimProtocol(Settings):
    """How the source ranked. Ours is the realistic rank, both sides, filtered."""

    ties: Literal["realistic", "rounded mean", "pessimistic", "optimistic", "arbitrary"] = Field(
        description="rank of the true answer among candidates with its score"
    )
    unseen: Literal["keep", "drop"] = Field(description="test triples with entities unseen in training")
    candidates: Literal["all", "split"] = "all"
    filter: Literal["standard", "none"] = "standard"
    side: Literal["head", "tail", "both"] = "both"
    split: Literal["valid", "test"] = "test"
    notes: str = ""


class _Common(Settings):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="unique over all files")
    dataset: str = Field(description="registry name")
    dataset_version: str | None = Field(
        None, description="the release that was measured; left out where it is the registered one"
    )
    engine: Literal["native", "pykeen"] | None = Field(
        None, description="the only engine that computes the same model; left out where either does"
    )
    not_comparable: str | None = Field(None, description="why no run here can confirm or refute it")
    experiment: Path | None = Field(None, description="the experiment file that runs it, where the file's is another")


class ValueClaim(_Common):
    """Numbers of one method on one dataset."""

    method: str = Field(description="the method's label: ComplEx")
    printed_as: str | None = Field(None, description="the source's name for it, where that is another")
    encoder: EncoderName | None = Field(None, description="text methods: the kind of encoder that was measured")
    setting: str = Field(description="what the source trained: loss, size, regulariser")
    preset: Literal["paper", "code"] = Field(description="the preset of runs that are judged against it")
    decimals: int = Field(ge=0, le=6, description="decimals as printed")
    values: dict[Metric, float] = Field(min_length=1, description="metric -> value as printed, MRR and Hits in 0..1")
    note: str | None = Field(None, description="what is odd about the printed numbers")
    cost: ClaimCost | None = Field(None, description="what the numbers cost their authors, where that is known")

    @model_validator(mode="after")
    def _printed(self) -> Self:
        for metric, value in self.values.items():
            if round(value, self.decimals) != value:
                raise ValueError(f"{metric}: {value} has more than {self.decimals} decimals")
            if metric != "mr" and not -1 <= value <= 1:
                raise ValueError(f"{metric}: expected a share, found {value}")
        sampled = set(self.values) & set(SAMPLED_METRICS)
        if sampled and self.not_comparable is None:
            raise ValueError(f"{', '.join(sampled)}: a sampled metric needs the key not_comparable")
        return self


class OrderingClaim(_Common):
    """One method ranks above another.

    Runs with equal encoders and presets are compared. A method that has no choice of encoder (a graph embedding,
    DKRL's convolution) is compared with every encoder of the other, and so are two encoders that the claim names.
    """

    higher: str = Field(description="label of the method said to be better")
    higher_encoder: EncoderName | None = Field(None, description="the kind of its encoder, if the claim is about that")
    lower: str = Field(description="label of the method said to be worse")
    lower_encoder: EncoderName | None = Field(None, description="the kind of its encoder, if the claim is about that")
    lower_at_least: float | None = Field(
        None,
        description="no verdict on the claim's own dataset before the lower method reaches this test value: what is "
        "above an under-trained method says nothing",
    )
    metric: Literal["mrr"] = "mrr"
    printed: str = Field(description="the two numbers as printed")
    stand_ins: list[str] = Field(default_factory=list, description="datasets it may be tested on in place of its own")

    @model_validator(mode="after")
    def _both_encoders(self) -> Self:
        if (self.higher_encoder is None) != (self.lower_encoder is None):
            raise ValueError("higher_encoder and lower_encoder go together")
        return self


class EffectClaim(_Common):
    """What a choice of protocol adds to a metric of one method: dropping unseen entities."""

    method: str | None = Field(None, description="label; left out where it is said of every method")
    of: Literal["drop unseen entities"]
    metric: Metric = "mrr"
    value: float = Field(description="difference as printed, in the metric's unit")
    decimals: int = Field(ge=0, le=6)


Claim = ValueClaim | OrderingClaim | EffectClaim


class ClaimFile(Settings):
    """One file of claims: a source, its protocol, its claims."""

    source: ClaimSource
    protocol: ClaimProtocol
    experiment: Path | None = Field(
        None, description="the experiment file that runs these claims on their own datasets"
    )
    values: list[ValueClaim] = Field(default_factory=list)
    orderings: list[OrderingClaim] = Field(default_factory=list)
    effects: list[EffectClaim] = Field(default_factory=list)

    @property
    def claims(self) -> list[tuple[str, int, Claim]]:
        """Key, position under that key, claim."""
        lists: dict[str, list[Any]] = {"values": self.values, "orderings": self.orderings, "effects": self.effects}
        return [(key, index, claim) for key, claims in lists.items() for index, claim in enumerate(claims)]


def load_claims(folder: Path = CLAIMS_FOLDER) -> list[tuple[ClaimFile, Claim]]:
    """All claims with the file that holds each, in the order of file names; an absent folder holds none.

    Raises:
        UserError: a file does not fit, holds no claim, or an id stands twice.
    """
    loaded: list[tuple[ClaimFile, Claim]] = []
    owners: dict[str, Path] = {}
    problems = ProblemList(f"{folder}: the claims do not fit")
    for path in sorted(folder.glob("*.yaml")):
        source = read_yaml(path)
        file = validate(ClaimFile, source)
        if not file.claims:
            problems.add(f"{path}: expected values, orderings or effects, found none")
        for key, index, claim in file.claims:
            if claim.id in owners:
                where = source.where((key, index, "id"))
                problems.add(f"{where}: id {claim.id!r} stands in {owners[claim.id]} too; choose another")
            owners[claim.id] = path
            loaded.append((file, claim))
    problems.raise_if_any()
    return loaded

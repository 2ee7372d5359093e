"""Settings that several methods share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kelbench.config.yaml_source import Settings

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EarlyStopping(Settings):
    """Validation MRR decides when to stop and which weights are kept."""

    every: Positive = Field(description="epochs between validations")
    patience: Positive = Field(description="validations without an improvement before training stops")
    minimal_gain: NonNegativeFloat = Field(1e-4, description="absolute gain in MRR that counts as an improvement")

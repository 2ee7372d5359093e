"""Settings of graph encoders, which several methods share."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from kelbench.config.parts import Fraction, Positive
from kelbench.config.yaml_source import Settings


class GraphEncoderSettings(Settings):
    """What turns a graph into a vector for each node and each relation."""

    kind: Literal["compgcn", "rgcn"] = Field(
        description="compgcn: Vashishth et al. 2020; rgcn: Schlichtkrull et al. 2018, with a table of relation vectors"
    )
    composition: Literal["sub", "mult", "corr"] | None = Field(
        None, description="compgcn: what a message is made of: difference, product or circular correlation"
    )
    bases: Positive | None = Field(None, description="rgcn: matrices that each relation's is a combination of")
    layers: int = Field(ge=0, description="how far messages go; 0 leaves the features as they are")
    width: Positive = Field(description="numbers in a node's and a relation's vector")
    features: Literal["free", "text", "both"] = Field(
        description="of a node: a learned vector, a projection of its text's vector, or their sum; text alone serves "
        "nodes that training never saw"
    )
    adjacency: Literal["graph", "random", "none"] = Field(
        "graph", description="random: messages go to permuted nodes; none: no messages (Zhang et al. 2022)"
    )
    drop_batch_edges: bool = Field(False, description="leave the batch's own triples out of the graph that encodes it")
    dropout: Fraction = Field(0.1, description="of messages, in a layer")
    layer_dropout: Fraction = Field(0.3, description="of nodes, after a layer")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "compgcn") != (self.composition is not None):
            raise ValueError("the key composition goes with kind: compgcn, and only with it")
        if (self.kind == "rgcn") != (self.bases is not None):
            raise ValueError("the key bases goes with kind: rgcn, and only with it")
        if self.drop_batch_edges and self.adjacency == "none":
            raise ValueError("with adjacency: none there are no edges for drop_batch_edges to leave out; remove one")
        return self

    def architecture(self) -> dict[str, Any]:
        """What an encoder's weights mean: all keys but those of training alone."""
        return self.model_dump(mode="json", exclude={"dropout", "layer_dropout", "drop_batch_edges"})

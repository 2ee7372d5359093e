"""Link predictors across spaces: a node and a relation ask, descriptions answer (CLEP)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kelbench.encoders.graph.weights import xavier
from kelbench.encoders.model_file import understood, write_model_file
from kelbench.ranking.known_answers import Side
from kelbench.scoring import Similarity

HeadKind = Literal["linear", "mlp"]


class Head(nn.Module):
    """From an encoder's vectors to the shared space: a linear map, or two with a rectifier between them."""

    def __init__(self, kind: HeadKind, width: int, shared: int, generator: torch.Generator | None = None) -> None:
        """Draw initial weights for vectors of `width` numbers and a shared space of `shared`."""
        super().__init__()
        sizes = [(width, shared)] if kind == "linear" else [(width, shared), (shared, shared)]
        self.weights = nn.ParameterList(xavier(*size, generator=generator) for size in sizes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(size[1])) for size in sizes)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors `(n, shared)` of `(n, width)`, computed in their dtype."""
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if number:
                vectors = torch.relu(vectors)
            vectors = vectors @ weight.to(vectors.dtype) + bias.to(vectors.dtype)
        return vectors


class QueryHead(Head):
    """The graph's side of a query: head(h + rho), as CLEP's slides have it, and where asked for, (h V) * (rho W) more.

    The product is DistMult's (Yang et al. 2015, Section 3.1) of vectors mapped to the shared space. A linear head of a
    sum adds what the node says to what the relation says, whatever the other is; in the product each depends on the
    other.
    """

    def __init__(
        self, kind: HeadKind, width: int, shared: int, product: bool, generator: torch.Generator | None = None
    ) -> None:
        """Draw initial weights as `Head` does, then those of the product."""
        super().__init__(kind, width, shared, generator)
        self.product = nn.ParameterList(xavier(width, shared, generator=generator) for _ in range(2 * product))

    def forward(self, nodes: Tensor, relations: Tensor | None = None) -> Tensor:
        """Queries `(n, shared)` of nodes and relations `(n, width)`; without relations, nodes alone."""
        if relations is None:
            return super().forward(nodes)
        queries = super().forward(nodes + relations)
        if len(self.product):
            of_node, of_relation = (weight.to(nodes.dtype) for weight in self.product)
            queries = queries + (nodes @ of_node) * (relations @ of_relation)
        return queries


@dataclass
class AlignedTables:
    """What ranks across spaces: cos(head(node, relation), text), the slides' f(h, r, t) of CLEP.

    Attributes:
        node: float32 `(entities, width)`, the graph encoder's vectors.
        relation: float32 `(2 relations, width)`: those of the inverses follow, which ask for heads.
        head: from these to the shared space.
        text: float32 `(texts, shared width)`: each distinct description once, in the shared space.
        text_of_entity: int64 `(entities,)`: row of its description.
        notes: what else the file says: the graph encoder's settings.
        weights: what else the file holds: weights of the graph encoder and of the texts' head, which others go on from.
    """

    node: Tensor
    relation: Tensor
    head: QueryHead
    text: Tensor
    text_of_entity: Tensor
    notes: dict[str, Any]
    weights: dict[str, Tensor]

    similarity: Similarity = "cosine"

    @property
    def num_relations(self) -> int:
        """Relations, inverses not counted."""
        return len(self.relation) // 2

    @torch.no_grad()
    def queries(self, side: Side, entities: Tensor, relations: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Query vectors `(n, shared width)`; see `EmbeddingTables.queries`."""
        asked = relations + self.num_relations if side == "head" else relations
        return self.head(self.node[entities].to(dtype), self.relation[asked].to(dtype))  # type: ignore[no-any-return]

    @torch.no_grad()
    def nodes(self, entities: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Nodes alone in the shared space `(n, shared width)`, as where they were aligned with their own texts."""
        return self.head(self.node[entities].to(dtype))  # type: ignore[no-any-return]

    def candidates(self, entities: Tensor) -> Tensor:
        """The entities' descriptions `(n, shared width)`: equal ones are equal rows."""
        return self.text[self.text_of_entity[entities.to(self.text_of_entity.device)]]

    def to(self, device: str) -> AlignedTables:
        """The same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("node", "relation", "text", "text_of_entity")}
        return replace(self, **moved, head=self.head.to(device))

    def save(self, path: Path) -> None:
        """Write everything as one safetensors file; equal ones give equal bytes."""
        tensors = {name: getattr(self, name) for name in ("node", "relation", "text", "text_of_entity")}
        tensors |= {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()} | self.weights
        description = {"aligned": {"head": "linear" if len(self.head.weights) == 1 else "mlp"} | self.notes}
        write_model_file(path, {k: t.detach().cpu().contiguous() for k, t in tensors.items()}, description)

    @classmethod
    def restored(cls, path: Path, description: dict[str, Any], tensors: dict[str, Tensor]) -> AlignedTables:
        """The tables of a file that has been read.

        Raises:
            UserError: it holds something else.
        """
        with understood(path):
            notes = dict(description["aligned"])
            own = {name: tensors.pop(name) for name in ("node", "relation", "text", "text_of_entity")}
            product = any(name.startswith("head.product.") for name in tensors)
            head = QueryHead(notes.pop("head"), own["node"].shape[1], own["text"].shape[1], product)
            stored = [name for name in tensors if name.startswith("head.")]
            head.load_state_dict({name.removeprefix("head."): tensors.pop(name) for name in stored})
            return cls(
                own["node"], own["relation"], head.eval(), own["text"], own["text_of_entity"], notes, weights=tensors
            )

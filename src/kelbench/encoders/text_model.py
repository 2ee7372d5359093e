"""A text encoder with what a knowledge embedding adds to it: a projection, relation vectors, a temperature."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kelbench.base.errors import UserError
from kelbench.base.files import write_bytes
from kelbench.base.progress import Progress
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.encoders.graph_texts import GraphTexts
from kelbench.encoders.text_encoder import TextEncoder, buckets, encode, load_encoder, save_encoder
from kelbench.encoders.tokens import Tokens
from kelbench.scoring import SCORE_FUNCTIONS, TRANSE, ScoreFunction, Similarity

HEAD_FILE = "ke_head.safetensors"
_IN_MEMORY_BYTES = 2 << 30


def score_of(settings: TextKnowledgeEmbeddingSettings) -> tuple[ScoreFunction, Similarity]:
    """The score function and the similarity that a setting names."""
    match settings.score:
        case "transe_l1":
            return TRANSE, "l1"
        case "transe_l2":
            return TRANSE, "l2"
        case "dot":
            return TRANSE, "dot"
        case "cosine":
            return TRANSE, "cosine"
        case name:
            return SCORE_FUNCTIONS[name], SCORE_FUNCTIONS[name].similarity


class TextModel(nn.Module):
    """Texts to vectors; relations to theirs.

    Attributes:
        encoder: inputs to pooled vectors.
        projection: `(projected width, encoder width)`, or None.
        relation: `(relations, width)`; None where a relation's text is encoded.
        log_scale: log of 1 / temperature, or None.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        settings: TextKnowledgeEmbeddingSettings,
        num_relations: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.settings = encoder, settings
        self.width = settings.encoder.projection or encoder.width
        self.projection = self.relation = self.log_scale = None
        if settings.encoder.projection is not None:
            rows = torch.randn(self.width, encoder.width, generator=generator) * encoder.width**-0.5
            self.projection = nn.Parameter(rows)
        function, _ = score_of(settings)
        if settings.score in ("complex", "rotate", "simple") and self.width % 2:
            raise UserError(f"score: {settings.score} needs an even width, found {self.width}; set a projection")
        shape = (num_relations, function.relation_width(self.width))
        if settings.loss is None or settings.relation == "none":
            # Nothing would train them: a query is the known text alone.
            self.relation = nn.Parameter(torch.zeros(shape), requires_grad=False)
        elif settings.relation == "table":
            self.relation = nn.Parameter(_initial_relations(settings, shape, generator))
        if settings.temperature is not None:
            self.log_scale = nn.Parameter(torch.tensor(-math.log(settings.temperature)))

    def vectors(self, tokens: Tokens) -> Tensor:
        """Vectors float32 `(texts, width)` of one bucket of inputs."""
        pooled = self.encoder(tokens)
        return pooled if self.projection is None else pooled @ self.projection.T

    def own_parameters(self) -> list[nn.Parameter]:
        """What the encoder did not bring, and is learned."""
        mine = (self.projection, self.relation, self.log_scale)
        return [parameter for parameter in mine if parameter is not None and parameter.requires_grad]

    @torch.no_grad()
    def entity_vectors(self, texts: GraphTexts, file: Path) -> Tensor:
        """Vectors float32 `(entities, width)` of all entities, every text encoded once.

        Above 2 GiB they are written to `file`, which stays mapped, not loaded.
        """
        entities = len(texts.text_of_entity)
        out: np.ndarray
        if entities * self.width * 4 > _IN_MEMORY_BYTES:
            file.parent.mkdir(parents=True, exist_ok=True)
            out = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(entities, self.width))
        else:
            out = np.empty((entities, self.width), dtype=np.float32)
        by_text = np.argsort(texts.text_of_entity, kind="stable")
        bounds = np.searchsorted(texts.text_of_entity[by_text], np.arange(texts.num_texts + 1))
        inputs = texts.descriptions(np.arange(entities))
        order = np.argsort(inputs.lengths, kind="stable")
        with Progress("encoding texts", total=len(order), unit="text") as progress:
            for places in buckets(inputs.lengths[order]):
                rows = order[places]
                vectors = self.vectors(inputs.take(rows)).cpu().numpy()
                counts = bounds[rows + 1] - bounds[rows]
                within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
                out[by_text[np.repeat(bounds[rows], counts) + within]] = np.repeat(vectors, counts, axis=0)
                progress.advance(len(rows))
        return torch.from_numpy(out)

    @torch.no_grad()
    def relation_vectors(self, texts: GraphTexts) -> Tensor:
        """Vectors float32 `(relations, ...)` of all relations."""
        if self.relation is not None:
            return self.relation.detach().cpu().clone()
        return self.encode(texts.inputs(texts.of_relations(np.arange(texts.num_relations)))).cpu()

    def encode(self, inputs: Tokens, before: Callable[[int], None] | None = None) -> Tensor:
        """Vectors `(texts, width)` of any number of inputs, in buckets; see `text_encoder.encode`."""
        return encode(self.vectors, inputs, before)

    def save(self, folder: Path) -> None:
        """Write the encoder's checkpoint and beside it `ke_head.safetensors`."""
        save_encoder(self.encoder, folder)
        names = ("projection", "relation", "log_scale")
        own = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        head = {name: tensor.detach().cpu().contiguous() for name, tensor in own.items()}
        write_bytes(folder / HEAD_FILE, save(head))

    @classmethod
    def load(cls, folder: Path, settings: TextKnowledgeEmbeddingSettings, num_relations: int) -> TextModel:
        """Read what `save` wrote.

        Raises:
            UserError: the encoder is missing.
        """
        model = cls(load_encoder(folder, settings.encoder), settings, num_relations)
        with torch.no_grad():
            for name, tensor in load_file(folder / HEAD_FILE).items():
                getattr(model, name).copy_(tensor)
        return model.eval()


def _initial_relations(
    settings: TextKnowledgeEmbeddingSettings, shape: tuple[int, int], generator: torch.Generator | None
) -> Tensor:
    uniform = torch.rand(shape, generator=generator) * 2 - 1
    if settings.score == "rotate":
        return uniform * math.pi
    if settings.score in ("distmult", "complex", "simple"):
        # Factors of a product: about 1, or all scores would begin at 0.
        return uniform * math.sqrt(3)
    # Sun et al. 2019, whose range the released code of KEPLER keeps.
    return uniform * (settings.margin + 2.0) / shape[1]

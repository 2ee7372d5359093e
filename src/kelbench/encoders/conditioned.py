"""Link predictors whose query is the text of the known entity read together with the relation's (KEPLER-Cond)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.files import digest_of, sha256_file
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.graph_texts import GraphTexts, inverse_text
from kelbench.encoders.tables import EmbeddingTables
from kelbench.encoders.text_model import TextModel
from kelbench.ranking.known_answers import Side
from kelbench.scoring import Similarity

ENCODER_FOLDER = "encoder"


@dataclass
class ConditionedTables:
    """Answers from a table; queries are encoded when they are asked.

    Attributes:
        tables: answers, relation vectors, score function and similarity.
        model: encodes the queries.
        texts: what they are made of.
    """

    tables: EmbeddingTables
    model: TextModel
    texts: GraphTexts

    @property
    def similarity(self) -> Similarity:
        """What compares queries with answers."""
        return self.tables.similarity

    def queries(self, side: Side, entities: Tensor, relations: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Query vectors `(n, width)`; see `EmbeddingTables.queries`. Equal questions are encoded once."""
        codes, back = np.unique(
            self.texts.of_pairs(entities.cpu().numpy(), relations.cpu().numpy(), side), return_inverse=True
        )
        with torch.no_grad():
            vectors = self.model.encode(self.texts.inputs(codes))
        rows = vectors[torch.from_numpy(back).to(vectors.device)].to(self.tables.entity.device, dtype)
        relation_rows = self.tables.relation[relations.to(self.tables.relation.device)].to(dtype)
        function = self.tables.score_function
        return function.tail_query(rows, relation_rows) if side == "tail" else function.head_query(relation_rows, rows)

    def candidates(self, entities: Tensor) -> Tensor:
        """Candidate rows `(n, width)`, unconditioned."""
        return self.tables.candidates(entities)

    def to(self, device: str) -> ConditionedTables:
        """The same on a device."""
        return ConditionedTables(self.tables.to(device), self.model.to(device), self.texts)

    def save(self, path: Path) -> None:
        """Write the table to `path`; the model is in `encoder/` beside it, whose digest the table notes."""
        folder = path.parent / ENCODER_FOLDER
        settings = self.model.settings.model_dump(mode="json")
        self.tables.save(path, conditioned={"settings": settings, "encoder": _digest(folder)})

    @classmethod
    def restored(
        cls, path: Path, tables: EmbeddingTables, noted: dict[str, Any], dataset: PreparedDataset
    ) -> ConditionedTables:
        """What `save` wrote.

        Args:
            path: the table's file.
            tables: what it holds.
            noted: its note `conditioned`.
            dataset: where the texts are read.

        Raises:
            UserError: the encoder beside it is missing, or another.
        """
        folder = path.parent / ENCODER_FOLDER
        if not folder.is_dir() or _digest(folder) != noted["encoder"]:
            raise UserError(f"{folder}: expected the encoder that was trained with {path}; train the run again")
        settings = TextKnowledgeEmbeddingSettings.model_validate(noted["settings"])
        model = TextModel.load(folder, settings, dataset.num_relations)
        return cls(tables, model, graph_texts(dataset, model, settings))


def graph_texts(dataset: PreparedDataset, model: TextModel, settings: TextKnowledgeEmbeddingSettings) -> GraphTexts:
    """The texts of a dataset, as the settings want them.

    Raises:
        UserError: the dataset has no texts, or not those that the settings name.
    """
    return GraphTexts(
        model.encoder.tokenizer,
        dataset.texts_or_first(settings.encoder.texts),
        dataset.relation_texts(),
        settings.encoder.max_tokens,
        inverse_texts=settings.relation == "none",
    )


def texts_of_relations(dataset: PreparedDataset, settings: TextKnowledgeEmbeddingSettings) -> list[str]:
    """The texts of relations that queries or vectors are made of; none where a table has the relations."""
    if settings.relation == "table" and not settings.conditioned:
        return []
    texts = dataset.relation_texts()
    return texts + [inverse_text(text) for text in texts] if settings.relation == "none" else texts


def _digest(folder: Path) -> str:
    return digest_of({path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.is_file()})

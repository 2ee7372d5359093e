"""Controls made of texts, untrained: what the words alone give away.

`text_cosine`: an answer's score is the cosine of its text with the text of the known entity, to which that of the
relation may be added.
`name_match`: whether the name of one of the two entities stands in the text of the other.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, eye_array

from kelbench.base.errors import UserError
from kelbench.config.methods import TextCosineSettings
from kelbench.data.name_match import name_matches, words
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.sparse import SparseTables
from kelbench.encoders.tables import EmbeddingTables
from kelbench.encoders.text import bow_vectors, minilm_vectors
from kelbench.scoring import TEXT_COSINE


def cosine_tables(dataset: PreparedDataset, settings: TextCosineSettings) -> EmbeddingTables | SparseTables:
    """Vectors of the encoder that the settings name, compared by their cosine."""
    return bow_tables(dataset, settings) if settings.encoder == "bow" else minilm_tables(dataset, settings)


def bow_tables(dataset: PreparedDataset, settings: TextCosineSettings) -> SparseTables:
    """TF-IDF vectors; the vocabulary comes from the entities of the training graph."""
    texts = dataset.texts_or_first(settings.texts)
    start, stop = dataset.spaces["train"]
    if not any(words(text) for text in texts[start:stop]):
        raise UserError(
            f"{dataset.name}: no entity of the training graph has a text; do the files name the same entities?"
        )
    entities, relations = bow_vectors(texts[start:stop], texts, dataset.relation_texts())
    if not settings.relation:
        relations = csr_array(relations.shape, dtype=np.float32)
    return SparseTables(entities, relations, entities)


def minilm_tables(dataset: PreparedDataset, settings: TextCosineSettings) -> EmbeddingTables:
    """Sentence vectors of a frozen encoder."""
    entities = minilm_vectors(dataset.texts_or_first(settings.texts))
    relations = minilm_vectors(dataset.relation_texts())
    if not settings.relation:
        relations = torch.zeros_like(relations)
    if not (torch.isfinite(entities).all() and torch.isfinite(relations).all()):
        raise UserError(f"{dataset.name}: a text has no finite vector")
    return EmbeddingTables(TEXT_COSINE, "cosine", entities, relations, reciprocal=False)


def name_match_tables(dataset: PreparedDataset, source: str | None) -> SparseTables:
    """Row e of the candidates: the entities whose name stands in e's text, or whose text has e's name.

    Raises:
        UserError: the dataset has no source of names.
    """
    if dataset.name_source is None:
        raise UserError(f"{dataset.name}: name_match needs a source of names, and the dataset has none")
    matches = name_matches(dataset.entity_texts(dataset.name_source), dataset.texts_or_first(source))
    asked = csr_array(eye_array(dataset.num_entities, dtype=np.float32))
    nothing = csr_array((dataset.num_relations, dataset.num_entities), dtype=np.float32)
    return SparseTables(asked, nothing, matches)

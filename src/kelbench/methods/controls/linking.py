"""Entity linking by what learns nothing: names like the mention, or descriptions like its context."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from kelbench.base.errors import UserError
from kelbench.config.experiment import Run
from kelbench.config.methods import NameMatchSettings, TextCosineSettings
from kelbench.data.linking import Mentions
from kelbench.data.name_match import words
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.text import bow_vectors, minilm_vectors
from kelbench.tasks.entity_linking import Scorer


def scorer(run: Run, dataset: PreparedDataset, folder: Path, mentions: Mentions) -> Scorer:
    """Scores of the control that the run names; the model in `folder` is not needed.

    Raises:
        UserError: the dataset has no texts, or no names.
    """
    match run.settings:
        case TextCosineSettings():
            return _cosines(run.settings, dataset, mentions)
        case NameMatchSettings():
            return _names(dataset, mentions)
    raise TypeError(f"expected a control that links, got {type(run.settings).__name__}")


def _cosines(settings: TextCosineSettings, dataset: PreparedDataset, mentions: Mentions) -> Scorer:
    """The cosine of the mention with its context, and an entity's text."""
    texts = dataset.texts_or_first(settings.texts)
    if settings.encoder == "minilm":
        entities, asked = (minilm_vectors(some).numpy().astype(np.float64) for some in (texts, mentions.described()))
        return lambda numbers: asked[numbers] @ entities.T
    start, stop = dataset.spaces["train"]
    rows, queries = bow_vectors(texts[start:stop], texts, mentions.described())
    sparse = rows.astype(np.float64).T.tocsr()
    return lambda numbers: (queries[numbers].astype(np.float64) @ sparse).toarray()


def _names(dataset: PreparedDataset, mentions: Mentions) -> Scorer:
    """Jaccard similarity of the mention's words with those of an entity's name."""
    if dataset.name_source is None:
        raise UserError(f"{dataset.name}: name_match needs a source of names, and the dataset has none")
    names = dataset.entity_texts(dataset.name_source)
    number: dict[str, int] = {word: place for place, word in enumerate(sorted(set().union(*map(words, names))))}
    of_names, of_surfaces = _word_matrix(names, number), _word_matrix(mentions.surfaces, number)
    length_of_names, length_of_surfaces = (
        np.array([len(set(words(text))) for text in texts]) for texts in (names, mentions.surfaces)
    )

    def scores(numbers: np.ndarray) -> np.ndarray:
        common = (of_surfaces[numbers] @ of_names.T).toarray()
        union = length_of_surfaces[numbers, None] + length_of_names - common
        jaccard: np.ndarray = common / np.maximum(union, 1)
        return jaccard

    return scores


def _word_matrix(texts: list[str], number: dict[str, int]) -> csr_array:
    """Float64 `(texts, words)`: 1 where a text has a word that has a number."""
    found = [sorted({number[word] for word in words(text) if word in number}) for text in texts]
    offsets = np.append(0, np.cumsum([len(row) for row in found]))
    columns = np.fromiter((word for row in found for word in row), dtype=np.int64, count=int(offsets[-1]))
    return csr_array((np.ones(len(columns)), columns, offsets), shape=(len(texts), len(number)))

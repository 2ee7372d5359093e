"""Entity linking by what learns nothing: names like the mention, or descriptions like its context."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
    from sklearn.feature_extraction.text import CountVectorizer

    texts = dataset.entity_texts(dataset.name_source) + mentions.surfaces
    # Which text has which word, 0 or 1: a product of two rows counts the words that they share.
    has = CountVectorizer(analyzer=words, binary=True, dtype=np.float64).fit_transform(texts).tocsr()
    length, split = np.asarray(has.sum(axis=1)).ravel(), len(texts) - len(mentions)
    names = has[:split].T.tocsr()

    def scores(numbers: np.ndarray) -> np.ndarray:
        common = (has[split + numbers] @ names).toarray()
        union = length[split + numbers, None] + length[:split] - common
        jaccard: np.ndarray = common / np.maximum(union, 1)
        return jaccard

    return scores

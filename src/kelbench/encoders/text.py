"""Vectors of texts of which nothing is trained: `bow`, sparse TF-IDF; `minilm`, a sentence encoder, frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from kelbench.base.progress import Progress
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.data.name_match import words
from kelbench.encoders.minilm import MINILM_TOKENS, minilm_folder
from kelbench.encoders.text_encoder import encode
from kelbench.encoders.tokens import Tokens, single_inputs
from kelbench.encoders.transformer import pretrained_transformer


def bow_vectors(training_texts: list[str], *others: list[str]) -> list[csr_array]:
    """TF-IDF vectors of length 1; the vocabulary and its weights come from the training texts alone.

    A word's weight is (1 + ln tf) * (ln((1 + n) / (1 + df)) + 1), as scikit-learn computes it. A text without a known
    word has the vector 0.

    Args:
        training_texts: texts of entities that training may see.
        *others: lists of texts to be encoded.

    Returns:
        For each of `others` a float32 `(texts, words)`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, tokenizer=words, token_pattern=None, lowercase=False, dtype=np.float32
    )
    vectorizer.fit(training_texts)
    return [csr_array(vectorizer.transform(texts)) for texts in others]


def minilm_vectors(texts: list[str], folder: Path | None = None) -> Tensor:
    """Sentence vectors of length 1 of all-MiniLM-L6-v2: the mean of the last layer over a text's tokens.

    Args:
        texts: each encoded once however often it stands there.
        folder: a checkpoint in the same format; that of the installed package unless given.

    Returns:
        float32 `(texts, width)`.

    Raises:
        UserError: the package is not installed, or its weights are not those that were pinned.
    """
    settings = TextEncoderSettings.model_validate({"kind": "minilm", "max_tokens": MINILM_TOKENS, "pooling": "mean"})
    encoder = pretrained_transformer(settings, folder or minilm_folder(), {"local_files_only": True}).eval()
    distinct = sorted(set(texts))
    tokens = encoder.tokenizer.tokens(distinct)
    inputs = single_inputs(tokens, np.arange(len(distinct)), encoder.tokenizer.special, MINILM_TOKENS)
    with torch.inference_mode(), Progress("encoding texts", total=len(distinct), unit="text") as progress:

        def counted(bucket: Tokens) -> Tensor:
            progress.advance(len(bucket))
            return encoder(bucket)  # type: ignore[no-any-return]

        vectors = torch.nn.functional.normalize(encode(counted, inputs), dim=-1)
    place = {text: number for number, text in enumerate(distinct)}
    return vectors[[place[text] for text in texts]]

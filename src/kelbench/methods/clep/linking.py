"""Entity linking by CLEP, zero-shot: a mention in its context is encoded as a text, nodes are what it may mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kelbench.base.errors import UserError
from kelbench.config.clep import ContrastiveSettings
from kelbench.config.experiment import Run
from kelbench.data.linking import Mentions
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.aligned import AlignedTables, Head
from kelbench.encoders.conditioned import ENCODER_FOLDER
from kelbench.encoders.description_vectors import frozen_vectors, text_vectors_folder
from kelbench.encoders.load import load_model
from kelbench.encoders.text_encoder import TextEncoder, encode, load_encoder, make_encoder
from kelbench.encoders.tokens import single_inputs
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
    encoder = _encoder(settings, folder)
    tokens = encoder.tokenizer.tokens(mentions.described())
    inputs = single_inputs(tokens, np.arange(len(mentions)), encoder.tokenizer.special, settings.encoder.max_tokens)
    stored = {name: tensor for name, tensor in tables.weights.items() if name.startswith("text_head.")}
    head = Head(settings.head, encoder.width, tables.text.shape[1])
    head.load_state_dict({name.removeprefix("text_head."): tensor for name, tensor in stored.items()})
    # The mentions' vectors by an encoder that nothing trains are those of every run and seed.
    vectors = (
        frozen_vectors(encoder, settings.encoder, inputs, text_vectors_folder(), "cpu")
        if settings.frozen
        else encode(encoder, inputs)
    )
    asked = head(vectors.double())
    nodes = tables.head(tables.node.double())

    def scores(numbers: np.ndarray) -> np.ndarray:
        found: np.ndarray = similarity_matrix("cosine", asked[torch.from_numpy(numbers)], nodes).numpy()
        return found

    return scores


def _encoder(settings: ContrastiveSettings, folder: Path) -> TextEncoder:
    if settings.frozen:
        return make_encoder(settings.encoder, [], torch.Generator()).eval()
    return load_encoder(folder / ENCODER_FOLDER, settings.encoder).eval()

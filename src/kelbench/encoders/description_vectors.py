"""Vectors of all descriptions of a graph: frozen and kept in a file, or one sparse product of learned word vectors."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kelbench.base.files import digest_of, sha256_bytes, write_array
from kelbench.base.progress import Progress
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.data.fetch import cache_folder
from kelbench.encoders.bag_of_words import BagOfWords
from kelbench.encoders.graph.products import SparseMatrix
from kelbench.encoders.text_encoder import TextEncoder, encode
from kelbench.encoders.tokens import Tokens

_LOG = logging.getLogger("kelbench.texts")


class WordProduct(nn.Module):
    """Vectors of texts as one product of a sparse matrix, texts by words, with learned word vectors.

    It computes what `BagOfWords.forward` does, for all texts at once, and its gradient as a second such product.
    """

    def __init__(self, encoder: BagOfWords, inputs: Tokens, device: str = "cpu") -> None:
        super().__init__()
        self.words = encoder.words
        text = np.repeat(np.arange(len(inputs)), inputs.lengths)
        weights = encoder.weights.cpu().numpy()[inputs.ids].astype(np.float64)
        # As in BagOfWords, a word that stands twice has its weight twice in the norm, not the square of the sum.
        squares = np.bincount(text, weights=weights**2, minlength=len(inputs))
        shape = (len(inputs), len(encoder.words))
        values = weights / np.sqrt(np.maximum(squares, 1e-12))[text]
        self._matrix = SparseMatrix.of(text, inputs.ids.astype(np.int64), values, shape, device)

    def forward(self) -> Tensor:
        """Vectors float32 `(texts, width)`."""
        return self._matrix.product(self.words)


def frozen_vectors(
    encoder: TextEncoder, settings: TextEncoderSettings, inputs: Tokens, folder: Path, device: str
) -> Tensor:
    """Vectors float32 `(texts, width)` of inputs by an encoder that nothing trains.

    They are kept in `folder` under a name made of all that they depend on, so that runs and seeds share them.
    """
    key = {
        "encoder": settings.model_dump(mode="json"),
        "inputs": [sha256_bytes(array.tobytes()) for array in (inputs.ids, inputs.offsets)],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device,
    }
    path = folder / f"{digest_of(key)}.npy"
    if not path.is_file():  # two jobs may both make it, of equal bytes, each in one move
        write_array(path, _encoded(encoder, inputs))
    _LOG.info("vectors of %d texts: %s", len(inputs), path)
    return torch.from_numpy(np.load(path, allow_pickle=False))


def text_vectors_folder() -> Path:
    """Where vectors of texts are kept: beside the fetched files, whose folder `KELBENCH_CACHE` names."""
    return cache_folder() / "text-vectors"


def _encoded(encoder: TextEncoder, inputs: Tokens) -> np.ndarray:
    with torch.inference_mode(), Progress("encoding texts", total=len(inputs), unit="text") as progress:

        def counted(bucket: Tokens) -> Tensor:
            progress.advance(len(bucket))
            return encoder(bucket)  # type: ignore[no-any-return]

        vectors: np.ndarray = encode(counted, inputs).float().cpu().numpy()
    return vectors

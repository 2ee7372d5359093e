"""The text encoders behind one face: made from settings, run over many inputs, written to and read from a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_file
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.encoders.bag_of_words import BagOfWords
from kelbench.encoders.causal import CausalTransformer, pretrained_causal
from kelbench.encoders.convolution import Convolution
from kelbench.encoders.minilm import minilm_folder
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.transformer import Transformer, pretrained_transformer, tiny_transformer
from kelbench.encoders.words import WordTokenizer

TextEncoder = BagOfWords | Convolution | Transformer | CausalTransformer

TOKENS_AT_ONCE = 8192


def make_encoder(settings: TextEncoderSettings, training_texts: list[str], generator: torch.Generator) -> TextEncoder:
    """A new encoder.

    Args:
        settings: which one.
        training_texts: texts of the training graph's entities and of relations, the only ones that a vocabulary may
            come from.
        generator: decides the first weights.

    Raises:
        UserError: a checkpoint cannot be had.
    """
    if settings.kind == "bow":
        return BagOfWords(WordTokenizer.trained(training_texts), settings.width or 0, generator)
    if settings.kind == "cnn":
        return Convolution(WordTokenizer.trained(training_texts), settings.width or 0, generator)
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        if settings.kind == "tiny":
            return tiny_transformer(settings, training_texts)
        return _pretrained(settings, *checkpoint_of(settings.kind))


def _pretrained(
    settings: TextEncoderSettings, place: str | Path, options: dict[str, object]
) -> Transformer | CausalTransformer:
    return (pretrained_causal if settings.pooling == "last" else pretrained_transformer)(settings, place, options)


def checkpoint_of(kind: str) -> tuple[str | Path, dict[str, object]]:
    """Where a pre-trained encoder is loaded from, with the options of `from_pretrained`.

    Raises:
        UserError: there is no such folder, or its weights are not those that were named.
    """
    if kind == "minilm":
        return minilm_folder(), {"local_files_only": True}
    name, _, revision = kind.removeprefix("hf:").rpartition("@")
    folder = Path(name)
    if not folder.is_dir() and len(revision) == 40:
        return name, {"revision": revision}
    weights = folder / "model.safetensors"
    digest = sha256_file(weights) if weights.is_file() else "no such file"
    if digest != revision:
        raise UserError(f"{weights}: expected sha256 {revision}, as the encoder's name says, found {digest}")
    return folder, {"local_files_only": True}


def encode(encoder: Callable[[Tokens], Tensor], inputs: Tokens, before: Callable[[int], None] | None = None) -> Tensor:
    """Vectors `(texts, width)` of all inputs, in buckets of similar length.

    Args:
        encoder: inputs to vectors.
        inputs: with their special tokens.
        before: called with the number of each bucket before it is encoded.
    """
    order = np.argsort(inputs.lengths, kind="stable")
    parts = []
    for number, rows in enumerate(buckets(inputs.lengths[order])):
        if before is not None:
            before(number)
        parts.append(encoder(inputs.take(order[rows])))
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    vectors = torch.cat(parts)
    return vectors[torch.from_numpy(back).to(vectors.device)]


def buckets(lengths: np.ndarray, tokens_at_once: int = TOKENS_AT_ONCE) -> Iterator[np.ndarray]:
    """Consecutive places of ascending lengths, so many that, padded, they have at most `tokens_at_once` tokens."""
    begin = 0
    while begin < len(lengths):
        # The longest is the last: as many as fit if all were as long as it, found by halving.
        low, high = begin + 1, len(lengths)
        while low < high:
            middle = (low + high + 1) // 2
            if (middle - begin) * max(1, int(lengths[middle - 1])) <= tokens_at_once:
                low = middle
            else:
                high = middle - 1
        yield np.arange(begin, low)
        begin = low


def save_encoder(encoder: TextEncoder, folder: Path) -> None:
    """Write `folder` whole or not at all; a transformer's is a checkpoint that `AutoModel.from_pretrained` loads."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        encoder.save(made)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        made.rename(folder)


def load_encoder(folder: Path, settings: TextEncoderSettings) -> TextEncoder:
    """Read what `save_encoder` wrote.

    Raises:
        UserError: it is missing or damaged.
    """
    if settings.kind not in ("bow", "cnn"):
        return _pretrained(settings, folder, {"local_files_only": True})
    with _there(folder):
        return (BagOfWords if settings.kind == "bow" else Convolution).load(folder)


def load_words(folder: Path) -> BagOfWords:
    """Read a bag of words that was saved.

    Raises:
        UserError: it is missing.
    """
    with _there(folder):
        return BagOfWords.load(folder)


@contextmanager
def _there(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{folder}: expected a trained encoder, found none ({error}); train the run first") from None

"""Masked language modelling: the corpus, and which of its tokens are asked for."""

from __future__ import annotations

from itertools import islice

import numpy as np

from kelbench.base.errors import UserError
from kelbench.config.kepler import MaskedLanguageModelling
from kelbench.encoders.graph_texts import GraphTexts
from kelbench.encoders.subwords import SubwordTokenizer
from kelbench.encoders.tokens import SpecialTokens, Tokens, concatenated, single_inputs

# Devlin et al. 2019, Section 3.1.
ASKED, MASKED, REPLACED = 0.15, 0.8, 0.1
_LINES_AT_ONCE = 1 << 16


def corpus_of(
    settings: MaskedLanguageModelling,
    tokenizer: SubwordTokenizer,
    texts: GraphTexts,
    training_entities: np.ndarray,
    max_tokens: int,
) -> Tokens:
    """The inputs that language is learned from: descriptions of training entities, or the lines of a file.

    Raises:
        UserError: the file is missing, is not UTF-8, or has no text.
    """
    if settings.file is None:
        return texts.descriptions(training_entities)
    parts = []
    try:
        with settings.file.open(encoding="utf-8") as lines:
            while block := list(islice(lines, _LINES_AT_ONCE)):
                parts.append(tokenizer.tokens([line for line in block if line.strip()]))
    except OSError as error:
        raise UserError(
            f"{settings.file}: expected a text file for masked language modelling, found {error.strerror}"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{settings.file}: expected UTF-8, found {error.reason} at byte {error.start}") from None
    tokens = concatenated(parts) if parts else Tokens.of([])
    if len(tokens) == 0:
        raise UserError(f"{settings.file}: expected a text a line, found no text")
    return single_inputs(tokens, np.arange(len(tokens)), tokenizer.special, max_tokens)


def mask(
    inputs: Tokens, special: SpecialTokens, num_ids: int, generator: np.random.Generator
) -> tuple[Tokens, np.ndarray]:
    """Ask for 15 % of the tokens: 80 % of them masked, 10 % replaced by a random one, 10 % left (Devlin et al. 2019).

    Args:
        inputs: with their special tokens, which are never asked for.
        special: their ids.
        num_ids: ids of the vocabulary, from which replacements are drawn.
        generator: decides.

    Returns:
        the inputs with masks, and int32 by place: the token that stood there, -1 where none is asked for.
    """
    ordinary = ~np.isin(inputs.ids, special)
    asked = (generator.random(len(inputs.ids)) < ASKED) & ordinary
    fate = generator.random(len(inputs.ids))
    ids = inputs.ids.copy()
    ids[asked & (fate < MASKED)] = special.mask
    replaced = asked & (fate >= MASKED) & (fate < MASKED + REPLACED)
    ids[replaced] = generator.integers(num_ids, size=int(replaced.sum()))
    return Tokens(ids, inputs.offsets), np.where(asked, inputs.ids, -1).astype(np.int32)

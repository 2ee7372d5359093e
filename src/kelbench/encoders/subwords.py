"""Sub-word tokenizers: WordPiece trained on the training texts, and those that come with a checkpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from kelbench.base.errors import UserError
from kelbench.encoders.tokens import SpecialTokens, Tokens, concatenated

_TEXTS_AT_ONCE = 4096
_LETTERS = 1000


class SubwordTokenizer:
    """A tokenizer of transformers, as this package uses it: texts to ids without special tokens.

    Attributes:
        tokenizer: the `PreTrainedTokenizerFast`.
        special: the ids that frame an input.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Wrap a fast tokenizer.

        Raises:
            UserError: it lacks one of the tokens that frame, pad or mask an input.
        """
        self.tokenizer = tokenizer
        start = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        ids = (start, separator, tokenizer.pad_token_id, tokenizer.mask_token_id)
        if None in ids:
            raise UserError(
                f"{tokenizer.name_or_path}: expected a tokenizer with start, separator, padding and mask tokens, found "
                f"{ids}; choose a model that was trained by masked language modelling"
            )
        self.special: SpecialTokens = SpecialTokens(*ids)

    @classmethod
    def trained(cls, texts: list[str], vocabulary: int) -> SubwordTokenizer:
        """WordPiece of at most `vocabulary` pieces, lower-case, from the training texts; equal texts, equal pieces."""
        from tokenizers import Tokenizer
        from tokenizers.models import WordPiece
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer
        from tokenizers.processors import TemplateProcessing
        from tokenizers.trainers import WordPieceTrainer
        from transformers import PreTrainedTokenizerFast

        names = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}

        def untrained(vocabulary: dict[str, int]) -> Any:
            tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
            tokenizer.normalizer = BertNormalizer(lowercase=True)
            tokenizer.pre_tokenizer = BertPreTokenizer()
            return tokenizer

        trained = untrained({})
        alphabet, continuing = _letters(trained, texts)
        # The trainer numbers letters within words in an order that differs from call to call, and breaks ties by these
        # numbers; as special tokens they have theirs beforehand. A tokenizer made anew knows them as pieces.
        trainer = WordPieceTrainer(
            vocab_size=vocabulary,
            special_tokens=[*sorted(names.values()), *(f"##{letter}" for letter in continuing)],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        trained.train_from_iterator(texts, trainer)
        tokenizer = untrained(trained.get_vocab())
        # For those who load the checkpoint with the transformers library: the inputs that this package makes itself.
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0",
            pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0",
            special_tokens=[(names[role], tokenizer.token_to_id(names[role])) for role in ("cls", "sep")],
        )
        return cls(
            PreTrainedTokenizerFast(
                tokenizer_object=tokenizer, **{f"{role}_token": token for role, token in names.items()}
            )
        )

    @classmethod
    def load(cls, folder: Path | str, **options: Any) -> SubwordTokenizer:
        """That of a checkpoint; `options` are those of `AutoTokenizer.from_pretrained`."""
        from transformers import AutoTokenizer

        return cls(AutoTokenizer.from_pretrained(folder, use_fast=True, **options))

    def __len__(self) -> int:
        """Ids, special ones included."""
        return len(self.tokenizer)

    def tokens(self, texts: list[str]) -> Tokens:
        """Ids of the pieces of each text, without special tokens, uncut."""
        # Lists of numbers take many times the memory of an array: never those of all texts at once.
        parts = [Tokens.of([])]
        for begin in range(0, len(texts), _TEXTS_AT_ONCE):
            part = texts[begin : begin + _TEXTS_AT_ONCE]
            parts.append(Tokens.of(self.tokenizer(part, add_special_tokens=False, verbose=False)["input_ids"]))
        return concatenated(parts)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's own files."""
        self.tokenizer.save_pretrained(folder)


def _letters(tokenizer: Any, texts: list[str]) -> tuple[list[str], list[str]]:
    """The most frequent letters of texts as a tokenizer splits them, and those of them that continue a word; sorted."""
    counts: Counter[str] = Counter()
    continuing: set[str] = set()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            counts.update(word)
            continuing.update(word[1:])
    kept = sorted(counts, key=lambda letter: (-counts[letter], letter))[:_LETTERS]
    return sorted(kept), sorted(continuing.intersection(kept))

"""The tokenizer that is trained here."""

import random

import pytest

from kelbench.base.errors import UserError
from kelbench.encoders import subwords
from kelbench.encoders.subwords import SubwordTokenizer


@pytest.fixture(scope="module")
def texts():
    """Words of few letters, in which most pairs of pieces are as frequent as some other."""
    rng = random.Random(3)
    return [" ".join("".join(rng.choices("abcde", k=rng.randint(1, 6))) for _ in range(9)) for _ in range(60)]


def pieces(tokenizer, text):
    return tokenizer.tokenizer.convert_ids_to_tokens(tokenizer.tokens([text]).ids.tolist())


def test_equal_texts_make_equal_pieces_whatever_their_order(texts):
    vocabularies = [SubwordTokenizer.trained(given, 120).tokenizer.get_vocab() for given in (texts, texts, texts[::-1])]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]
    assert len(vocabularies[0]) == 120
    assert sorted(vocabularies[0].values()) == list(range(120))


def test_frequent_words_are_one_piece_and_others_several():
    tokenizer = SubwordTokenizer.trained(["house"] * 9 + ["sea", "hose"], 30)
    assert pieces(tokenizer, "House") == ["house"]
    assert len(pieces(tokenizer, "hosea")) > 1
    assert "".join(pieces(tokenizer, "hosea")).replace("##", "") == "hosea"
    assert pieces(tokenizer, "xyz") == ["[UNK]"]


def test_a_piece_within_a_word_is_no_special_token():
    tokenizer = SubwordTokenizer.trained(["a#b # #"], 30)
    assert pieces(tokenizer, "##b") == ["#", "#", "b"]
    assert len(tokenizer.tokenizer.all_special_tokens) == 5
    assert set(tokenizer.special) <= set(tokenizer.tokenizer.all_special_ids)


def test_rare_letters_are_left_out_of_a_large_alphabet(monkeypatch):
    monkeypatch.setattr(subwords, "_LETTERS", 2)
    tokenizer = SubwordTokenizer.trained(["ab ab ac"], 30)
    assert pieces(tokenizer, "ab") == ["ab"]
    assert pieces(tokenizer, "c") == ["[UNK]"]


def test_a_tokenizer_is_read_back_as_it_was_written(texts, tmp_path):
    tokenizer = SubwordTokenizer.trained(texts, 80)
    tokenizer.save(tmp_path)
    read = SubwordTokenizer.load(tmp_path)
    assert read.special == tokenizer.special
    assert len(read) == len(tokenizer)
    assert read.tokens(texts).ids.tolist() == tokenizer.tokens(texts).ids.tolist()


def test_a_tokenizer_without_a_mask_is_refused(texts):
    tokenizer = SubwordTokenizer.trained(texts, 80).tokenizer
    tokenizer.mask_token = None
    with pytest.raises(UserError, match="expected a tokenizer with start, separator, padding and mask tokens"):
        SubwordTokenizer(tokenizer)

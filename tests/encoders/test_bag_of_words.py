"""Word vectors summed: weights, unknown words, files."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from kelbench.data.name_match import words
from kelbench.encoders.bag_of_words import BagOfWords
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.words import WordTokenizer

TRAINING = ["The red house", "a red, red car; the sea", "", "the sea and a house"]


@pytest.fixture
def encoder():
    return BagOfWords(WordTokenizer.trained(TRAINING), 5, torch.Generator().manual_seed(3))


def test_the_weights_are_the_inverse_document_frequencies_of_scikit_learn():
    tokenizer = WordTokenizer.trained(TRAINING)
    vectorizer = TfidfVectorizer(tokenizer=words, token_pattern=None, lowercase=False).fit(TRAINING)
    assert sorted(tokenizer.vocabulary) == sorted(vectorizer.vocabulary_)
    for word, weight in zip(tokenizer.vocabulary, tokenizer.weights, strict=True):
        assert weight == pytest.approx(vectorizer.idf_[vectorizer.vocabulary_[word]], rel=1e-6)


def test_the_vocabulary_begins_with_the_most_frequent_words():
    assert WordTokenizer.trained(["b a", "b c", "b a", "d"]).vocabulary == ["b", "a", "c", "d"]


def test_a_text_is_the_weighted_sum_of_its_known_words(encoder):
    tokenizer = encoder.tokenizer
    texts = ["the red RED planet", "unknown words alone", "sea", ""]
    found = encoder(tokenizer.tokens(texts)).detach()
    weight = dict(zip(tokenizer.vocabulary, tokenizer.weights.tolist(), strict=True))
    vector = dict(zip(tokenizer.vocabulary, encoder.words.detach(), strict=True))
    norm = (weight["the"] ** 2 + 2 * weight["red"] ** 2) ** 0.5
    expected = (weight["the"] * vector["the"] + 2 * weight["red"] * vector["red"]) / norm
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(found[2], vector["sea"])
    assert found[1].tolist() == found[3].tolist() == [0.0] * 5


def test_texts_without_any_known_word_have_the_vector_0_and_a_gradient_of_0(encoder):
    vectors = encoder(encoder.tokenizer.tokens(["xyz", ""]))
    vectors.sum().backward()
    assert vectors.shape == (2, 5)
    assert not vectors.any()
    assert not encoder.words.grad.any()


def test_a_bag_of_words_is_read_back_as_it_was_written(encoder, tmp_path):
    encoder.save(tmp_path)
    read = BagOfWords.load(tmp_path)
    assert read.tokenizer.vocabulary == encoder.tokenizer.vocabulary
    tokens = read.tokenizer.tokens(TRAINING)
    assert tokens.ids.tolist() == encoder.tokenizer.tokens(TRAINING).ids.tolist()
    assert torch.equal(read(tokens), encoder(tokens))
    assert read(tokens).any()


def test_the_order_of_words_does_not_count(encoder):
    ids = np.array([0, 1, 2, 2, 1, 0], dtype=np.int32)
    one, other = encoder(Tokens(ids, np.array([0, 3, 6])))
    torch.testing.assert_close(one, other)

"""Encoder inputs, token by token."""

import numpy as np
import pytest

from kelbench.encoders.graph_texts import GraphTexts
from kelbench.encoders.text_encoder import buckets
from kelbench.encoders.tokens import SpecialTokens, Tokens, pair_inputs, single_inputs

SPECIAL = SpecialTokens(start=1, separator=2, padding=0, mask=3)


class Letters:
    """A tokenizer of one token a letter: a is 11, b is 12 and so on."""

    def __init__(self, special):
        self.special = special

    def tokens(self, texts):
        return Tokens.of([[ord(letter) - ord("a") + 11 for letter in text if letter != " "] for text in texts])


def lists(tokens):
    return [tokens.ids[begin:end].tolist() for begin, end in zip(tokens.offsets, tokens.offsets[1:], strict=False)]


def test_a_text_stands_between_special_tokens_and_is_cut():
    texts = Tokens.of([[11, 12, 13], [], [14]])
    assert lists(single_inputs(texts, np.array([2, 0, 1]), SPECIAL, 4)) == [[1, 14, 2], [1, 11, 12, 2], [1, 2]]
    assert lists(single_inputs(texts, np.array([0, 1]), None, 2)) == [[11, 12], []]


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (20, [1, 11, 12, 13, 14, 2, 21, 22, 2]),
        (9, [1, 11, 12, 13, 14, 2, 21, 22, 2]),
        (8, [1, 11, 12, 13, 2, 21, 22, 2]),
        (6, [1, 11, 2, 21, 22, 2]),
        (5, [1, 2, 21, 22, 2]),
        (4, [1, 2, 21, 2]),
    ],
)
def test_the_text_of_the_entity_is_cut_first_so_that_the_relation_survives(max_tokens, expected):
    entity, relation = Tokens.of([[11, 12, 13, 14]]), Tokens.of([[21, 22]])
    zero = np.array([0])
    assert lists(pair_inputs(entity, zero, relation, zero, SPECIAL, max_tokens)) == [expected]


def test_pairs_without_special_tokens_are_one_text_after_the_other():
    entity, relation = Tokens.of([[11, 12], []]), Tokens.of([[21], [22, 23]])
    pairs = pair_inputs(entity, np.array([0, 1, 0]), relation, np.array([1, 0, 0]), None, 3)
    assert lists(pairs) == [[11, 22, 23], [21], [11, 12, 21]]


def test_padding_fills_up_to_the_longest():
    assert Tokens.of([[5, 6], [], [7]]).padded(0).tolist() == [[5, 6], [0, 0], [7, 0]]


def test_codes_say_what_an_input_is_made_of():
    texts = GraphTexts(Letters(SPECIAL), ["ab", "c", "ab"], ["xy", "z"], max_tokens=16, inverse_texts=False)
    assert texts.num_texts == 2
    codes = np.concatenate(
        [
            texts.of_pairs(np.array([2, 1]), np.array([0, 1]), "tail"),
            texts.of_relations(np.array([1])),
            texts.of_entities(np.array([2, 1])),
            texts.of_pairs(np.array([1]), np.array([1]), "head"),
        ]
    )
    x = ord("x") - ord("a") + 11
    assert lists(texts.inputs(codes)) == [
        [1, 11, 12, 2, x, x + 1, 2],
        [1, 13, 2, x + 2, 2],
        [1, x + 2, 2],
        [1, 11, 12, 2],
        [1, 13, 2],
        [1, 13, 2, x + 2, 2],
    ]
    assert texts.of_entities(np.array([0])) == texts.of_entities(np.array([2]))


def test_a_head_may_be_asked_for_by_the_inverse_relation():
    texts = GraphTexts(Letters(None), ["a"], ["z"], max_tokens=30, inverse_texts=True)
    entity, relation = np.array([0]), np.array([0])
    tail, head = (lists(texts.inputs(texts.of_pairs(entity, relation, side)))[0] for side in ("tail", "head"))
    assert tail == [11, 36]
    assert head == [11, *(ord(letter) - ord("a") + 11 for letter in "inverseofz")]


def test_buckets_hold_every_place_once_within_the_limit():
    lengths = np.sort(np.random.default_rng(0).integers(0, 40, size=500))
    parts = list(buckets(lengths, tokens_at_once=100))
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(500))
    assert all(len(part) * lengths[part].max() <= 100 or len(part) == 1 for part in parts)
    # No bucket could have taken in the next text as well.
    for part in parts[:-1]:
        assert (len(part) + 1) * lengths[part[-1] + 1] > 100


def test_texts_that_differ_behind_the_cut_are_one_input():
    texts = GraphTexts(Letters(SPECIAL), ["abcx", "d", "abcy", "abz"], ["r"], max_tokens=5, inverse_texts=False)
    assert texts.num_texts == 3
    codes = texts.of_entities(np.arange(4))
    assert codes[0] == codes[2] != codes[3]
    assert lists(texts.inputs(codes[[3, 2, 1]])) == [[1, 11, 12, 36, 2], [1, 11, 12, 13, 2], [1, 14, 2]]

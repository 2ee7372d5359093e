"""Names in texts, found as words."""

import numpy as np

from kelbench.data.name_match import name_matches, pairs_with_match, words

NAMES = ["Paris", "São Tomé", "Seine", "", "comparison"]
TEXTS = ["on the river SEINE", "an island far from Paris's bustle", "flows", "Paris and comparison", "of paris"]


def test_words_are_lower_case_without_accents():
    assert words("São Tomé, d'Ivoire") == ["sao", "tome", "d", "ivoire"]


def test_a_name_is_found_as_whole_words_in_either_direction():
    pairs = np.array([[0, 2], [2, 0], [0, 1], [1, 2], [0, 4], [3, 3], [3, 4]])
    assert pairs_with_match(NAMES, TEXTS, pairs).tolist() == [True, True, True, False, True, False, True]


def test_the_matrix_has_every_match_and_agrees_with_the_pairs():
    matrix = name_matches(NAMES, TEXTS).toarray()
    pairs = np.argwhere(~np.eye(5, dtype=bool))
    expected = np.zeros((5, 5))
    expected[tuple(pairs.T)] = pairs_with_match(NAMES, TEXTS, pairs)
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.sum() > 0

"""Tiles hold what rows hold, in an order that keeps the parts of a complex number in one step."""

import numpy as np
import pytest

from kelbench.kernels.counting import LANES, STEP, pack_tiles, packed_columns, packed_queries
from kelbench.kernels.pairs import L1, MODULUS


@pytest.mark.parametrize("width", [2, 8, 14, 200])
def test_every_number_stands_once_in_a_tile(width):
    for kind in (L1, MODULUS):
        columns = packed_columns(kind, width)
        assert len(columns) % STEP == 0
        assert sorted(columns[columns >= 0].tolist()) == list(range(width))


def test_real_and_imaginary_parts_share_a_step():
    assert packed_columns(MODULUS, 10).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 4, -1, -1, -1, 9, -1, -1, -1]


def test_tiles_are_rows_transposed_and_filled_up():
    rows = np.random.default_rng(0).standard_normal((LANES + 3, 6))
    columns = packed_columns(L1, 6)
    tiles = np.full((2, len(columns), LANES), np.nan, dtype=np.float32)
    pack_tiles(rows, columns, 0, 2, tiles)
    lanes = tiles.transpose(0, 2, 1).reshape(-1, len(columns))
    np.testing.assert_array_equal(lanes[: len(rows)], packed_queries(rows, columns))
    np.testing.assert_array_equal(lanes[len(rows) :], np.repeat(lanes[len(rows) - 1 : len(rows)], LANES - 3, axis=0))

"""Dropout: how much, where, and the same of a gradient."""

import numba
import numpy as np
import pytest
import torch

from kelbench.encoders.dropout import dropout
from kelbench.kernels.dropout import LEVELS, drop


def dropped(values, probability, seed=1):
    torch.manual_seed(seed)
    return dropout(values, probability, training=True)


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5])
def test_each_number_is_dropped_with_the_probability_and_kept_ones_make_up_for_it(probability):
    kept = dropped(torch.ones(1001, 301), probability)
    share = (kept == 0).float()
    n = kept.numel()
    sd = (probability * (1 - probability) / n) ** 0.5
    assert abs(share.mean() - probability) < 5 * sd + 2**-17
    assert kept.unique().tolist() == pytest.approx([0, 1 / (1 - probability)], rel=1e-4)
    # The draws of neighbours, in a row and in a column, are hashes of neighbouring numbers.
    for step in (1, 2, 3, 4, 301):
        both = (share.flatten()[step:] * share.flatten()[:-step]).mean()
        assert abs(both - probability**2) < 0.006
    for axis in (0, 1):
        assert share.mean(axis).std() == pytest.approx(
            (probability * (1 - probability) / kept.shape[axis]) ** 0.5, rel=0.2
        )


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 33, 62])
def test_keys_that_differ_in_a_bit_drop_independently(bit):
    values, shares = np.ones(300_000, np.float32), []
    for key in (2**61 + 12345, (2**61 + 12345) ^ (1 << bit)):
        kept = np.empty_like(values)
        drop(values, np.uint64(key), np.uint64(0.3 * LEVELS), np.float32(1), kept)
        shares.append(kept == 0)
    sd = (0.09 * 0.91 / len(values)) ** 0.5
    assert abs((shares[0] & shares[1]).mean() - 0.09) < 5 * sd
    # Nor is one the other, moved: their neighbours are independent too.
    for step in (1, 2, 16):
        assert abs((shares[0][step:] & shares[1][:-step]).mean() - 0.09) < 5 * sd


def test_the_gradient_passes_where_the_value_did():
    values = torch.randn(7, 33, requires_grad=True)
    kept = dropped(values.T, 0.4)
    upstream = torch.randn(33, 7)
    kept.backward(upstream)
    factor = torch.where(kept == 0, 0.0, 1 / 0.6)
    torch.testing.assert_close(kept, values.T * factor, rtol=1e-4, atol=0)
    torch.testing.assert_close(values.grad, (upstream * factor).T, rtol=1e-4, atol=0)


def test_one_seed_drops_the_same_however_many_threads_and_another_seed_other_numbers():
    values = torch.randn(999, 17)
    one = dropped(values, 0.5)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert torch.equal(dropped(values, 0.5), one)
    finally:
        numba.set_num_threads(before)
    assert not torch.equal(dropped(values, 0.5, seed=2), one)
    torch.manual_seed(1)
    first, second = (dropout(values, 0.5, training=True) for _ in range(2))
    assert torch.equal(first, one) and not torch.equal(second, one)


def test_nothing_and_everything():
    values = torch.randn(5, 3)
    assert dropout(values, 0.9, training=False) is values
    assert dropout(values, 0.0, training=True) is values
    assert torch.equal(dropped(values, 1.0), torch.zeros(5, 3))
    assert dropped(values[:0], 0.5).shape == (0, 3)


def test_bfloat16_drops_the_places_of_float32_and_rounds_what_is_kept():
    values = torch.randn(301, 7).bfloat16().requires_grad_()
    kept, wider = dropped(values, 0.3), dropped(values.detach().float(), 0.3)
    assert kept.dtype == torch.bfloat16
    assert torch.equal(kept, wider.bfloat16())
    upstream = torch.randn(301, 7).bfloat16()
    kept.backward(upstream)
    assert torch.equal(values.grad, (upstream.float() * (wider != 0) / 0.7).bfloat16())


def test_other_dtypes_are_torchs():
    kept = dropped(torch.ones(100, 100, dtype=torch.float64), 0.5)
    assert kept.dtype == torch.float64
    assert kept.unique().tolist() == [0, 2]

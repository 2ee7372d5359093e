"""Sparse products against dense ones, and entries taken out."""

import numba
import numpy as np
import pytest
import torch

from kelbench.encoders.graph.products import SparseMatrix


def entries_with_gaps(rng, count=120, shape=(11, 17)):
    """Random entries, many of them in one place; some rows and columns have none."""
    rows = rng.choice([0, 1, 3, 4, 7, 10], count)
    columns = rng.choice([1, 2, 5, 6, 13], count)
    return rows, columns, rng.normal(size=count), shape


def written_out(rows, columns, values, shape):
    dense = torch.zeros(shape, dtype=torch.float64)
    for row, column, value in zip(rows, columns, values, strict=True):
        dense[row, column] += float(np.float32(value))
    return dense


@pytest.fixture
def entries():
    return entries_with_gaps(np.random.default_rng(0))


def test_product_and_gradient_equal_those_of_the_matrix_written_out(entries):
    matrix, dense = SparseMatrix.of(*entries), written_out(*entries)
    torch.testing.assert_close(matrix.dense().double(), dense, atol=1e-6, rtol=1e-6)
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(17, 5, generator=generator, requires_grad=True)
    upstream = torch.randn(11, 5, generator=generator)
    product = matrix.product(vectors)
    product.backward(upstream)
    torch.testing.assert_close(product.detach().double(), dense @ vectors.detach().double(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(vectors.grad.double(), dense.T @ upstream.double(), atol=1e-5, rtol=1e-5)
    assert not product[2].any() and not vectors.grad[0].any()


def test_the_number_of_threads_changes_no_bit():
    rng = np.random.default_rng(3)
    matrix = SparseMatrix.of(rng.integers(300, size=9000), rng.zipf(1.5, 9000) % 50, rng.normal(size=9000), (300, 50))
    vectors = torch.randn(50, 33, generator=torch.Generator().manual_seed(1))
    before = numba.get_num_threads()
    try:
        products = []
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            products.append(matrix.product(vectors))
    finally:
        numba.set_num_threads(before)
    assert all(torch.equal(product, products[0]) for product in products)


def test_views_that_are_not_contiguous_are_multiplied_like_others(entries):
    matrix, dense = SparseMatrix.of(*entries), written_out(*entries)
    vectors = torch.randn(5, 17, generator=torch.Generator().manual_seed(1)).T
    torch.testing.assert_close(matrix.product(vectors).double(), dense @ vectors.double(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 3)])
def test_a_matrix_without_entries_gives_zeros(shape):
    nothing = np.zeros(0, dtype=np.int64)
    vectors = torch.ones(shape[1], 4, requires_grad=True)
    product = SparseMatrix.of(nothing, nothing, np.zeros(0), shape).product(vectors)
    product.sum().backward()
    assert product.shape == (shape[0], 4)
    assert not product.any() and not vectors.grad.any()


def test_entries_taken_out_are_as_if_never_given_to_the_last_bit(entries):
    rows, columns, values, shape = entries
    gone = np.random.default_rng(2).choice(len(rows), 70, replace=False)
    kept = np.setdiff1d(np.arange(len(rows)), gone)
    once = SparseMatrix.of(*entries).without(gone)
    in_turns = SparseMatrix.of(*entries).without(gone[:30]).without(gone[20:])
    expected = SparseMatrix.of(rows[kept], columns[kept], values[kept], shape)
    for found in (once, in_turns):
        assert torch.equal(found.dense(), expected.dense())
        gradients = []
        for matrix in (found, expected):
            vectors = torch.ones(17, 2, requires_grad=True)
            matrix.product(vectors).sum().backward()
            gradients.append(vectors.grad)
        assert torch.equal(*gradients)
        torch.testing.assert_close(gradients[0][:, 0], expected.dense().T @ torch.ones(11))


def test_a_stored_entry_of_which_nothing_is_left_is_exactly_0():
    values = np.array([0.1, 0.2, 0.3, 1e8])
    matrix = SparseMatrix.of(np.zeros(4, dtype=int), np.zeros(4, dtype=int), values, (1, 1))
    assert matrix.without(np.arange(4)).dense().item() == 0.0
    assert matrix.without(np.arange(1, 4)).dense().item() == np.float32(0.1)
    assert matrix.dense().item() == np.float32(1e8 + 0.6)


def test_a_dense_matrix_of_another_height_is_refused(entries):
    with pytest.raises(ValueError, match="expected 17 rows"):
        SparseMatrix.of(*entries).product(torch.ones(16, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_does(entries):
    matrix = SparseMatrix.of(*entries).without(np.arange(20))
    vectors = torch.randn(17, 5, generator=torch.Generator().manual_seed(1))
    there = vectors.cuda().requires_grad_()
    product = matrix.to("cuda").product(there)
    product.square().sum().backward()
    here = vectors.requires_grad_()
    expected = matrix.product(here)
    expected.square().sum().backward()
    torch.testing.assert_close(product.cpu(), expected)
    torch.testing.assert_close(there.grad.cpu(), here.grad)

"""Compiled loops over the entries of sparse matrices: products with dense ones, and sums of duplicates."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

# Rows are handed to threads in so many blocks of about equal work: graphs have rows of one entry and rows of thousands.
_BLOCKS = 64


@njit(parallel=True, cache=True, fastmath={"contract"})  # type: ignore[untyped-decorator]
def _multiply(
    offsets: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    dense: np.ndarray,
    bounds: np.ndarray,
    product: np.ndarray,
) -> None:
    for block in prange(len(bounds) - 1):
        for row in range(bounds[block], bounds[block + 1]):
            for i in range(dense.shape[1]):
                product[row, i] = 0
            for entry in range(offsets[row], offsets[row + 1]):
                value, column = values[entry], columns[entry]
                for i in range(dense.shape[1]):
                    product[row, i] += value * dense[column, i]


def multiply_csr(offsets: np.ndarray, columns: np.ndarray, values: np.ndarray, dense: np.ndarray) -> np.ndarray:
    """Product float32 `(rows, width)` of a matrix in compressed sparse rows with a dense one.

    A row is summed by one thread in the order of its entries, so that the number of threads changes no bit.

    Args:
        offsets: int32 or int64 `(rows + 1,)`: row i is `columns[offsets[i]:offsets[i + 1]]`.
        columns: int32 `(entries,)`.
        values: float32 `(entries,)`.
        dense: float32 `(columns, width)`, C-contiguous.
    """
    rows = len(offsets) - 1
    product = np.empty((rows, dense.shape[1]), dtype=np.float32)
    # A row costs its entries and the writing of itself.
    work = offsets + np.arange(rows + 1, dtype=np.int64)
    bounds = np.searchsorted(work, np.linspace(0, work[-1], _BLOCKS + 1).astype(np.int64))
    bounds[-1] = rows
    _multiply(offsets, columns, values, dense, bounds, product)
    return product


@njit(cache=True)  # type: ignore[untyped-decorator]
def sums_of_groups(values: np.ndarray, order: np.ndarray, offsets: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums float32 `(g,)` of groups of values, each in the order of its members and in float64.

    Args:
        values: float32 `(n,)`.
        order: int64 `(n,)`, places in `values`.
        offsets: int64: the members of group k are at `order[offsets[k]:offsets[k + 1]]`.
        groups: int64 `(g,)`, the groups to sum.
    """
    sums = np.empty(len(groups), dtype=np.float32)
    for i in range(len(groups)):
        total = 0.0
        for member in range(offsets[groups[i]], offsets[groups[i] + 1]):
            total += values[order[member]]
        sums[i] = total
    return sums

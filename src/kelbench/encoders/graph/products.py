"""Sparse matrices that are multiplied, differentiably, with dense ones, and from which entries can be taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kelbench.kernels.sparse_product import multiply_csr, sums_of_groups


@dataclass(frozen=True)
class _Rows:
    """A matrix in compressed sparse rows: `offsets` int32 `(rows + 1,)`, `columns` int32, `values` float32."""

    offsets: Tensor
    columns: Tensor
    values: Tensor
    shape: tuple[int, int]

    def multiply(self, dense: Tensor) -> Tensor:
        """Product `(rows, width)` with a float32 `(columns, width)`."""
        dense = dense.contiguous()
        if dense.device.type == "cpu":
            rows = self.offsets.numpy(), self.columns.numpy(), self.values.numpy()
            return torch.from_numpy(multiply_csr(*rows, dense.numpy()))
        matrix = torch.sparse_csr_tensor(self.offsets, self.columns, self.values, self.shape, check_invariants=False)
        with torch.autocast(dense.device.type, enabled=False):
            return matrix @ dense

    def to(self, device: torch.device) -> _Rows:
        return replace(
            self,
            offsets=self.offsets.to(device),
            columns=self.columns.to(device),
            values=self.values.to(device),
        )


class _Product(torch.autograd.Function):
    """A matrix times a dense one; the gradient is the transposed matrix times the upstream one."""

    @staticmethod
    def forward(context: Any, dense: Tensor, matrix: _Rows, transposed: _Rows) -> Tensor:  # type: ignore[override]
        context.transposed = transposed
        return matrix.multiply(dense.detach())

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return context.transposed.multiply(upstream.detach()), None, None


@dataclass(frozen=True)
class _Summands:
    """Which of the entries that were given make up each stored one.

    Attributes:
        stored: int64 `(entries,)`: number of the stored entry that each given one is part of.
        order: the given entries, grouped by stored entry, ascending.
        offsets: stored entry k is the sum over `order[offsets[k]:offsets[k + 1]]`.
        in_transposed: int64 `(stored entries,)`: number of each stored entry in the transposed matrix.
    """

    stored: np.ndarray
    order: np.ndarray
    offsets: np.ndarray
    in_transposed: np.ndarray

    def sums(self, values: np.ndarray, stored: np.ndarray) -> np.ndarray:
        """Float32 sums of the `values` that make up each of the given stored entries."""
        return sums_of_groups(values, self.order, self.offsets, stored)  # type: ignore[no-any-return]


class SparseMatrix:
    """A constant sparse matrix in compressed rows, with its transpose.

    Entries given for the same row and column are summed into one stored entry.

    Attributes:
        shape: rows and columns.
    """

    def __init__(self, values: np.ndarray, summands: _Summands, rows: _Rows, transposed: _Rows) -> None:
        self._values, self._summands = values, summands
        self._rows, self._transposed = rows, transposed
        self.shape = rows.shape

    @classmethod
    def of(
        cls, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int], device: str = "cpu"
    ) -> SparseMatrix:
        """The matrix with the given entries, in any order.

        Args:
            rows: integers `(entries,)`, below `shape[0]`.
            columns: integers `(entries,)`, below `shape[1]`.
            values: floats `(entries,)`.
            shape: rows and columns.
            device: where products are computed.
        """
        key, stored = np.unique(rows.astype(np.int64) * shape[1] + columns, return_inverse=True)
        row, column = np.divmod(key, max(shape[1], 1))
        by_column = np.lexsort((row, column))
        in_transposed = np.empty_like(by_column)
        in_transposed[by_column] = np.arange(len(key))
        summands = _Summands(stored, np.argsort(stored, kind="stable"), _offsets(stored, len(key)), in_transposed)
        values = values.astype(np.float32)
        sums = summands.sums(values, np.arange(len(key)))
        return cls(
            values,
            summands,
            _compressed(row, column, sums, shape),
            _compressed(column[by_column], row[by_column], sums[by_column], shape[::-1]),
        ).to(device)

    def product(self, dense: Tensor) -> Tensor:
        """Product float32 `(rows, width)` with a dense `(columns, width)`, differentiable in it.

        Raises:
            ValueError: the dense matrix has another number of rows than this one has columns.
        """
        if dense.shape[0] != self.shape[1]:
            raise ValueError(f"expected {self.shape[1]} rows to multiply with, found {dense.shape[0]}")
        product: Tensor = _Product.apply(dense.float(), self._rows, self._transposed)  # type: ignore[no-untyped-call]
        return product

    def without(self, entries: np.ndarray) -> SparseMatrix:
        """A copy in which the given entries, by their numbers as they were given to `of`, are 0.

        What is left of a stored entry is summed anew: subtracting would leave rounding errors where nothing is left.
        The structure is shared.
        """
        values = self._values.copy()
        values[entries] = 0
        stored = np.unique(self._summands.stored[entries])
        sums = torch.from_numpy(self._summands.sums(values, stored)).to(self._rows.values.device)
        places = torch.from_numpy(stored), torch.from_numpy(self._summands.in_transposed[stored])
        rows = replace(self._rows, values=_with(self._rows.values, places[0], sums))
        transposed = replace(self._transposed, values=_with(self._transposed.values, places[1], sums))
        return SparseMatrix(values, self._summands, rows, transposed)

    def to(self, device: str) -> SparseMatrix:
        """The same matrix, multiplied on a device."""
        place = torch.device(device)
        return SparseMatrix(self._values, self._summands, self._rows.to(place), self._transposed.to(place))

    def dense(self) -> Tensor:
        """The matrix float32 `(rows, columns)` written out."""
        return self._rows.multiply(torch.eye(self.shape[1], device=self._rows.values.device))


def _offsets(groups: np.ndarray, count: int) -> np.ndarray:
    return np.append(0, np.cumsum(np.bincount(groups, minlength=count)))


def _compressed(row: np.ndarray, column: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> _Rows:
    offsets = torch.from_numpy(_offsets(row, shape[0]).astype(np.int32))
    return _Rows(offsets, torch.from_numpy(column.astype(np.int32)), torch.from_numpy(values), shape)


def _with(values: Tensor, places: Tensor, replaced: Tensor) -> Tensor:
    changed = values.clone()
    changed[places.to(values.device)] = replaced
    return changed

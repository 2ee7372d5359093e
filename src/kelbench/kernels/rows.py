"""Compiled loops over the rows of a table that a batch uses: which they are, and their updates."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True)  # type: ignore[untyped-decorator]
def _counting_sort(ids: np.ndarray, num_entities: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    counts = np.zeros(num_entities, dtype=np.int64)
    for i in range(len(ids)):
        counts[ids[i]] += 1
    distinct = 0
    for entity in range(num_entities):
        distinct += counts[entity] > 0
    used = np.empty(distinct, dtype=np.int64)
    offsets = np.zeros(distinct + 1, dtype=np.int64)
    position = 0
    for entity in range(num_entities):
        if counts[entity]:
            used[position] = entity
            offsets[position + 1] = offsets[position] + counts[entity]
            counts[entity] = position
            position += 1
    free = offsets.copy()
    local = np.empty(len(ids), dtype=np.int64)
    order = np.empty(len(ids), dtype=np.int64)
    for i in range(len(ids)):
        row = counts[ids[i]]
        local[i] = row
        order[free[row]] = i
        free[row] += 1
    return used, local, offsets, order


def group_by_entity(ids: np.ndarray, num_entities: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Group the places where each entity occurs.

    Args:
        ids: int64 `(n,)`, each in `0 .. num_entities - 1`.
        num_entities: rows of the table.

    Returns:
        `used` `(u,)`: the distinct ids, ascending; `local` `(n,)`: position of each id in `used`; `offsets` `(u + 1,)`
        and `order` `(n,)`: `used[k]` occurs at `order[offsets[k]:offsets[k + 1]]`, ascending. All int64.
    """
    if num_entities <= 8 * len(ids):
        return _counting_sort(ids, num_entities)  # type: ignore[no-any-return]
    used, local = np.unique(ids, return_inverse=True)
    order = np.argsort(local, kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(local, minlength=len(used))))
    return used, local, offsets, order


@njit(parallel=True, cache=True, fastmath={"contract"})  # type: ignore[untyped-decorator]
def adagrad_rows(
    table: np.ndarray,
    sums: np.ndarray,
    rows: np.ndarray,
    gradient: np.ndarray,
    learning_rate: float,
    epsilon: float,
) -> None:
    """Adagrad (Duchi et al. 2011) in place on `table[rows]` and its sums of squares; `rows` names none twice."""
    rate, small = gradient.dtype.type(learning_rate), gradient.dtype.type(epsilon)
    for k in prange(len(rows)):
        row = rows[k]
        for i in range(table.shape[1]):
            total = sums[row, i] + gradient[k, i] * gradient[k, i]
            sums[row, i] = total
            table[row, i] -= rate * gradient[k, i] / (np.sqrt(total) + small)


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc", "nsz"})  # type: ignore[untyped-decorator]
def row_adagrad_rows(
    table: np.ndarray,
    sums: np.ndarray,
    rows: np.ndarray,
    gradient: np.ndarray,
    learning_rate: float,
    epsilon: float,
) -> None:
    """Adagrad with one sum a row, of mean squares (Lerer et al. 2019, Section 3.1), in place on `table[rows]`."""
    rate, small = gradient.dtype.type(learning_rate), gradient.dtype.type(epsilon)
    width = table.shape[1]
    for k in prange(len(rows)):
        row = rows[k]
        squares = gradient.dtype.type(0)
        for i in range(width):
            squares += gradient[k, i] * gradient[k, i]
        sums[row] += squares / gradient.dtype.type(width)
        scale = rate / (np.sqrt(sums[row]) + small)
        for i in range(width):
            table[row, i] -= scale * gradient[k, i]


@njit(parallel=True, cache=True, fastmath={"contract"})  # type: ignore[untyped-decorator]
def adam_rows(
    table: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    rows: np.ndarray,
    gradient: np.ndarray,
    step_size: float,
    correction: float,
    decays: tuple[float, float],
    epsilon: float,
) -> None:
    """Adam (Kingma and Ba 2015, Algorithm 1) in place on `table[rows]` and its moments; `rows` names none twice.

    `step_size` is the learning rate over 1 - beta_1^t, `correction` is 1 - beta_2^t.
    """
    real = gradient.dtype.type
    rate, inverse, small = real(step_size), real(1.0 / correction), real(epsilon)
    beta_1, beta_2 = real(decays[0]), real(decays[1])
    rest_1, rest_2 = real(1.0 - decays[0]), real(1.0 - decays[1])
    for k in prange(len(rows)):
        row = rows[k]
        for i in range(table.shape[1]):
            value = gradient[k, i]
            m = beta_1 * first[row, i] + rest_1 * value
            v = beta_2 * second[row, i] + rest_2 * value * value
            first[row, i], second[row, i] = m, v
            table[row, i] -= rate * m / (np.sqrt(v * inverse) + small)

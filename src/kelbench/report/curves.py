"""Learning curves as small drawings: geometry here, SVG in the template.

Drawn without matplotlib: its SVG styles every element by a `style` attribute, which the page's content security policy
forbids, and cannot follow the reader's light or dark mode.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kelbench.base.errors import UserError

WIDTH, HEIGHT = 260, 130
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 22
MAX_POINTS = 150


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Plot:
    """One drawing: `points` attributes of polylines, a seed each, and of their mean; ticks; words for non-readers."""

    title: str
    description: str
    seeds: tuple[str, ...]
    mean: str | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Panel:
    """The curves of one run on one dataset."""

    run: str
    plots: tuple[Plot, ...]


Series = list[tuple[float, float]]


@dataclass(frozen=True)
class Frame:
    """From data to places in a drawing: x from 0 to `last`, y from `low` to `high`."""

    last: float
    low: float
    high: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Across and down, with one decimal."""
        across = LEFT + (WIDTH - LEFT - RIGHT) * (x / self.last if self.last else 0.0)
        up = (y - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return round(across, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * up, 1)

    def points(self, series: Series) -> str:
        """The `points` attribute of a line through a series."""
        return " ".join("{:g},{:g}".format(*self.place(x, y)) for x, y in series)

    def x_ticks(self) -> tuple[Tick, ...]:
        """Round numbers below the drawing."""
        return tuple(Tick(self.place(x, self.low)[0], f"{x:g}") for x in nice_ticks(0.0, self.last) if x <= self.last)

    def y_ticks(self, values: list[float]) -> tuple[Tick, ...]:
        """These numbers beside it."""
        return tuple(Tick(self.place(0.0, y)[1], f"{y:.4g}") for y in values)


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Records of a curve.jsonl or timing.jsonl.

    Raises:
        UserError: it is missing or a line is not JSON.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: expected a file here, found none; run kelbench train for its run") from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except ValueError:
            raise UserError(f"{path}:{number}: expected JSON, found something else; train the run again") from None
    return records


def series_of(curve: list[dict[str, Any]], name: str) -> Series:
    """(epoch, value) where the value is a finite number."""
    return [
        (float(record["epoch"]), float(record[name]))
        for record in curve
        if isinstance(record.get(name), (int, float)) and math.isfinite(record[name])
    ]


def panels(curves: dict[str, list[list[dict[str, Any]]]]) -> list[Panel]:
    """A panel for each run of a dataset that has a curve.

    Args:
        curves: run -> the records of each seed.

    Returns:
        panels in the order of runs; the validation MRR has one scale in all of them, the loss one a run.
    """
    validation = {run: [series_of(curve, "validation_mrr") for curve in seeds] for run, seeds in curves.items()}
    top = max((value for seeds in validation.values() for seed in seeds for _, value in seed), default=1.0)
    drawn = []
    for run, seeds in curves.items():
        losses = [series_of(curve, "loss") for curve in seeds]
        plots = []
        if any(validation[run]):
            plots.append(_plot("Validation MRR by epoch", run, validation[run], 0.0, top))
        if any(losses):
            values = [value for seed in losses for _, value in seed]
            plots.append(_plot("Loss by epoch", run, losses, min(0.0, *values), max(values)))
        if plots:
            drawn.append(Panel(run, tuple(plots)))
    return drawn


def _plot(title: str, run: str, seeds: list[Series], low: float, high: float) -> Plot:
    last = max(x for seed in seeds for x, _ in seed)
    y_ticks = nice_ticks(low, high)
    frame = Frame(last, min(low, y_ticks[0]), max(high, y_ticks[-1]))
    ends = [seed[-1][1] for seed in seeds if seed]
    description = f"{run}, {len(ends)} seeds, up to epoch {last:g}; last values {min(ends):.3g} to {max(ends):.3g}"
    mean = mean_series(seeds)
    return Plot(
        title=title,
        description=description,
        seeds=tuple(frame.points(thinned(seed)) for seed in seeds if seed),
        mean=frame.points(thinned(mean)) if mean else None,
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(y_ticks),
    )


def mean_series(seeds: list[Series]) -> Series:
    """Mean over seeds at the epochs that every seed has: none stopped earlier there."""
    return [(x, sum(ys) / len(ys)) for x, ys in shared_epochs(seeds)]


def shared_epochs(seeds: list[Series]) -> list[tuple[float, list[float]]]:
    """The epochs that every seed has, with the value of each."""
    by_epoch: dict[float, list[float]] = {}
    for seed in seeds:
        for x, y in seed:
            by_epoch.setdefault(x, []).append(y)
    return [(x, ys) for x, ys in sorted(by_epoch.items()) if len(ys) == len(seeds)]


def thinned(series: Series) -> Series:
    """At most `MAX_POINTS` of the points, evenly, with the first and the last."""
    if len(series) <= MAX_POINTS:
        return series
    step = (len(series) - 1) / (MAX_POINTS - 1)
    return [series[round(index * step)] for index in range(MAX_POINTS)]


def nice_ticks(low: float, high: float, at_most: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, from at or below `low` to at or above `high`."""
    if high <= low:
        return [low, low + 1.0]
    exponent = math.floor(math.log10((high - low) / (at_most - 1)))
    for factor in (1, 2, 5, 10, 20, 50):
        step = factor * 10.0**exponent
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first + 1 <= at_most:
            break
    return [round(index * step, 12) for index in range(first, last + 1)]

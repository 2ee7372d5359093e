"""Drawings of a few named lines with areas, to be compared: geometry here, SVG in the template.

Lines differ in dashes as well as in colour, and a legend names them.
"""

from __future__ import annotations

from dataclasses import dataclass

from kelbench.report.curves import Frame, Series, Tick, nice_ticks, shared_epochs, thinned

# The template has as many kinds of lines.
MOST_LINES = 4


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, and `points` attributes of the line and of its area, if it has one."""

    name: str
    points: str
    area: str | None


@dataclass(frozen=True)
class Chart:
    """One drawing; the description is for those who cannot see it."""

    title: str
    description: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def density_chart(title: str, description: str, densities: dict[str, list[float]], farthest: float) -> Chart:
    """Densities over equal bins of [0, `farthest`], filled down to the axis.

    Args:
        title: above the drawing.
        description: what it shows, in words.
        densities: name -> a density a bin, at most `MOST_LINES` of them.
        farthest: where the last bin ends.
    """
    ticks = nice_ticks(0.0, max(max(values) for values in densities.values()))
    frame = Frame(farthest, 0.0, ticks[-1])
    lines = []
    for name, values in densities.items():
        width = farthest / len(values)
        series = [((index + 0.5) * width, value) for index, value in enumerate(values)]
        ends = [(series[-1][0], 0.0), (series[0][0], 0.0)]
        lines.append(Line(name, frame.points(series), frame.points(series + ends)))
    return Chart(title, description, tuple(lines), frame.x_ticks(), frame.y_ticks(ticks))


def band_chart(title: str, description: str, runs: dict[str, list[Series]]) -> Chart | None:
    """The mean of each run over its seeds, in a band from the least to the greatest; None where there is no point.

    The upright axis begins near the least value, not at 0: what is looked for are the gaps between lines.

    Args:
        title: above the drawing.
        description: what it shows, in words.
        runs: name -> the series of each seed, at most `MOST_LINES` of them. A line ends with the first of its seeds
            that stops.
    """
    shared = {name: points for name, seeds in runs.items() if (points := shared_epochs(seeds))}
    if not shared:
        return None
    last = max(points[-1][0] for points in shared.values())
    drawn = [value for points in shared.values() for _, values in points for value in values]
    low, high = min(drawn), max(drawn)
    ticks = nice_ticks(low if low < high else 0.0, high)
    frame = Frame(last, ticks[0], ticks[-1])
    lines = []
    for name, points in shared.items():
        mean = thinned([(x, sum(values) / len(values)) for x, values in points])
        area = thinned([(x, max(values)) for x, values in points])
        area += reversed(thinned([(x, min(values)) for x, values in points]))
        several = len(points[0][1]) > 1
        lines.append(Line(name, frame.points(mean), frame.points(area) if several else None))
    return Chart(title, description, tuple(lines), frame.x_ticks(), frame.y_ticks(ticks))

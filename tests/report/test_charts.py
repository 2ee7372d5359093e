"""Named lines with areas: where their points lie, and how many there are."""

from pathlib import Path

import pytest

from kelbench.report import charts
from kelbench.report.charts import MOST_LINES, band_chart, density_chart
from kelbench.report.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH


def places(points):
    return [tuple(map(float, pair.split(","))) for pair in points.split()]


def test_a_density_stands_on_the_axis_at_the_middle_of_its_bins():
    chart = density_chart("t", "d", {"one": [0.0, 2.0], "two": [1.0, 1.0]}, 2.0)
    first, second = chart.lines
    across = WIDTH - LEFT - RIGHT
    assert places(first.points) == [(LEFT + across / 4, HEIGHT - BOTTOM), (LEFT + across * 3 / 4, TOP)]
    half_way = (TOP + HEIGHT - BOTTOM) / 2
    assert [y for _, y in places(second.points)] == [half_way, half_way]
    assert places(first.area) == [*places(first.points), (LEFT + across * 3 / 4, 108), (LEFT + across / 4, 108)]
    assert [tick.label for tick in chart.x_ticks] == ["0", "0.5", "1", "1.5", "2"]
    assert (first.name, chart.title, chart.description) == ("one", "t", "d")


def test_a_band_reaches_from_the_least_seed_to_the_greatest_as_far_as_all_go():
    chart = band_chart("t", "d", {"a": [[(5, 0.2), (10, 1.0)], [(5, 0.4), (10, 0.0), (15, 0.9)]], "b": [[(10, 0.5)]]})
    first, second = chart.lines
    bottom, middle = HEIGHT - BOTTOM, (TOP + HEIGHT - BOTTOM) / 2
    assert places(first.points)[1] == (WIDTH - RIGHT, middle)
    area = places(first.area)
    assert [x for x, _ in area] == pytest.approx([area[0][0], WIDTH - RIGHT, WIDTH - RIGHT, area[0][0]])
    assert [area[1][1], area[2][1]] == [TOP, bottom]
    assert area[0][1] < area[3][1]
    assert places(second.points) == [(WIDTH - RIGHT, middle)]
    assert second.area is None


def test_runs_without_validation_have_no_chart():
    assert band_chart("t", "d", {"a": [[], []]}) is None


def test_bands_fill_the_drawing_however_near_each_other_lines_are():
    chart = band_chart("t", "d", {"a": [[(2, 0.262), (30, 0.298)]], "b": [[(2, 0.24), (30, 0.295)]]})
    assert [tick.label for tick in chart.y_ticks] == ["0.24", "0.26", "0.28", "0.3"]
    lowest = chart.lines[1].points.split()[0]
    assert float(lowest.split(",")[1]) == HEIGHT - BOTTOM
    assert band_chart("t", "d", {"a": [[(2, 0.25)]]}).y_ticks[0].label == "0"


def test_each_line_that_a_chart_may_have_looks_like_no_other():
    style = (Path(charts.__file__).parent / "templates/style.css").read_text()
    looks = [
        next(line.split("{")[1] for line in style.splitlines() if line.startswith(f"svg .line-{number} "))
        for number in range(1, MOST_LINES + 1)
    ]
    assert len(set(looks)) == MOST_LINES
    assert all(f"svg .area-{number} " in style for number in range(1, MOST_LINES + 1))

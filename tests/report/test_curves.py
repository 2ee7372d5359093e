import pytest

from kelbench.base.errors import UserError
from kelbench.report.curves import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MAX_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    mean_series,
    nice_ticks,
    panels,
    read_curve,
    series_of,
    thinned,
)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.5, 1]),
        (0, 0.47, [0, 0.2, 0.4, 0.6]),
        (0, 11, [0, 5, 10, 15]),
        (0, 100, [0, 50, 100]),
        (-3, 5, [-5, 0, 5]),
        (2, 2, [2, 3]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, expected):
    found = nice_ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert found == pytest.approx(expected)


def test_curve_points_lie_at_the_corners():
    curve = [{"epoch": 0, "loss": 4.0, "validation_mrr": 0.0}, {"epoch": 10, "loss": 0.0, "validation_mrr": 1.0}]
    (panel,) = panels({"run": [curve]})
    validation, loss = panel.plots
    assert validation.seeds == (f"{LEFT},{HEIGHT - BOTTOM} {WIDTH - RIGHT},{TOP}",)
    assert loss.seeds == (f"{LEFT},{TOP} {WIDTH - RIGHT},{HEIGHT - BOTTOM}",)
    assert "1 seeds" in loss.description


def test_epochs_that_were_not_validated_leave_no_point():
    curve = [{"epoch": 1, "validation_mrr": None}, {"epoch": 2, "validation_mrr": 0.5}, {"epoch": 3}]
    assert series_of(curve, "validation_mrr") == [(2.0, 0.5)]


def test_the_mean_ends_with_the_first_seed_that_stops():
    assert mean_series([[(1, 1.0), (2, 2.0)], [(1, 3.0)]]) == [(1, 2.0)]


def test_long_curves_are_thinned_and_keep_their_ends():
    series = [(float(i), float(i)) for i in range(1000)]
    kept = thinned(series)
    assert len(kept) == MAX_POINTS
    assert (kept[0], kept[-1]) == (series[0], series[-1])
    assert thinned(series[:10]) == series[:10]


def test_a_run_without_curve_has_no_panel():
    assert panels({"random": [[], []]}) == []


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_text('{"epoch": 1}\nnot json\n')
    with pytest.raises(UserError, match=r"curve.jsonl:2"):
        read_curve(path)

import pytest

from kelbench.report.text import clean, count, duration, interval, p_value, printed, rank, scientific, share, signed


def test_clean_removes_control_and_bidirectional_characters():
    assert clean("a\x00b\x1b[0m\u202egnp\u2066x\u2069\u200f\u2028") == "ab[0mgnpx"
    assert clean("two\nlines\tand") == "two lines and"
    assert clean("Zürich 東京 e\u0301 \N{GRINNING FACE}") == "Zürich 東京 e\u0301 \N{GRINNING FACE}"


def test_numbers():
    assert share(0.12345) == "0.123"
    assert share(-0.1) == "\N{MINUS SIGN}0.100"
    assert signed(0.01) == "+0.010"
    assert signed(-0.01) == "\N{MINUS SIGN}0.010"
    assert printed(0.5, 2) == "0.50"
    assert printed(109370, 0) == "109,370"
    assert rank(12345.67) == "12,345.7"
    assert count(14541) == "14,541"
    assert count(12.5) == "12.5"
    assert scientific(2.1e-7) == "2.1e-07"


def test_intervals_and_p():
    assert interval((0.1, 0.2)) == "0.100\N{EN DASH}0.200"
    assert interval((-0.1, 0.2)) == "\N{MINUS SIGN}0.100 to 0.200"
    assert p_value(0.0004) == "p < 0.001"
    assert p_value(0.0123) == "p = 0.012"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.52, "4.5 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (119.7, "2 min 00 s")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text

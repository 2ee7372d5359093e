"""How names and numbers are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
# Marks that change the direction of the text after them; a label with one could rearrange the words around it.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DROPPED = ("Cc", "Cs", "Zl", "Zp")


def clean(label: str) -> str:
    """`label` without control and bidirectional characters; a tab or a line end becomes a space."""
    spaced = label.replace("\t", " ").replace("\n", " ")
    return "".join(letter for letter in spaced if letter not in _BIDI and unicodedata.category(letter) not in _DROPPED)


def share(value: float) -> str:
    """A number around 0..1 (MRR, Hits, AMRI) with three decimals."""
    return _sign(f"{value:.3f}")


def rank(value: float) -> str:
    """A mean rank: one decimal, thousands marked."""
    return f"{value:,.1f}"


def metric_value(metric: str, value: float) -> str:
    """A metric's mean as tables show it."""
    return rank(value) if metric == "mr" else share(value)


def signed(value: float, decimals: int = 3) -> str:
    """A difference with its sign."""
    return _sign(f"{value:+.{decimals}f}")


def printed(value: float, decimals: int) -> str:
    """A published value with as many decimals as its source prints."""
    return _sign(f"{value:,.{decimals}f}")


def interval(ends: Sequence[float], metric: str = "mrr") -> str:
    """Both ends of an interval."""
    low, high = (metric_value(metric, end) for end in ends)
    return f"{low} to {high}" if metric == "mr" or ends[0] < 0 else f"{low}{DASH}{high}"


def p_value(value: float) -> str:
    """A p value with three decimals, or as below .001."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def count(value: float) -> str:
    """A count with thousands marked; a mean count with one decimal."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """Seconds as a reader counts them: 4.5 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def scientific(value: float) -> str:
    """A small difference: 2.1e-07."""
    return _sign(f"{value:.1e}")


def _sign(text: str) -> str:
    return text.replace("-", MINUS, 1) if text.startswith("-") else text

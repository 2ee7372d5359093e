"""From contexts to HTML: escaping, and a content security policy that lets nothing in but the page's own parts."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kelbench.report.text import clean

VERDICT_SIGNS = {
    "reproduced": "\N{CHECK MARK}",
    "within tolerance": "\N{ALMOST EQUAL TO}",
    "exceeded": "\N{BLACK UP-POINTING TRIANGLE}",
    "below": "\N{BLACK DOWN-POINTING TRIANGLE}",
    "inconclusive": "?",
    "not comparable": "\N{NOT EQUAL TO}",
    "not run": "\N{WHITE CIRCLE}",
    "mixed": "\N{PLUS-MINUS SIGN}",
    "severity ok": "\N{CHECK MARK}",
    "severity note": "i",
    "severity warning": "!",
}


def render_page(context: dict[str, Any]) -> str:
    """The whole page. Every value is escaped, and cleaned of control and bidirectional characters, on its way in."""
    environment = Environment(
        loader=PackageLoader("kelbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = environment.get_template("style.css").render()
    script = environment.get_template("sort.js").render()
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template("report.html.j2")
    return page.render(**context, policy=policy, verdict_signs=VERDICT_SIGNS)


def _clean_text(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _source(text: str) -> str:
    """The CSP source of an inline element with exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

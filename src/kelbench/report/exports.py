"""The leaderboard as CSV (every row), Markdown and LaTeX (the leaderboards) and JSON (all of it)."""

from __future__ import annotations

import base64
import csv
import gzip
import html
import io
import json
import re
from dataclasses import dataclass

from kelbench.base.files import canonical_json
from kelbench.report.board import Board, Row
from kelbench.report.headline import METRIC_NAMES, SHOWN, headline_tables, with_deviation
from kelbench.report.tables import Cell, Table
from kelbench.report.text import clean, interval, metric_value

# A file that is longer than this stands in the page compressed.
PLAIN_BYTES = 128 * 1024

CSV_COLUMNS = (
    "dataset",
    "dataset_version",
    "split",
    "run",
    "preset",
    "method",
    "engine",
    "encoder",
    "side",
    "metric",
    "filter",
    "ties",
    "candidates",
    "unseen",
    "breakdown",
    "mean",
    "sd",
    "ci_seed_low",
    "ci_seed_high",
    "ci_test_low",
    "ci_test_high",
    "n_seeds",
    "n_triples",
    "n_candidates",
    "published",
    "verdict",
)


@dataclass(frozen=True)
class Download:
    """A file to hand out: its name, what it holds, its size in bytes and a `data:` address."""

    name: str
    what: str
    size: int
    address: str


def as_csv(board: Board) -> str:
    """Every row; intervals in two columns, published values as `id=value` separated by semicolons."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([_csv_cell(row, column) for column in CSV_COLUMNS] for row in board.rows)
    return stream.getvalue()


def _csv_cell(row: Row, column: str) -> str | float | int | None:
    if column == "published":
        return ";".join(f"{item['id']}={item['value']}" for item in row["published"])
    for name in ("ci_seed", "ci_test"):
        if column.startswith(name):
            return row[name][column.endswith("_high")] if row[name] else None
    value = row[column]
    return clean(value) if isinstance(value, str) else value


def as_json(board: Board) -> str:
    """The whole leaderboard, without spaces."""
    return canonical_json(board.content) + "\n"


def as_markdown(board: Board) -> str:
    """The leaderboard of each dataset as a Markdown table."""
    lines = [f"# {_markdown(board.content['title'])}", ""]
    for dataset in board.datasets:
        for table in headline_tables(board, dataset):
            lines += [f"## {_markdown(table.caption)}", "", *markdown_table(table), ""]
    return "\n".join(lines)


def markdown_table(table: Table) -> list[str]:
    """Lines of a Markdown table, its caption left out."""
    lines = [
        "| " + " | ".join(_markdown(column.label) for column in table.columns) + " |",
        "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|",
    ]
    for group in table.groups:
        lines += ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in group.rows]
    return lines


def _markdown_cell(cell: Cell) -> str:
    text = _markdown(cell.text)
    if cell.strong:
        text = f"**{text}**"
    return "; ".join([text, *(_markdown(note) for note in cell.notes)])


def _markdown(text: str) -> str:
    """Text that Markdown shows as it stands: HTML and the signs of Markdown lose their meaning."""
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", html.escape(clean(text), quote=False))


def as_latex(board: Board) -> str:
    r"""The leaderboard of each dataset as a booktabs table (`\\usepackage{booktabs}`)."""
    lines = ["% needs \\usepackage{booktabs}"]
    for dataset in board.datasets:
        for candidates in board.protocols(dataset):
            lines += _latex_table(board, dataset, candidates)
    return "\n".join(lines) + "\n"


def _latex_table(board: Board, dataset: str, candidates: str) -> list[str]:
    metrics = ("mrr", *SHOWN)
    heads = ["Method", "Run", "MRR", "95\\,\\% over seeds", *(_latex(METRIC_NAMES[name]) for name in SHOWN)]
    lines = [
        "",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_latex(headline_tables(board, dataset)[0].caption)}}}",
        f"  \\label{{tab:{dataset}-{candidates}}}",
        f"  \\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}",
        "    \\toprule",
        f"    {' & '.join(heads)} \\\\",
        "    \\midrule",
    ]
    methods, controls = board.ordered(dataset, candidates)
    for position, run in enumerate([*methods, *controls]):
        if position == len(methods) and methods:
            lines.append("    \\midrule")
        rows = {name: board.row(dataset, run, name, candidates=candidates) for name in metrics}
        mrr = rows["mrr"]
        cells = [board.runs(dataset)[run]["method"], run]
        cells.append(with_deviation(mrr) if mrr else "")
        cells.append(interval(mrr["ci_seed"]) if mrr and mrr["ci_seed"] else "")
        cells += [metric_value(name, row["mean"]) if (row := rows[name]) else "" for name in SHOWN]
        lines.append(f"    {' & '.join(_latex(cell) for cell in cells)} \\\\")
    return [*lines, "    \\bottomrule", "  \\end{tabular}", "\\end{table}"]


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: "\\" + letter for letter in "&%$#_"},
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in clean(text))


def exports(board: Board) -> dict[str, tuple[str, str, str]]:
    """File name -> content, media type, what it holds."""
    return {
        "leaderboard.csv": (as_csv(board), "text/csv", "every row, breakdowns included"),
        "leaderboard.md": (as_markdown(board), "text/markdown", "the leaderboards"),
        "leaderboard.tex": (as_latex(board), "application/x-tex", "the leaderboards, for booktabs"),
        "leaderboard.json": (as_json(board), "application/json", "everything: rows, differences, claims, settings"),
    }


def downloads(files: dict[str, tuple[str, str, str]]) -> list[Download]:
    """Each export as an address inside the page; long ones compressed by gzip, without a time stamp."""
    found = []
    for name, (text, media_type, what) in files.items():
        content = text.encode()
        if len(content) > PLAIN_BYTES:
            content, media_type, name = gzip.compress(content, mtime=0), "application/gzip", f"{name}.gz"  # noqa: PLW2901
        address = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
        found.append(Download(name, what, len(content), address))
    return found


def settings_text(settings: dict[str, object]) -> str:
    """A run's settings as the page shows them."""
    return json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False)

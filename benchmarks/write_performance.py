"""Write what was measured into docs/performance.md, between its two marker comments, and docs/scaling.svg.

    python benchmarks/write_performance.py

No figure in the document is typed by hand: this reads results/reference/benchmarks.json.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib as mpl
from documents import begin_marker, between_markers
from goals import goals_table

from kelbench.base.files import write_bytes, write_text
from kelbench.report.exports import markdown_table
from kelbench.report.performance import REFERENCE, Section, ordered, read_performance, read_sections

DOCUMENT = Path("docs/performance.md")
DRAWING = Path("docs/scaling.svg")
BEGIN = begin_marker("write_performance")
_AXES = {"entities": "entities", "dimension": "reals in a vector", "threads": "threads"}
_RATES = {"queries_per_second": "queries ranked / s", "positives_per_second": "positives learned / s"}


def main() -> None:
    """Write both files."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--results", type=Path, default=REFERENCE)
    options.add_argument("--document", type=Path, default=DOCUMENT)
    options.add_argument("--drawing", type=Path, default=DRAWING)
    chosen = options.parse_args()
    sections = read_sections(chosen.results)
    drawn = "scaling" in sections
    if drawn:
        write_bytes(chosen.drawing, drawing(sections["scaling"]))
    body = measured(sections, chosen.results, chosen.drawing.name if drawn else None)
    write_text(chosen.document, between_markers(chosen.document.read_text(encoding="utf-8"), body, BEGIN))


def measured(sections: dict[str, Section], results: Path, drawing_name: str | None) -> str:
    """The tables as Markdown: goals, each benchmark, machines; and the drawing where there is one."""
    # The words of this table are ours, and one of them is bold.
    lines = ["### Goals", "", *(line.replace("\\*", "*") for line in markdown_table(goals_table(sections))), ""]
    performance = read_performance(results)
    if performance is None:
        return "\n".join(lines)
    for table in performance.tables:
        lines += [f"### {table.caption}", "", *markdown_table(table), ""]
    if drawing_name is not None:
        lines += ["### Scaling", "", f"![Rates over entities, dimension and threads]({drawing_name})", ""]
    lines += [f"### {performance.machines.caption}", "", *markdown_table(performance.machines)]
    return "\n".join(lines)


def drawing(section: Section) -> bytes:
    """Rates over each axis as SVG; equal sections give equal bytes."""
    mpl.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "kelbench"
    figure, plots = plt.subplots(len(_RATES), len(_AXES), figsize=(10, 5.5), layout="constrained")
    for row, (rate, rate_label) in zip(plots, _RATES.items(), strict=True):
        for plot, (axis, axis_label) in zip(row, _AXES.items(), strict=True):
            values = sorted({point[axis] for record in section["records"].values() for point in record.get(axis, [])})
            if not values:
                plot.set_axis_off()
                continue
            for label, record in ordered(section["records"]):
                points = record.get(axis, [])
                plot.plot([point[axis] for point in points], [point[rate] for point in points], "o-", label=label)
            plot.set(xscale="log", yscale="log", xlabel=axis_label, ylabel=rate_label)
            plot.set_xticks(values, [f"{value:,}" for value in values])
            plot.minorticks_off()
            plot.grid(alpha=0.3)
    plots[0][0].legend()
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return stream.getvalue()


if __name__ == "__main__":
    main()

"""Speed and memory as the benchmarks measured them: results/reference/benchmarks.json as tables and small drawings.

The file is part of the repository. What it says holds for the machine it names and was not measured while the report
was made; sections that were not measured are left out, and so is the whole part where there is no file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kelbench.base.errors import UserError
from kelbench.base.files import read_json
from kelbench.config.methods import SCORE_FUNCTION_METHODS
from kelbench.report.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Panel, Plot, Tick
from kelbench.report.headline import MISSING
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import count, duration, printed, share

REFERENCE = Path("results/reference/benchmarks.json")
FORMAT = 1
LABELS = {"transe": "TransE", "distmult": "DistMult", "complex": "ComplEx", "rotate": "RotatE", "simple": "SimplE"}
_AXES = {"entities": "entities", "dimension": "reals in a vector", "threads": "threads"}
_RATES = {"queries_per_second": "Queries ranked a second", "positives_per_second": "Positives learned a second"}
_SHORT_COMMIT = 12

Section = dict[str, Any]
Record = dict[str, Any]


@dataclass(frozen=True)
class Performance:
    """What the section shows: a table a benchmark, where they were measured, and drawings of scaling, a model each."""

    tables: list[Table]
    machines: Table
    panels: list[Panel]


def read_sections(path: Path) -> dict[str, Section]:
    """Sections of a file of results; none where there is no file.

    Raises:
        UserError: it is not JSON or has another format.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: expected format {FORMAT} of benchmark results; run the benchmarks again")
    return dict(content["sections"])


def read_performance(path: Path = REFERENCE) -> Performance | None:
    """Everything that `path` has to show; None where there is no file or nothing in it.

    Raises:
        UserError: as `read_sections`.
    """
    sections = read_sections(path)
    if not sections:
        return None
    tables = [make(sections[name]) for name, make in _TABLES.items() if name in sections]
    return Performance(
        tables, _machines(sections), scaling_panels(sections["scaling"]) if "scaling" in sections else []
    )


def ordered(records: dict[str, Record]) -> list[tuple[str, Record]]:
    """Label and record of each model, in the order of the methods; other keys last, by name."""
    position = {name: number for number, name in enumerate(SCORE_FUNCTION_METHODS)}

    def place(key: str) -> tuple[int, str]:
        return position.get(records[key].get("method", key), len(position)), key

    return [(LABELS.get(records[key].get("method", key), key), records[key]) for key in sorted(records, key=place)]


def ranking_table(section: Section) -> Table:
    """Queries ranked a second, both programs."""
    columns = [
        Column("Model"),
        Column("kelbench, queries/s", True, "up"),
        Column("PyKEEN, queries/s", True, "up"),
        Column("Ratio", True, "up"),
        Column("Ratio without early termination", True, "up"),
        Column("Difference in MRR", True),
        Column("PyKEEN's batch", True),
    ]
    rows = [
        [
            Cell(label, notes=(record["note"],) if "note" in record else ()),
            _count(record["kelbench"]),
            _rate(record["pykeen"]),
            _ratio(record["ratio"]),
            _ratio(record.get("ratio_exhaustive")),
            Cell(f"{record['mrr_difference']:.0e}", record["mrr_difference"]),
            _count(record["pykeen_batch_size"]),
        ]
        for label, record in ordered(section["records"])
    ]
    settings = section["settings"]
    caption = (
        f"Exact filtered ranking of {settings['dataset']}, {settings['dimension']} reals, {_threads(section)}; "
        f"kelbench the whole test set, PyKEEN {count(settings['sample'])} triples of it"
    )
    return Table("performance-ranking", caption, columns, [Group(rows)])


def training_table(section: Section) -> Table:
    """Positives learned a second, both programs."""
    columns = [
        Column("Model"),
        Column("PyKEEN, positives/s", True, "up"),
        Column("kelbench, positives/s", True, "up"),
        Column("Ratio", True, "up"),
        Column("kelbench, shared negatives", True, "up"),
        Column("Ratio, shared", True, "up"),
    ]
    rows = [
        [
            Cell(label),
            _count(record["pykeen"]),
            _count(record["kelbench"]),
            _ratio(record["ratio"]),
            _count(record["kelbench_shared"]),
            _ratio(record["ratio_shared"]),
        ]
        for label, record in ordered(section["records"])
    ]
    settings = section["settings"]
    caption = (
        f"Training steps on {settings['dataset']}: {settings['negatives']} negatives a positive, "
        f"{settings['dimension']} reals, batches of {settings['batch_size']}, {settings['optimizer']}, "
        f"{settings['loss']} loss, {_threads(section)}"
    )
    return Table("performance-training", caption, columns, [Group(rows)])


def quality_table(section: Section) -> Table:
    """Time to the validation MRR that PyKEEN reaches."""
    columns = [
        Column("Model"),
        Column("PyKEEN's best validation MRR", True, "up"),
        Column("PyKEEN", True, "down"),
        Column("kelbench", True, "down"),
        Column("Ratio", True, "up"),
    ]
    rows = []
    for label, record in ordered(section["records"]):
        if "kelbench" not in record:  # interrupted between the two
            continue
        theirs, ours = record["pykeen"], record["kelbench"]
        missed = () if ours["reached"] else (f"not reached; best {share(ours['mrr'])}",)
        cells = [Cell(duration(part["seconds"]), part["seconds"]) for part in (theirs, ours)]
        cells[1] = Cell(cells[1].text, cells[1].sort, missed)
        ratio = _ratio(record["ratio"]) if ours["reached"] else MISSING
        rows.append([Cell(label), Cell(share(theirs["mrr"]), theirs["mrr"]), *cells, ratio])
    settings = section["settings"]
    caption = (
        f"Time to the best validation MRR that PyKEEN has within {settings['minutes']:g} minutes on "
        f"{settings['dataset']}, {_threads(section)}"
    )
    return Table("performance-quality", caption, columns, [Group(rows)])


def convergence_table(section: Section) -> Table:
    """From zero to a validation MRR fixed beforehand."""
    columns = [
        Column("Model"),
        Column("Time", True, "down"),
        Column("Best validation MRR", True, "up"),
        Column("Test MRR", True, "up"),
    ]
    rows = [
        [
            Cell(label),
            Cell(duration(record["seconds"]), record["seconds"], () if record["reached"] else ("not reached",)),
            Cell(share(record["best_validation_mrr"]), record["best_validation_mrr"]),
            Cell(share(record["test_mrr"]), record["test_mrr"]),
        ]
        for label, record in ordered(section["records"])
    ]
    settings = section["settings"]
    caption = f"From zero to validation MRR {settings['target']:g} on {settings['dataset']}, {_threads(section)}"
    return Table("performance-convergence", caption, columns, [Group(rows)])


def size_ranking_table(section: Section) -> Table:
    """Ranking among millions of entities."""
    columns = [
        Column("Model"),
        Column("Time", True, "down"),
        Column("Index of the filter", True, "down"),
        Column("Peak memory, GiB", True, "down"),
    ]
    rows = [
        [
            Cell(label),
            Cell(duration(record["seconds"]), record["seconds"]),
            Cell(duration(record["index_seconds"]), record["index_seconds"]),
            Cell(printed(record["peak_rss_gib"], 1), record["peak_rss_gib"]),
        ]
        for label, record in ordered(section["records"])
    ]
    settings = section["settings"]
    caption = (
        f"Exact filtered ranking of {count(settings['test_triples'])} triples, both sides, against "
        f"{count(settings['entities'])} entities, {settings['dimension']} reals, {_threads(section)}"
    )
    return Table("performance-size-ranking", caption, columns, [Group(rows)])


def size_training_table(section: Section) -> Table:
    """Training on millions of entities."""
    columns = [
        Column("Model"),
        Column("Batch", True),
        Column("Positives/s", True, "up"),
        Column("Peak memory, GiB", True, "down"),
    ]
    rows = [
        [
            Cell(label),
            _count(record["batch_size"]),
            _count(record["positives_per_second"]),
            Cell(printed(record["peak_rss_gib"], 1), record["peak_rss_gib"]),
        ]
        for label, record in sorted(ordered(section["records"]), key=lambda item: (item[0], item[1]["batch_size"]))
    ]
    settings = section["settings"]
    caption = (
        f"Training steps with {count(settings['entities'])} entities: {settings['negatives']} shared negatives a side, "
        f"{settings['dimension']} reals, {_threads(section)}"
    )
    return Table("performance-size-training", caption, columns, [Group(rows)])


_TABLES: dict[str, Callable[[Section], Table]] = {
    "ranking": ranking_table,
    "training": training_table,
    "quality": quality_table,
    "convergence": convergence_table,
    "size-ranking": size_ranking_table,
    "size-training": size_training_table,
}


def _machines(sections: dict[str, Section]) -> Table:
    """Where, with what and when each section was measured."""
    columns = [
        Column("Benchmark"),
        Column("Processor"),
        Column("Cores", True),
        Column("Memory, GiB", True),
        Column("Versions"),
        Column("Commit"),
        Column("Measured"),
    ]
    rows = []
    for name, section in sorted(sections.items()):
        machine, records = section["machine"], section["records"].values()
        days = sorted({str(record["finished"])[:10] for record in records})
        commits = sorted({_commit(record["commit"]) for record in records})
        rows.append(
            [
                Cell(name),
                Cell(str(machine["cpu"])),
                _count(machine["cores"]),
                Cell(printed(machine["memory_gib"], 0), machine["memory_gib"]),
                Cell(", ".join(f"{package} {version}" for package, version in sorted(section["versions"].items()))),
                Cell(", ".join(commits)),
                Cell(", ".join(days)),
            ]
        )
    return Table("performance-machines", "Machine and versions of these measurements", columns, [Group(rows)])


def scaling_panels(section: Section) -> list[Panel]:
    """For each model both rates over each axis, on logarithmic scales."""
    panels = []
    for label, record in ordered(section["records"]):
        plots = [
            _log_plot(f"{title}, by {_AXES[axis]}", label, [(point[axis], point[rate]) for point in record[axis]])
            for axis in _AXES
            for rate, title in _RATES.items()
            if len(record.get(axis, [])) > 1
        ]
        if plots:
            panels.append(Panel(label, tuple(plots)))
    return panels


def _log_plot(title: str, model: str, points: list[tuple[float, float]]) -> Plot:
    """One line over logarithmic axes; values are positive and two at least."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    high = max(high, low + 1)

    def across(x: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / min(xs)) / math.log(max(xs) / min(xs)), 1)

    def up(y: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(y) - low) / (high - low), 1)

    values = ", ".join(f"{y:,.0f} at {x:,.0f}" for x, y in points)
    return Plot(
        title=title,
        description=f"{model}: {values}",
        seeds=(),
        mean=" ".join(f"{across(x):g},{up(y):g}" for x, y in points),
        x_ticks=tuple(Tick(across(x), _short(x)) for x in xs),
        y_ticks=tuple(Tick(up(10.0**power), _short(10.0**power)) for power in range(low, high + 1)),
    )


def _short(value: float) -> str:
    """1024 as 1k, 65536 as 66k, 1000000 as 1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.0f}{letter}"
    return f"{value:g}"


def _commit(commit: str | None) -> str:
    if commit is None:
        return "no checkout"
    return commit[:_SHORT_COMMIT] + ("+changes" if commit.endswith("+changes") else "")


def _count(value: float) -> Cell:
    return Cell(count(round(value)), value)


def _rate(value: float) -> Cell:
    return Cell(printed(value, 1 if value < 100 else 0), value)


def _ratio(value: float | None) -> Cell:
    return MISSING if value is None else Cell(f"{printed(value, 1 if value < 100 else 0)}x", value)


def _threads(section: Section) -> str:
    threads = section["settings"]["threads"]
    return "1 thread" if threads == 1 else f"{threads} threads"

"""Runs beside runs on the CLEP page: one setting changed at a time, and fine-tuning against other beginnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kelbench.ranking.metrics import VALIDATION_METRICS
from kelbench.report.board import SIGNIFICANT, Board
from kelbench.report.charts import Chart, band_chart
from kelbench.report.curves import Series, mean_series, series_of
from kelbench.report.headline import METRIC_NAMES, MISSING, with_deviation
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import metric_value, p_value, share, signed

CLEP = "CLEP"
_BEGINNINGS = {
    "pre-training": "from CLEP",
    "shuffled texts": "from CLEP with the texts of other entities",
    "random": "from random weights",
    "link prediction": "from link prediction",
}

Curves = dict[str, list[list[dict[str, Any]]]]
Record = dict[str, Any]


@dataclass(frozen=True)
class TuningView:
    """Fine-tuning on one dataset: a chart for each fine-tuned run, and the differences on the test split."""

    title: str
    charts: list[tuple[str, Chart]]
    table: Table


def ablation_table(board: Board, dataset: str) -> Table | None:
    """Every run of CLEP on a dataset, beside the one that the experiment compares them with; None without any run."""
    methods = board.ordered(dataset)[0]
    runs = [run for run in methods if board.runs(dataset)[run]["method"] == CLEP]
    if not runs:
        return None
    compared = {item["run"]: item for item in board.comparisons(dataset) if item["compared_with"] in runs}
    one = next((item["compared_with"] for item in compared.values()), None)
    columns = [
        Column("Run"),
        *([Column(f"Setting (in brackets: that of {one})")] if one else []),
        Column("Texts"),
        Column("Oracle MRR of the texts", True),
        Column("Test MRR", True, "up"),
        *(Column(METRIC_NAMES[metric], True, "down" if metric == "mr" else "up") for metric in _SHOWN),
        *([Column(f"MRR minus {one}", True, "up"), Column("p (Holm)", True)] if one else []),
    ]
    rows = []
    for run in runs:
        row = board.row(dataset, run)
        rows.append(
            [
                Cell(run, notes=(f"preset {board.runs(dataset)[run]['preset']}",)),
                *([_changes_cell(board, dataset, run, one)] if one else []),
                *_text_cells(board, dataset, run),
                Cell(with_deviation(row), row["mean"]) if row else MISSING,
                *(_metric(board, dataset, run, metric) for metric in _SHOWN),
                *(_difference_cells(compared.get(run), run == one) if one else []),
            ]
        )
    against = f", beside {one}" if one else ""
    return Table(f"clep-runs-{dataset}", f"{board.title(dataset)}: runs of CLEP{against}", columns, [Group(rows)])


_SHOWN = ("mr", "hits@1", "hits@10")


def _metric(board: Board, dataset: str, run: str, metric: str) -> Cell:
    row = board.row(dataset, run, metric)
    return Cell(metric_value(metric, row["mean"]), row["mean"]) if row else MISSING


def _changes_cell(board: Board, dataset: str, run: str, one: str) -> Cell:
    if run == one:
        return Cell("compared with")
    changes = _changes(board, dataset, run, one)
    return Cell(changes[0], notes=tuple(changes[1:])) if changes else Cell("none")


def _changes(board: Board, dataset: str, run: str, other: str) -> list[str]:
    """`key: value (the other's value)` of all settings that two runs differ in."""
    ours, theirs = (flat(board.runs(dataset)[name]["settings"]) for name in (run, other))
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return [f"{key}: {_word(ours.get(key))} ({_word(theirs.get(key))})" for key in keys]


def flat(settings: Record, prefix: str = "") -> Record:
    """Settings with the keys of nested ones joined by dots; a list is one value."""
    found: Record = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _word(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def texts_read(board: Board, dataset: str, run: str) -> tuple[str | None, float | None]:
    """The source of texts that a run reads, and its oracle MRR: of a scorer that knows which of them answers."""
    records = {record["source"]: record for record in board.datasets[dataset]["audit"].get("texts", [])}
    settings = board.runs(dataset)[run]["settings"]
    encoder = settings.get("encoder")
    # Untrained controls name their encoder and, beside it, the source of texts.
    source = encoder.get("texts") if isinstance(encoder, dict) else settings.get("texts")
    source = source or next(iter(records), None)
    return source, records.get(source, {}).get("oracle_mrr") if source else None


def _text_cells(board: Board, dataset: str, run: str) -> list[Cell]:
    source, ceiling = texts_read(board, dataset, run)
    name = MISSING if source is None else Cell(source.replace("_", " "))
    return [name, MISSING if ceiling is None else Cell(share(ceiling), ceiling)]


def _difference_cells(item: Record | None, itself: bool) -> list[Cell]:
    if itself:
        return [Cell("compared with", 0.0), MISSING]
    if item is None:
        return [MISSING, MISSING]
    low, high = item["interval"]
    note = (f"{signed(low)} to {signed(high)}",)
    difference = Cell(signed(item["difference"]), item["difference"], note, strong=low > 0 or high < 0)
    return [difference, Cell(p_value(item["p_holm"]), item["p_holm"])]


def tuning_view(board: Board, dataset: str, curves: Curves) -> TuningView | None:
    """None where no run on the dataset goes on from another.

    Args:
        board: the leaderboard.
        dataset: the dataset.
        curves: run -> the records of each seed.
    """
    items = board.fine_tuning(dataset)
    if not items:
        return None
    columns = [
        Column("Run"),
        Column("Compared with"),
        Column("Test MRR", True, "up"),
        Column("Test MRR of the other", True, "up"),
        Column("Difference", True, "up"),
        Column("Validation MRR"),
        Column("Settings that differ"),
    ]
    below = _under_trained(board, dataset, items)
    rows = [_tuning_row(board, dataset, item, curves, below.get(item["run"])) for item in items]
    title = board.title(dataset)
    table = Table(
        f"fine-tuning-{dataset}",
        f"{title}: one decoder, other beginnings; paired over seeds and test triples",
        columns,
        [Group(rows)],
    )
    return TuningView(title, _tuning_charts(items, curves), table)


def _under_trained(board: Board, dataset: str, items: list[Record]) -> dict[str, str]:
    """Run -> which run from random weights, that it is compared with, is below what a claim asks of it, and of what."""
    claims = [claim for claim in board.content["claims"] if claim["dataset"] == dataset]
    gates = {claim["lower"]: claim["lower_at_least"] for claim in claims if claim.get("lower_at_least") is not None}
    below = {}
    for item in items:
        other = item["compared_with"]
        row, gate = board.row(dataset, other), gates.get(board.runs(dataset)[other]["method"])
        if item["other_began"] == "random" and row is not None and gate is not None and row["mean"] < gate:
            below[item["run"]] = f"{other} is below {gate:g}"
    return below


def _tuning_row(board: Board, dataset: str, item: Record, curves: Curves, under_trained: str | None) -> list[Cell]:
    run, other = item["run"], item["compared_with"]
    low, high = item["interval"]
    notes: tuple[str, ...] = (f"{signed(low)} to {signed(high)}", f"{p_value(item['p_holm'])} (Holm)")
    if item["n_seeds"] == 1:
        notes += ("one seed",)
    # What an under-trained baseline says of pre-training says nothing beside the controls either.
    if under_trained is not None:
        notes += (f"no verdict: {under_trained}",)
    changes = [line for line in _changes(board, dataset, run, other) if not line.startswith("start:")]
    strong = under_trained is None and item["p_holm"] < SIGNIFICANT
    return [
        Cell(board.runs(dataset)[run]["method"], notes=(run,)),
        Cell(_BEGINNINGS[item["other_began"]], notes=(other,)),
        _mrr(board, dataset, run),
        _mrr(board, dataset, other),
        Cell(signed(item["difference"]), item["difference"], notes, strong=strong),
        Cell(lead(_validation(curves, run), _validation(curves, other))),
        Cell(changes[0], notes=tuple(changes[1:])) if changes else Cell("none"),
    ]


def _mrr(board: Board, dataset: str, run: str) -> Cell:
    row = board.row(dataset, run)
    return Cell(with_deviation(row), row["mean"]) if row else MISSING


def lead(ours: list[Series], theirs: list[Series]) -> str:
    """In how many of the validations that both runs have the mean over seeds of one is above the other's, and the last.

    A lead that comes and goes is within noise, so all of them are counted and no first turn is told.
    """
    others = dict(mean_series(theirs))
    gaps = [(epoch, value > others[epoch]) for epoch, value in mean_series(ours) if epoch in others]
    if not gaps:
        return "no epoch in common"
    last, ahead = gaps[-1][0], [epoch for epoch, is_ahead in gaps if is_ahead]
    if len(ahead) in (0, len(gaps)):
        return f"ahead throughout, to epoch {last:g}" if ahead else f"never ahead, to epoch {last:g}"
    words = f"ahead in {len(ahead)} of {len(gaps)} epochs validated"
    return (
        f"{words} and in the last, {last:g}"
        if ahead[-1] == last
        else f"{words}, last in epoch {ahead[-1]:g} of {last:g}"
    )


def _validation(curves: Curves, run: str, metric: str = "mrr") -> list[Series]:
    return [series_of(curve, f"validation_{metric}") for curve in curves.get(run, [])]


def _tuning_charts(items: list[Record], curves: Curves) -> list[tuple[str, Chart]]:
    """Charts for each run that goes on from another, but for those that stand in another's chart."""
    shown: dict[str, dict[str, str]] = {}
    for item in items:
        runs = shown.setdefault(item["run"], {item["run"]: item["began"]})
        runs[item["compared_with"]] = item["other_began"]
    within = {other for run, runs in shown.items() for other in runs if other != run}
    charts = []
    for run, runs in shown.items():
        for metric in VALIDATION_METRICS if run not in within else ():
            chart = _tuning_chart(runs, curves, metric)
            if chart is not None:
                charts.append((run, chart))
    return charts


def _tuning_chart(runs: dict[str, str], curves: Curves, metric: str) -> Chart | None:
    series = {f"{_BEGINNINGS[began]}: {name}": _validation(curves, name, metric) for name, began in runs.items()}
    ends = {name: mean_series(seeds) for name, seeds in series.items()}
    words = "; ".join(f"{name} is at {end[-1][1]:.3f} in epoch {end[-1][0]:g}" for name, end in ends.items() if end)
    return band_chart(f"Validation {METRIC_NAMES[metric]} by epoch", words, series)

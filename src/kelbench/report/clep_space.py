"""The aligned space on the CLEP page: distances of right and wrong descriptions before and after pre-training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kelbench.report.board import Board
from kelbench.report.charts import Chart, density_chart
from kelbench.report.headline import MISSING
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import count, interval, share, signed

# What tasks measure lies in [0, 2]: unit vectors.
FARTHEST = 2.0
# Fewer queries leave gaps in a histogram of 100 bins, which lower an overlap.
FEW_QUERIES = 1000
# What asks, where it is no triple.
_KINDS = {"answers": None, "own_descriptions": "a node asks for its own description"}
_MOMENTS = {"before": "Before pre-training", "after": "After pre-training"}
_RIGHT, _WRONG = "right description", "another description"
_PUBLISHED = {
    "fb15k-237": "Published for CLEP on FB15k-237, decoded from the vector plots of the slides: overlap .976 before "
    "pre-training (mean distances 1.420 and 1.421) and .111 after it (0.789 and 1.401). Their pairs may have been "
    "drawn otherwise."
}

Measured = dict[str, Any]


@dataclass(frozen=True)
class SpacePanel:
    """One run: its name, what asks where that is no triple, and the charts before and after."""

    run: str
    asked: str | None
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class SpaceView:
    """One dataset: charts, a table, and what else is to be known."""

    title: str
    panels: list[SpacePanel]
    table: Table
    notes: list[str]


def space_view(board: Board, dataset: str) -> SpaceView | None:
    """None where no run on the dataset was measured."""
    measured = list(_measured(board, dataset))
    if not measured:
        return None
    columns = [
        Column("Run"),
        Column("AUC before", True, "up"),
        Column("AUC after", True, "up"),
        Column("Overlap before", True, "down"),
        Column("Overlap after", True, "down"),
        Column("Mean distance after: right, others", True),
        Column("AUC after, equal texts wrong", True, "up"),
        Column("Overlap after, equal texts wrong", True, "down"),
        Column("Entities with a shared text", True),
    ]
    rows = [_row(run, kind, seeds) for run, kind, seeds in measured]
    title = board.title(dataset)
    table = Table(
        f"space-{dataset}", f"{title}: how well right and wrong descriptions are apart", columns, [Group(rows)]
    )
    panels = [SpacePanel(run, _KINDS[kind], _charts(run, kind, seeds)) for run, kind, seeds in measured]
    return SpaceView(title, panels, table, _notes(dataset, measured))


def _measured(board: Board, dataset: str) -> Iterator[tuple[str, str, list[Measured]]]:
    """Run, kind of query and, of each seed, what was measured; runs by falling MRR."""
    for run in board.ordered(dataset)[0]:
        facts = board.runs(dataset)[run]["facts"].values()
        spaces = [fact["aligned_space"] for fact in facts if fact.get("aligned_space")]
        for kind in _KINDS:
            seeds = [space for space in spaces if all((space[moment] or {}).get(kind) for moment in _MOMENTS)]
            if seeds:
                yield run, kind, seeds


def _charts(run: str, kind: str, seeds: list[Measured]) -> tuple[Chart, ...]:
    charts = []
    for moment, title in _MOMENTS.items():
        of = [space[moment][kind] for space in seeds]
        right, wrong = (_density([one[name] for one in of]) for name in ("correct", "incorrect"))
        words = (
            f"{run}: distances of queries to the right description, on average {_mean(of, 'mean_correct'):.2f}, and to "
            f"others, on average {_mean(of, 'mean_incorrect'):.2f}; the two distributions overlap by "
            f"{_mean(of, 'overlap'):.3f}, and the AUC is {_mean(of, 'auc'):.3f}"
        )
        charts.append(density_chart(title, words, {_RIGHT: right, _WRONG: wrong}, FARTHEST))
    return tuple(charts)


def _density(histograms: list[list[int]]) -> list[float]:
    """The mean over seeds of their densities: the area of each is 1."""
    width = FARTHEST / len(histograms[0])
    totals = [sum(counts) * width * len(histograms) for counts in histograms]
    return [
        sum(counts[index] / total for counts, total in zip(histograms, totals, strict=True))
        for index in range(len(histograms[0]))
    ]


def _row(run: str, kind: str, seeds: list[Measured]) -> list[Cell]:
    before, after = ([space[moment][kind] for space in seeds] for moment in _MOMENTS)
    equal = [one["with_equal_texts"] for one in after]
    right, wrong = _mean(after, "mean_correct"), _mean(after, "mean_incorrect")
    low, high = _ends(after, "auc_lost_interval")
    change = f"{signed(-_mean(after, 'auc_lost'), 4)} ({signed(-high, 4)} to {signed(-low, 4)})"
    pairs = after[0]["equal_pairs"]
    sharing, of = seeds[0]["after"]["sharing"], seeds[0]["after"]["candidates"]
    return [
        Cell(run, notes=(asked,) if (asked := _KINDS[kind]) else ()),
        _with_interval(before, "auc"),
        _with_interval(after, "auc"),
        _with_interval(before, "overlap"),
        _with_interval(after, "overlap"),
        Cell(f"{right:.3f}, {wrong:.3f}", right),
        *((_with_interval(equal, "auc", change), _with_interval(equal, "overlap")) if pairs else (MISSING, MISSING)),
        Cell(f"{count(sharing)} of {count(of)}", sharing / of) if of else MISSING,
    ]


def _with_interval(seeds: list[Measured], name: str, note: str | None = None) -> Cell:
    """The mean over seeds, with the mean ends of their intervals or a note."""
    value = _mean(seeds, name)
    return Cell(share(value), value, (note or interval(_ends(seeds, f"{name}_interval")),))


def _mean(seeds: list[Measured], name: str) -> float:
    return sum(float(one[name]) for one in seeds) / len(seeds)


def _ends(seeds: list[Measured], name: str) -> tuple[float, float]:
    """The mean over seeds of both ends of an interval."""
    low, high = (sum(float(one[name][end]) for one in seeds) / len(seeds) for end in (0, 1))
    return low, high


def _notes(dataset: str, measured: list[tuple[str, str, list[Measured]]]) -> list[str]:
    one = measured[0][2][0]["after"][measured[0][1]]
    size = (
        f"{count(one['queries'])} queries of {count(one['entities'])} entities of the validation split, "
        f"{count(one['wrong_pairs'])} wrong pairs."
    )
    few = " So few queries leave gaps in the histograms, which lower the overlap, before pre-training as after it."
    published = [_PUBLISHED[dataset]] if dataset in _PUBLISHED else []
    return [size + (few if one["queries"] < FEW_QUERIES else ""), *published]

"""The CLEP page: published numbers beside ours, the aligned space, one setting at a time, and fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kelbench.report.board import Board
from kelbench.report.clep_runs import CLEP, Curves, TuningView, ablation_table, tuning_view
from kelbench.report.clep_space import SpaceView, space_view
from kelbench.report.published import (
    NotRun,
    not_run,
    orders_summary,
    orders_table,
    protocol_sentence,
    values_table,
    waiting_table,
)
from kelbench.report.tables import Table

# Labels of runs that the page is about: CLEP itself, and graph encoders with a decoder by how their labels begin.
FAMILIES = ("CompGCN ", "R-GCN ", "CLEP fine-tuned ", "Warm-started ")
SOURCES = ("CLEP", "CompGCN", "DGL", "R-GCN")

Record = dict[str, Any]


@dataclass(frozen=True)
class PublishedTable:
    """A source's table, how it ranked, and whether some run here stands beside it."""

    table: Table
    protocol: str
    run_here: bool


@dataclass(frozen=True)
class ClepPage:
    """Everything that the section shows."""

    summary: str
    orders: Table | None
    waiting: Table | None
    published: list[PublishedTable]
    not_run: list[NotRun]
    spaces: list[SpaceView]
    ablations: list[Table]
    tuning: list[TuningView]

    @property
    def beside(self) -> list[PublishedTable]:
        """Tables that runs here stand beside."""
        return [item for item in self.published if item.run_here]

    @property
    def alone(self) -> list[PublishedTable]:
        """Tables that nothing here stands beside."""
        return [item for item in self.published if not item.run_here]


def is_of_clep(label: str) -> bool:
    """Whether a method's label is one of those that the page is about."""
    return label == CLEP or label.startswith(FAMILIES)


def clep_page(board: Board, curves: dict[str, Curves]) -> ClepPage | None:
    """None where the experiment has no run of CLEP and none of a graph encoder with a decoder.

    Args:
        board: the leaderboard.
        curves: dataset -> run -> the learning curve of each seed.
    """
    if not any(is_of_clep(run["method"]) for name in board.datasets for run in board.runs(name).values()):
        return None
    claims = sorted((c for c in board.content["claims"] if c["source"]["short"] in SOURCES), key=_place)
    values = [claim for claim in claims if claim["kind"] == "value"]
    orders = [claim for claim in claims if claim["kind"] == "ordering"]
    return ClepPage(
        summary=orders_summary(orders),
        orders=orders_table(board, orders, "clep-orders"),
        waiting=waiting_table(orders, "clep-orders-waiting"),
        published=_published(values),
        not_run=not_run(values),
        spaces=[view for name in board.datasets if (view := space_view(board, name))],
        ablations=[table for name in board.datasets if (table := ablation_table(board, name))],
        tuning=[tuned for name in board.datasets if (tuned := tuning_view(board, name, curves[name]))],
    )


def _place(claim: Record) -> tuple[int, bool]:
    """In the order of SOURCES; what was measured on validation triples comes after what was on test triples."""
    return SOURCES.index(claim["source"]["short"]), claim["protocol"]["split"] == "valid"


def _published(values: list[Record]) -> list[PublishedTable]:
    """A table for each source and place in it."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in values:
        groups.setdefault((record["source"]["short"], record["source"]["where"]), []).append(record)
    return [
        PublishedTable(
            values_table(f"clep-published-{number}", _caption(short, where, records), records),
            protocol_sentence(short, records[0]),
            any(record["rows"] for record in records),
        )
        for number, ((short, where), records) in enumerate(groups.items(), 1)
    ]


def _caption(short: str, where: str, records: list[Record]) -> str:
    datasets = ", ".join(dict.fromkeys(record["dataset"] for record in records))
    split = "validation triples" if records[0]["protocol"]["split"] == "valid" else "test triples"
    return f"{short}, {where}: {split} of {datasets}; as printed, and below it what was found here"

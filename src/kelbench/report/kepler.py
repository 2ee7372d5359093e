"""The KEPLER page: which of the paper's orders hold here, and its three tables of link prediction beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kelbench.report.board import Board
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

METHODS = ("KEPLER-Wiki", "KEPLER-OnlyDesc", "KEPLER-Rel", "KEPLER-Cond", "KEPLER-KE", "MLM only", "DKRL", "Bi-encoder")
SOURCE = "KEPLER"
TABLES = ("Table 4", "Table 9a", "Table 9b")

Record = dict[str, Any]


@dataclass(frozen=True)
class KeplerPage:
    """Everything that the section shows."""

    summary: str
    orders: Table | None
    waiting: Table | None
    tables: list[Table]
    protocols: list[str]
    not_run: list[NotRun]


def kepler_page(board: Board) -> KeplerPage | None:
    """None where the experiment has no run of KEPLER, its variants or what the paper compares them with."""
    run_here = {record["method"] for dataset in board.datasets for record in board.runs(dataset).values()}
    if not run_here & set(METHODS):
        return None
    claims: list[Record] = sorted(board.content["claims"], key=_place)
    values = [c for c in claims if c["kind"] == "value" and c["source"]["short"] == SOURCE]
    by_table = {table: [c for c in values if c["source"]["where"] == table] for table in TABLES}
    shown = {table: records for table, records in by_table.items() if records}
    orders = [c for c in claims if c["kind"] == "ordering" and _is_of_the_paper(c)]
    return KeplerPage(
        summary=orders_summary(orders),
        orders=orders_table(board, orders, "kepler-orders"),
        waiting=waiting_table(orders, "kepler-orders-waiting"),
        tables=[_table(name, records) for name, records in shown.items()],
        protocols=[protocol_sentence(name, records[0]) for name, records in shown.items()],
        not_run=not_run(values, estimated=True),
    )


def _place(claim: Record) -> int:
    """Claims of the paper come first, in the order of its tables."""
    source = claim["source"]
    ours = source["short"] == SOURCE and source["where"] in TABLES
    return TABLES.index(source["where"]) if ours else len(TABLES)


def _is_of_the_paper(claim: Record) -> bool:
    return claim["source"]["short"] == SOURCE or claim["higher"] in METHODS or claim["lower"] in METHODS


def _table(name: str, records: list[Record]) -> Table:
    caption = f"{SOURCE}, {name}, on {records[0]['dataset']}: as printed; below it, what was found here"
    return values_table(f"kepler-{name.lower().replace(' ', '-')}", caption, records)

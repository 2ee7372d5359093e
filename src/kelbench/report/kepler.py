"""The KEPLER page: which of the paper's orders hold here, and its three tables of link prediction beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kelbench.leaderboard.statistics import holm
from kelbench.report.board import Board
from kelbench.report.headline import METRIC_NAMES, MISSING, verdict_cell
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import metric_value, p_value, printed, share, signed

METHODS = ("KEPLER-Wiki", "KEPLER-OnlyDesc", "KEPLER-Rel", "KEPLER-Cond", "KEPLER-KE", "MLM only", "DKRL", "Bi-encoder")
SOURCE = "KEPLER"
TABLES = ("Table 4", "Table 9a", "Table 9b")
SHOWN = ("mr", "mrr", "hits@1", "hits@3", "hits@10")
NOT_RUN = "not run"
# What a verdict on an order says, where its name alone would not.
_ORDER_WORDS = {
    "reproduced": "reproduced: holds",
    "below": "below: reversed",
    "inconclusive": "inconclusive: undecided",
}

Record = dict[str, Any]


@dataclass(frozen=True)
class NotRun:
    """Published rows that no run here stands beside: how they would be run, and what they cost their authors."""

    methods: str
    command: str
    cost: str | None
    where: str | None
    url: str | None


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
        summary=_summary(orders),
        orders=_orders_table(board, orders),
        waiting=_waiting_table(orders),
        tables=[_table(name, records) for name, records in shown.items()],
        protocols=[_protocol(name, records[0]) for name, records in shown.items()],
        not_run=_not_run(values),
    )


def _place(claim: Record) -> int:
    """Claims of the paper come first, in the order of its tables."""
    source = claim["source"]
    ours = source["short"] == SOURCE and source["where"] in TABLES
    return TABLES.index(source["where"]) if ours else len(TABLES)


def _is_of_the_paper(claim: Record) -> bool:
    return claim["source"]["short"] == SOURCE or claim["higher"] in METHODS or claim["lower"] in METHODS


def _summary(orders: list[Record]) -> str:
    """How many tests of an order went which way, in a sentence."""
    verdicts = [claim["verdict"] for claim in orders]
    tested = [verdict for verdict in verdicts if verdict in _ORDER_WORDS]
    hold, reversed_, undecided = (tested.count(verdict) for verdict in ("reproduced", "below", "inconclusive"))
    waiting = len(verdicts) - len(tested)
    rest = f" {waiting} published {'order was' if waiting == 1 else 'orders were'} not tested." if waiting else ""
    if not tested:
        return f"No published order was tested here.{rest}"
    count = f"{len(tested)} {'test' if len(tested) == 1 else 'tests'}"
    return f"{count} of published orders: {hold} reproduced, {reversed_} reversed, {undecided} undecided.{rest}"


def _orders_table(board: Board, orders: list[Record]) -> Table | None:
    """One row a test, in the order of the claims."""
    columns = [
        Column("Order, as published"),
        Column("Tested on"),
        Column("Verdict"),
        Column("First here, MRR", numeric=True),
        Column("Second here, MRR", numeric=True),
        Column("Difference", numeric=True),
    ]
    tested = [claim for claim in orders if claim["difference"] is not None]
    if not tested:
        return None
    adjusted = holm([claim["p"] for claim in tested])
    rows = [_tested_row(board, claim, p) for claim, p in zip(tested, adjusted, strict=True)]
    caption = (
        "Published orders, first above second: the 95 % interval of the paired difference in MRR decides; "
        "p is adjusted by Holm over the table"
    )
    return Table("kepler-orders", caption, columns, [Group(rows)])


def _waiting_table(orders: list[Record]) -> Table | None:
    columns = [Column("Order, as published"), Column("Verdict"), Column("Because")]
    waiting = [claim for claim in orders if claim["difference"] is None]
    rows = [[_order(claim), verdict_cell(claim["verdict"]), Cell(claim["reason"])] for claim in waiting]
    return (
        Table("kepler-orders-waiting", "Published orders without a test here", columns, [Group(rows)]) if rows else None
    )


def _order(claim: Record) -> Cell:
    source = claim["source"]
    notes = (claim["printed"], f"{source['short']}, {source['where']}")
    higher, lower = (
        f"{claim[name]} ({encoder})" if (encoder := claim[f"{name}_encoder"]) else claim[name]
        for name in ("higher", "lower")
    )
    return Cell(f"{higher} above {lower}", notes=notes)


def _tested_row(board: Board, claim: Record, p_holm: float) -> list[Cell]:
    higher, lower = claim["rows"]
    dataset = claim["tested_on"]
    role = "the paper's own dataset" if dataset == claim["dataset"] else f"stand-in for {claim['dataset']}"
    low, high = claim["interval"]
    notes = (f"{signed(low)} to {signed(high)}", f"{p_value(p_holm)} (Holm)")
    return [
        _order(claim),
        Cell(board.title(dataset), notes=(dataset, role, f"preset {higher['preset']}")),
        Cell(_ORDER_WORDS[claim["verdict"]], verdict=claim["verdict"]),
        _run_cell(higher),
        _run_cell(lower),
        Cell(signed(claim["difference"]), claim["difference"], notes),
    ]


def _run_cell(row: Record) -> Cell:
    encoder = (f"encoder {row['encoder']}",) if row["encoder"] else ()
    return Cell(share(row["mean"]), row["mean"], (row["run"], *encoder))


def _table(name: str, records: list[Record]) -> Table:
    """One of the paper's tables: printed values, and below each what the runs on its own dataset gave."""
    columns = [
        Column("Method, as printed"),
        *(Column(METRIC_NAMES[metric], True, "down" if metric == "mr" else "up") for metric in SHOWN),
        Column("Run here"),
        Column("Verdict"),
    ]
    by_claim: dict[str, dict[str, Record]] = {}
    for record in records:
        by_claim.setdefault(record["id"], {})[record["metric"]] = record
    rows = [
        [_method(of["mrr"]), *(_value(of.get(metric)) for metric in SHOWN), _runs(of["mrr"]), _verdict(of)]
        for of in by_claim.values()
    ]
    caption = f"{SOURCE}, {name}, on {records[0]['dataset']}: as printed; below it, what was found here"
    return Table(f"kepler-{name.lower().replace(' ', '-')}", caption, columns, [Group(rows)])


def _method(record: Record) -> Cell:
    notes = [f"here: {record['method']}"] if record["printed_as"] else []
    notes += [record["setting"], f"release: {record['dataset_version']}" if record["dataset_version"] else ""]
    return Cell(record["printed_as"] or record["method"], notes=tuple(note for note in notes if note))


def _value(record: Record | None) -> Cell:
    if record is None:
        return MISSING
    metric = record["metric"]
    lines = tuple(
        f"here {metric_value(metric, row['mean'])} ({signed(row['delta'], 1 if metric == 'mr' else 3)})"
        for row in record["rows"]
    )
    return Cell(printed(record["value"], record["decimals"]), record["value"], lines)


def _runs(record: Record) -> Cell:
    """The runs whose numbers stand below the printed ones, in the same order."""
    lines = [f"{row['run']}, preset {row['preset']}" for row in record["rows"]]
    return Cell(lines[0], notes=tuple(lines[1:])) if lines else MISSING


def _verdict(by_metric: dict[str, Record]) -> Cell:
    """The verdict on MRR; those on other metrics where they differ; why there is none to be had."""
    verdict = by_metric["mrr"]["verdict"]
    notes = [
        f"{METRIC_NAMES[metric]}: {by_metric[metric]['verdict']}"
        for metric in SHOWN
        if metric in by_metric and by_metric[metric]["verdict"] != verdict
    ]
    notes += [record["note"] for record in (by_metric["mrr"],) if record["note"]]
    if verdict != NOT_RUN:
        notes.append(by_metric["mrr"]["reason"])
    return Cell(verdict, notes=tuple(notes), verdict=verdict)


def _protocol(name: str, record: Record) -> str:
    protocol = record["protocol"]
    unseen = "kept" if protocol["unseen"] == "keep" else "dropped"
    return f"{name}: {protocol['ties']} ranks, unseen entities {unseen}. {protocol['notes']}".strip()


def _not_run(values: list[Record]) -> list[NotRun]:
    """What is not run, rows with one command and one cost together."""
    groups: dict[tuple[str, str | None, str | None, str | None], dict[str, list[str]]] = {}
    for record in values:
        if record["verdict"] == NOT_RUN and record["metric"] == "mrr" and record["experiment"] is not None:
            cost = record["cost"] or {}
            key = (record["experiment"], cost.get("words"), cost.get("where"), cost.get("url"))
            tables = groups.setdefault(key, {})
            tables.setdefault(record["source"]["where"], []).append(record["printed_as"] or record["method"])
    return [
        NotRun(
            methods="; ".join(f"{table}: {', '.join(names)}" for table, names in tables.items()),
            command=f"snakemake --cores all --configfile {experiment}",
            cost=words,
            where=where,
            url=url,
        )
        for (experiment, words, where, url), tables in groups.items()
    ]

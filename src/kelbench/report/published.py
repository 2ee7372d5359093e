"""A paper's page: which of its orders hold here, its tables beside ours, and what was not run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kelbench.leaderboard.statistics import holm
from kelbench.report.board import Board
from kelbench.report.headline import METRIC_NAMES, MISSING, verdict_cell
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import metric_value, p_value, printed, share, signed

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
    """Published rows that no run here stands beside: how they would be run, and what they cost their authors.

    Attributes:
        methods: the rows, by table.
        command: what runs them; None where no experiment that is shipped does.
        cost, where, url: what they cost, who says so, and where; None where the source does not say.
        estimate: what computes a cost from the settings of those that are text encoders; None where nothing does.
    """

    methods: str
    command: str | None
    cost: str | None
    where: str | None
    url: str | None
    estimate: str | None


def orders_summary(orders: list[Record]) -> str:
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


def orders_table(board: Board, orders: list[Record], identifier: str) -> Table | None:
    """One row a test, in the order of the claims; None without a test."""
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
    return Table(identifier, caption, columns, [Group(rows)])


def waiting_table(orders: list[Record], identifier: str) -> Table | None:
    """Orders that nothing here tests, and why; None where there are none."""
    columns = [Column("Order, as published"), Column("Verdict"), Column("Because")]
    waiting = [claim for claim in orders if claim["difference"] is None]
    rows = [[_order(claim), verdict_cell(claim["verdict"]), Cell(claim["reason"])] for claim in waiting]
    return Table(identifier, "Published orders without a test here", columns, [Group(rows)]) if rows else None


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
    asked = claim["lower_at_least"] if dataset == claim["dataset"] else None
    # Else a difference away from 0 would stand beside "undecided" without a word.
    why = (f"{lower['run']} is below {asked:g}",) if asked is not None and lower["mean"] < asked else ()
    return [
        _order(claim),
        Cell(board.title(dataset), notes=(dataset, role, f"preset {higher['preset']}")),
        Cell(_ORDER_WORDS[claim["verdict"]], notes=why, verdict=claim["verdict"]),
        _run_cell(higher),
        _run_cell(lower),
        Cell(signed(claim["difference"]), claim["difference"], notes),
    ]


def _run_cell(row: Record) -> Cell:
    encoder = (f"encoder {row['encoder']}",) if row["encoder"] else ()
    return Cell(share(row["mean"]), row["mean"], (row["run"], *encoder))


def values_table(identifier: str, caption: str, records: list[Record]) -> Table:
    """One of a paper's tables: printed values, and below each what the runs on its own dataset gave.

    Args:
        identifier: of the table on the page.
        caption: of the table.
        records: value claims; those of one row differ in metric and value alone. With several datasets there is a
            column that names them.
    """
    several = len({record["dataset"] for record in records}) > 1
    columns = [
        Column("Method, as printed"),
        *([Column("Dataset")] if several else []),
        *(Column(METRIC_NAMES[metric], True, "down" if metric == "mr" else "up") for metric in SHOWN),
        Column("Run here"),
        Column("Verdict"),
    ]
    by_row: dict[tuple[Any, ...], dict[str, Record]] = {}
    for record in records:
        by_row.setdefault(_row_of(record), {})[record["metric"]] = record
    rows = []
    for of in by_row.values():
        one = of.get("mrr") or next(iter(of.values()))
        dataset = [Cell(one["dataset"])] if several else []
        rows.append([_method(one), *dataset, *(_value(of.get(m)) for m in SHOWN), _runs(one), _verdict(of, one)])
    return Table(identifier, caption, columns, [Group(rows)])


def _row_of(record: Record) -> tuple[Any, ...]:
    """A printed row: where a source prints metrics with different decimals, it is two claims."""
    names = ("dataset", "dataset_version", "engine", "method", "printed_as", "encoder", "setting", "preset")
    return tuple(record[name] for name in names)


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


def _verdict(by_metric: dict[str, Record], one: Record) -> Cell:
    """The verdict on MRR; those on other metrics where they differ; why there is none to be had."""
    verdict = one["verdict"]
    notes = [
        f"{METRIC_NAMES[metric]}: {by_metric[metric]['verdict']}"
        for metric in SHOWN
        if metric in by_metric and by_metric[metric]["verdict"] != verdict
    ]
    notes += [one["note"]] if one["note"] else []
    if verdict != NOT_RUN:
        notes.append(one["reason"])
    return Cell(verdict, notes=tuple(notes), verdict=verdict)


def protocol_sentence(name: str, record: Record) -> str:
    """How the source of a claim ranked."""
    protocol = record["protocol"]
    unseen = "kept" if protocol["unseen"] == "keep" else "dropped"
    return f"{name}: {protocol['ties']} ranks, unseen entities {unseen}. {protocol['notes']}".strip()


def not_run(values: list[Record], estimated: bool = False) -> list[NotRun]:
    """What is not run, rows of one source with one command and one cost together.

    Args:
        values: claims of values.
        estimated: whether `kelbench estimate` can say what the experiments cost.
    """
    several = len({record["source"]["short"] for record in values}) > 1
    groups: dict[tuple[str | None, ...], dict[str, dict[str, None]]] = {}
    for record in values:
        if record["verdict"] == NOT_RUN and record["metric"] == "mrr":
            cost = record["cost"] or {}
            source = record["source"]
            owner = source["short"] if several else None
            key = (owner, record["experiment"], cost.get("words"), cost.get("where"), cost.get("url"))
            name = record["printed_as"] or record["method"]
            table = f"{source['short']}, {source['where']}" if several else source["where"]
            groups.setdefault(key, {}).setdefault(table, {})[name] = None
    return [
        NotRun(
            methods="; ".join(f"{table}: {', '.join(names)}" for table, names in tables.items()),
            command=f"snakemake --cores all --configfile {experiment}" if experiment else None,
            cost=words,
            where=where,
            url=url,
            estimate=f"kelbench estimate --config {experiment}" if experiment and estimated else None,
        )
        for (_, experiment, words, where, url), tables in groups.items()
    ]

"""Published claims and what this experiment says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kelbench.report.board import Board
from kelbench.report.headline import METRIC_NAMES, MISSING, verdict_cell
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import metric_value, printed, signed

NOT_RUN = "not run"
Record = dict[str, Any]


@dataclass(frozen=True)
class ClaimsTables:
    """Claims with a verdict; claims on this experiment's datasets without one; claims on other datasets."""

    judged: Table | None
    waiting: Table | None
    elsewhere: Table | None


def claims_tables(board: Board) -> ClaimsTables:
    """All claims; values of one claim with one verdict for one reason share a row."""
    judged: list[list[Record]] = []
    waiting: list[list[Record]] = []
    elsewhere: list[list[Record]] = []
    for records in _merged(board.content["claims"]):
        first = records[0]
        if first["dataset"] not in board.datasets and first["tested_on"] is None:
            elsewhere.append(records)
        else:
            (waiting if first["verdict"] == NOT_RUN else judged).append(records)
    return ClaimsTables(
        _table("claims", "Claims and verdicts", judged),
        _table("claims-waiting", "Claims on these datasets that no run here can judge", waiting),
        _table("claims-elsewhere", "Claims on other datasets", elsewhere),
    )


def _merged(claims: list[Record]) -> list[list[Record]]:
    groups: dict[tuple[str, str | None, str, str], list[Record]] = {}
    for claim in claims:
        groups.setdefault((claim["id"], claim["tested_on"], claim["verdict"], claim["reason"]), []).append(claim)
    return list(groups.values())


def _table(identifier: str, caption: str, claims: list[list[Record]]) -> Table | None:
    columns = [
        Column("Claim"),
        Column("Dataset"),
        Column("Source"),
        Column("Here (minus the claim)"),
        Column("Verdict"),
        Column("Because"),
    ]
    rows = [
        [
            _statement(records),
            _dataset(records[0]),
            _source(records[0]),
            _values(records),
            verdict_cell(records[0]["verdict"]),
            Cell(records[0]["reason"]),
        ]
        for records in claims
    ]
    return Table(identifier, caption, columns, [Group(rows)]) if rows else None


def _statement(records: list[Record]) -> Cell:
    first = records[0]
    if first["kind"] != "value":
        return Cell(first["statement"], notes=(f"{first['kind']} {first['id']}",))
    values = ", ".join(f"{_name(record)} {printed(record['value'], record['decimals'])}" for record in records)
    name = f"{first['method']} (printed as {first['printed_as']})" if first["printed_as"] else first["method"]
    remarks = (first["note"],) if first["note"] else ()
    return Cell(f"{name}: {values}", notes=(first["setting"], *remarks, first["id"]))


def _name(record: Record) -> str:
    return METRIC_NAMES.get(record["metric"], record["metric"].replace("_", " "))


def _dataset(record: Record) -> Cell:
    notes = []
    if record["dataset_version"]:
        notes.append(record["dataset_version"])
    if record["tested_on"] not in (None, record["dataset"]):
        notes.append(f"tested on the stand-in {record['tested_on']}")
    return Cell(record["dataset"], notes=tuple(notes))


def _source(record: Record) -> Cell:
    source, protocol = record["source"], record["protocol"]
    unseen = "kept" if protocol["unseen"] == "keep" else "dropped"
    notes = [source["where"], f"ties: {protocol['ties']}; unseen entities {unseen}"]
    if protocol["notes"]:
        notes.append(protocol["notes"])
    return Cell(source["short"], notes=tuple(notes), link=source["url"])


def _values(records: list[Record]) -> Cell:
    lines = []
    for record in records:
        for row in record["rows"]:
            mean = signed(row["mean"]) if record["kind"] == "effect" else metric_value(record["metric"], row["mean"])
            delta = f" ({signed(row['delta'], 1 if record['metric'] == 'mr' else 3)})" if "delta" in row else ""
            encoder = f", encoder {row['encoder']}" if row.get("encoder") else ""
            lines.append(f"{_name(record)} {mean}{delta}, {row['run']}, preset {row['preset']}{encoder}")
    return Cell(lines[0], notes=tuple(lines[1:])) if lines else MISSING

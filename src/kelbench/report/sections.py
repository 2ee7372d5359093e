"""The tables below the leaderboards: sides, unseen entities, engines, breakdowns, ties, audits."""

from __future__ import annotations

from typing import Any

from kelbench.report.board import Board, Row
from kelbench.report.headline import (
    CANDIDATE_NAMES,
    METRIC_NAMES,
    MISSING,
    published_cell,
    verdict_cell,
    with_deviation,
)
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import count, p_value, printed, scientific, signed

_BREAKDOWNS = {
    "category": ("Relation category", "1.5 or more on average counts as N (Bordes et al. 2013)"),
    "degree": ("Degree of the answer", "triples of the known graph with the answer in them"),
    "relation": ("Relation", ""),
}


def sides_table(board: Board, dataset: str) -> Table:
    """MRR and Hits@10 of head, tail and both sides, and MRR with every distinct query counted once."""
    columns = [Column("Run")]
    columns += [Column(f"{METRIC_NAMES[m]}, {side}", True, "up") for m in ("mrr", "hits@10") for side in _SIDES]
    columns.append(Column("Query-macro MRR, both", True, "up"))
    rows = []
    for run in _all_runs(board, dataset):
        cells = [_number(board.row(dataset, run, m, side=side)) for m in ("mrr", "hits@10") for side in _SIDES]
        rows.append([Cell(run), *cells, _number(board.row(dataset, run, "mrr_query_macro"))])
    return Table(f"sides-{dataset}", f"{board.title(dataset)}: head and tail queries", columns, [Group(rows)])


_SIDES = ("head", "tail", "both")


def comparison_tables(board: Board, dataset: str) -> list[Table]:
    """For each run that the experiment compares others with, those minus it, in MRR."""
    compared = board.comparisons(dataset)
    chosen = sorted({item["compared_with"] for item in compared})
    return [
        _comparison_table(board, dataset, one, [item for item in compared if item["compared_with"] == one])
        for one in chosen
    ]


def _comparison_table(board: Board, dataset: str, one: str, compared: list[dict[str, Any]]) -> Table:
    columns = [
        Column("Run"),
        Column("Encoder"),
        Column("MRR", True, "up"),
        Column(f"Minus {one}", True, "up"),
        Column("95 % interval", True),
        Column("p (Holm)", True),
    ]
    rows = []
    for item in compared:
        low, high = item["interval"]
        row = board.row(dataset, item["run"])
        rows.append(
            [
                Cell(item["run"]),
                Cell((row or {}).get("encoder") or "\N{EN DASH}"),
                _number(row),
                Cell(signed(item["difference"]), item["difference"], strong=low > 0 or high < 0),
                Cell(f"{signed(low)} to {signed(high)}", low),
                Cell(p_value(item["p_holm"]), item["p_holm"]),
            ]
        )
    title = f"{board.title(dataset)}: runs against {one}, paired over seeds and test triples"
    return Table(f"comparison-{dataset}-{one}", title, columns, [Group(rows)])


def is_unseen_throughout(board: Board, dataset: str) -> bool:
    """Whether every test triple has an entity that training never saw, so that nothing is left to drop to."""
    return any(
        check["check"] == "triples with an unseen entity"
        and check["split"] == "test"
        and check["count"] == check["of"] > 0
        for check in board.datasets[dataset]["audit"].get("checks", [])
    )


def unseen_table(board: Board, dataset: str) -> Table | None:
    """Unseen entities kept and dropped, with counts; None where there is nothing to drop."""
    columns = [
        Column("Run"),
        Column("MRR, kept", True, "up"),
        Column("MRR, dropped", True, "up"),
        Column("Difference", True),
        Column("Hits@10, kept", True, "up"),
        Column("Hits@10, dropped", True, "up"),
        Column("Published, dropped (ours minus it)"),
        Column("Verdict"),
    ]
    rows = []
    counts = ""
    for run in _all_runs(board, dataset):
        keep, drop = board.row(dataset, run), board.row(dataset, run, unseen="drop")
        if keep is None or drop is None:
            continue
        counts = (
            f"kept: {count(keep['n_triples'])} triples against {count(keep['n_candidates'])} candidates; "
            f"dropped: {count(drop['n_triples'])} against {count(drop['n_candidates'])}"
        )
        gain = drop["mean"] - keep["mean"]
        rows.append(
            [
                Cell(run),
                _number(keep),
                _number(drop),
                Cell(signed(gain), gain),
                _number(board.row(dataset, run, "hits@10")),
                _number(board.row(dataset, run, "hits@10", unseen="drop")),
                published_cell(drop),
                verdict_cell(drop["verdict"]),
            ]
        )
    caption = f"{board.title(dataset)}: entities unseen in training ({counts})"
    return Table(f"unseen-{dataset}", caption, columns, [Group(rows)]) if rows else None


def ties_table(board: Board, dataset: str) -> Table:
    """MRR by each rule for ties, and how many ranks have one."""
    columns = [Column("Run"), *(Column(f"{t.capitalize()} MRR", True) for t in _TIES), Column("Ranks with a tie", True)]
    rows = []
    for run in _all_runs(board, dataset):
        tied = board.row(dataset, run, "tie_rate")
        cell = Cell(f"{100 * tied['mean']:.2f} %", tied["mean"]) if tied else MISSING
        rows.append([Cell(run), *(_number(board.row(dataset, run, ties=ties), 4) for ties in _TIES), cell])
    return Table(f"ties-{dataset}", f"{board.title(dataset)}: equal scores", columns, [Group(rows)])


_TIES = ("optimistic", "realistic", "pessimistic")


def engines_table(board: Board) -> Table | None:
    """Each PyKEEN run beside the native ones of its method, if any; None where PyKEEN ran nothing."""
    rows: list[list[Cell]] = []
    for dataset in board.datasets:
        records = board.runs(dataset)
        for run in sorted(records):
            record = records[run]
            twins: list[str | None] = [
                n for n, r in sorted(records.items()) if r["method"] == record["method"] and r["engine"] == "native"
            ]
            if record["engine"] != "pykeen":
                continue
            rows += [_engine_row(board, dataset, native, run) for native in twins or [None]]
    columns = [
        Column("Method"),
        Column("Dataset"),
        Column("kelbench MRR", True, "up"),
        Column("PyKEEN MRR", True, "up"),
        Column("Difference", True),
        Column("What PyKEEN computes"),
    ]
    return Table("engines", "One method, two engines", columns, [Group(rows)]) if rows else None


def _engine_row(board: Board, dataset: str, native: str | None, run: str) -> list[Cell]:
    record = board.runs(dataset)[run]
    ours, theirs = board.row(dataset, native) if native else None, board.row(dataset, run)
    difference = MISSING
    if ours and theirs:
        gap = ours["mean"] - theirs["mean"]
        difference = Cell(signed(gap), gap)
    computes = _fact(record, "computes") or "the score function of the paper"
    return [
        Cell(record["method"], notes=(f"{native} and {run}" if native else run,)),
        Cell(board.title(dataset)),
        _number(ours),
        _number(theirs),
        difference,
        Cell(str(computes)),
    ]


def same_vectors_table(board: Board) -> Table | None:
    """Scores, loss and gradients of both engines on the same vectors; the first seed that has them."""
    columns = [
        Column("Method"),
        Column("Dataset"),
        Column("Largest score difference", True),
        Column("Loss, kelbench", True),
        Column("Loss, PyKEEN", True),
        Column("Largest relative gradient difference", True),
    ]
    rows = []
    for dataset in board.datasets:
        for run, record in sorted(board.runs(dataset).items()):
            facts = _fact(record, "same_vectors")
            if not isinstance(facts, dict):
                continue
            values = [
                _fact_cell(facts.get(name), form)
                for name, form in (
                    ("score_max_difference", scientific),
                    ("loss_ours", _six),
                    ("loss_pykeen", _six),
                    ("gradient_max_relative_difference", scientific),
                )
            ]
            rows.append([Cell(record["method"], notes=(run,)), Cell(board.title(dataset)), *values])
    return Table("same-vectors", "The same vectors in both engines", columns, [Group(rows)]) if rows else None


def _six(value: float) -> str:
    return f"{value:.6f}"


def _fact_cell(value: Any, form: Any) -> Cell:
    return Cell(form(value), value) if isinstance(value, (int, float)) else MISSING


def _fact(record: dict[str, Any], name: str) -> Any:
    """A fact of the first seed that reports it."""
    found = [facts[name] for _, facts in sorted(record["facts"].items()) if facts.get(name) is not None]
    return found[0] if found else None


def breakdown_tables(board: Board, dataset: str) -> list[Table]:
    """MRR and Hits@10 of the best run by relation category, degree and relation."""
    run = board.best(dataset)
    tables = []
    for kind, (label, note) in _BREAKDOWNS.items():
        rows = []
        for row in board.breakdowns(dataset, run, kind):
            name = row["breakdown"].removeprefix(f"{kind}=")
            hits = board.row(dataset, run, "hits@10", breakdown=row["breakdown"])
            n_triples = Cell(count(row["n_triples"]), row["n_triples"])
            deviation = Cell(with_deviation(row), row["mean"])
            rows.append([Cell(name), n_triples, deviation, _number(hits)])
        columns = [Column(label), Column("Triples", True), Column("MRR", True, "up"), Column("Hits@10", True, "up")]
        caption = f"{board.title(dataset)}, {run}: by {label.lower()}" + (f"; {note}" if note else "")
        if rows:
            tables.append(Table(f"breakdown-{dataset}-{kind}", caption, columns, [Group(rows)]))
    return tables


def name_match_table(board: Board, dataset: str) -> Table | None:
    """MRR of every run where the name of one entity stands in the other's text, and where not; None without names."""
    found = [
        (run, [board.row(dataset, run, "mrr", breakdown=part) for part in (None, "name match=yes", "name match=no")])
        for run in board.runs(dataset)
    ]
    rows = [[Cell(run), *(_number(row) for row in parts)] for run, parts in found if all(parts)]
    if not rows:
        return None
    sizes = [row["n_triples"] if row else 0 for row in found[0][1]]
    columns = [Column("Run")]
    columns += [
        Column(f"MRR, {name} ({count(size)} triples)", True, "up")
        for name, size in zip(("all", "name match", "no name match"), sizes, strict=True)
    ]
    caption = f"{board.title(dataset)}: by name match (the name of one entity stands in the text of the other)"
    return Table(f"name-match-{dataset}", caption, columns, [Group(rows)])


def protocol_table(board: Board, dataset: str) -> Table:
    """What is ranked against what, and which triples are filtered."""
    columns = [
        Column("Split"),
        Column("Triples ranked", True),
        Column("Known at inference", True),
        Column("Candidates"),
        Column("Filter"),
    ]
    record = board.datasets[dataset]
    rows = []
    for split in ("valid", "test"):
        facts = record["splits"][split]
        for protocol in facts["protocols"]:
            size = sum(
                record["entity_spaces"][space]["stop"] - record["entity_spaces"][space]["start"]
                for space in protocol["spaces"]
            )
            rows.append(
                [
                    Cell("validation" if split == "valid" else "test"),
                    Cell(count(facts["num_triples"]), facts["num_triples"]),
                    Cell(count(facts.get("num_support", 0)), facts.get("num_support", 0)),
                    Cell(f"{CANDIDATE_NAMES[protocol['candidates']]}: {count(size)}"),
                    Cell(", ".join(name.removesuffix(".npy") for name in protocol["filter"])),
                ]
            )
    return Table(f"protocol-{dataset}", f"{record['title']}: how it is ranked", columns, [Group(rows)])


def audit_table(board: Board, dataset: str) -> Table | None:
    """Findings of the audit; None where it has none."""
    columns = [Column("Check"), Column("Split"), Column("Found", True), Column("Severity"), Column("What it means")]
    rows = []
    for check in board.datasets[dataset]["audit"].get("checks", []):
        of = f" of {count(check['of'])}" if isinstance(check.get("of"), (int, float)) else ""
        rows.append(
            [
                Cell(str(check["check"])),
                Cell(str(check.get("split") or "\N{EN DASH}")),
                Cell(f"{count(check['count'])}{of}", check["count"]),
                Cell(check["severity"], verdict=f"severity {check['severity']}"),
                Cell(str(check.get("explanation", ""))),
            ]
        )
    title = board.title(dataset)
    return Table(f"audit-{dataset}", f"{title}: audit", columns, [Group(rows)]) if rows else None


def texts_table(board: Board, dataset: str) -> Table | None:
    """What each source of texts can tell; None where there is none."""
    columns = [
        Column("Texts"),
        Column("Entities with text", True),
        Column("Different texts", True),
        Column("Median words", True),
        Column("Oracle MRR", True),
        Column("Test triples with a name match", True),
    ]
    rows = []
    for record in board.datasets[dataset]["audit"].get("texts", []):
        share = record["name_match"]
        rows.append(
            [
                Cell(record["source"].replace("_", " ")),
                Cell(f"{count(record['with_text'])} of {count(record['entities'])}", record["with_text"]),
                Cell(count(record["distinct"]), record["distinct"]),
                Cell(f"{record['median_words']:.0f}", record["median_words"]),
                Cell(f"{record['oracle_mrr']:.3f}", record["oracle_mrr"]),
                Cell("\N{EN DASH}" if share is None else f"{100 * share:.1f} %", share),
            ]
        )
    caption = f"{board.title(dataset)}: texts"
    return Table(f"texts-{dataset}", caption, columns, [Group(rows)]) if rows else None


def relation_pairs_table(board: Board, dataset: str) -> Table | None:
    """Relations that are near duplicates or inverses of each other in the training graph; None where there are none."""
    columns = [
        Column("Relation"),
        Column("Kind"),
        Column("Other"),
        Column("Shared", True),
        Column("Shared of other", True),
    ]
    rows = [
        [
            Cell(pair["relation"]),
            Cell(pair["kind"]),
            Cell(pair["other"]),
            Cell(f"{100 * pair['share']:.1f} %", pair["share"]),
            Cell(f"{100 * pair['other_share']:.1f} %", pair["other_share"]),
        ]
        for pair in board.datasets[dataset]["audit"].get("relation_pairs", [])
    ]
    caption = f"{board.title(dataset)}: relations that hold of the same entity pairs"
    return Table(f"relation-pairs-{dataset}", caption, columns, [Group(rows)]) if rows else None


def _number(row: Row | None, decimals: int = 3) -> Cell:
    if row is None:
        return MISSING
    return Cell(printed(row["mean"], decimals), row["mean"])


def _all_runs(board: Board, dataset: str) -> list[str]:
    methods, controls = board.ordered(dataset)
    return [*methods, *controls]

"""The leaderboard of each dataset: one row a run, with intervals, published numbers and verdicts."""

from __future__ import annotations

from typing import Any

from kelbench.report.board import SIGNIFICANT, Board, Row
from kelbench.report.tables import Cell, Column, Group, Table
from kelbench.report.text import interval, metric_value, p_value, printed, share, signed

SHOWN = ("hits@1", "hits@3", "hits@10", "mr", "amri")
METRIC_NAMES = {
    "mrr": "MRR",
    "hits@1": "Hits@1",
    "hits@3": "Hits@3",
    "hits@10": "Hits@10",
    "mr": "MR",
    "amri": "AMRI",
    "mrr_query_macro": "query-macro MRR",
}
ENGINE_NAMES = {"native": "kelbench", "pykeen": "PyKEEN"}
CANDIDATE_NAMES = {"all": "all entities", "split": "the split's own entities"}
MISSING = Cell("\N{EN DASH}", sort=None)


def headline_tables(board: Board, dataset: str) -> list[Table]:
    """The leaderboard of a dataset under each of its protocols, the primary one first."""
    return [_table(board, dataset, candidates) for candidates in board.protocols(dataset)]


def _table(board: Board, dataset: str, candidates: str) -> Table:
    methods, controls = board.ordered(dataset, candidates)
    published = (
        [Column("Published MRR (ours minus it)"), Column("Verdict")]
        if has_published(board, dataset, candidates)
        else []
    )
    columns = [
        Column("Method and run"),
        Column("Engine, preset"),
        Column("Test MRR", numeric=True, better="up"),
        *(Column(METRIC_NAMES[name], numeric=True, better="down" if name == "mr" else "up") for name in SHOWN),
        Column("Validation MRR", numeric=True, better="up"),
        Column("Behind the best", numeric=True),
        *published,
    ]
    best = _best_values(board, dataset, methods, candidates)
    groups = [Group([_run_row(board, dataset, run, candidates, best, bool(published)) for run in methods])]
    if controls:
        rows = [_run_row(board, dataset, run, candidates, {}, bool(published)) for run in controls]
        groups.append(Group(rows, label="Controls: what a score is worth that learned nothing"))
    example = board.row(dataset, (methods or controls)[0], candidates=candidates)
    ranked = f"{example['n_triples']:,} test triples, both sides, " if example else ""
    caption = f"{board.title(dataset)}: {ranked}against {CANDIDATE_NAMES[candidates]}"
    return Table(f"leaderboard-{dataset}-{candidates}", caption, columns, [group for group in groups if group.rows])


def _best_values(board: Board, dataset: str, runs: list[str], candidates: str) -> dict[str, float]:
    best: dict[str, float] = {}
    for metric in ("mrr", *SHOWN):
        rows = [board.row(dataset, run, metric, candidates=candidates) for run in runs]
        means = [row["mean"] for row in rows if row]
        if means:
            best[metric] = min(means) if metric == "mr" else max(means)
    return best


def _run_row(
    board: Board, dataset: str, run: str, candidates: str, best: dict[str, float], published: bool
) -> list[Cell]:
    record = board.runs(dataset)[run]
    mrr = board.row(dataset, run, candidates=candidates)
    primary = candidates == board.protocols(dataset)[0]
    return [
        Cell(record["method"], notes=(run, *_encoder(mrr), *convergence(record))),
        Cell(ENGINE_NAMES[record["engine"]], notes=(record["preset"],)),
        _mrr_cell(mrr, best),
        *(_metric_cell(board.row(dataset, run, name, candidates=candidates), name, best) for name in SHOWN),
        _validation_cell(board, dataset, run),
        _difference_cell(board, dataset, run) if primary else MISSING,
        *([published_cell(mrr), verdict_cell(mrr["verdict"] if mrr else None)] if published else []),
    ]


def has_published(board: Board, dataset: str, candidates: str) -> bool:
    """Whether some run of the dataset stands beside a published MRR; the columns for it are left out otherwise."""
    rows = [board.row(dataset, run, candidates=candidates) for run in board.runs(dataset)]
    return any(row["published"] for row in rows if row)


def methods_below_controls(board: Board, dataset: str) -> list[str]:
    """One sentence for each method run whose test MRR a control reaches or exceeds: it shows no skill beyond that."""
    methods, controls = board.ordered(dataset)
    sentences = []
    for run in methods:
        row = board.row(dataset, run)
        above = [
            f"{board.runs(dataset)[control]['method']} ({share(other['mean'])})"
            for control in controls
            if row and (other := board.row(dataset, control)) and other["mean"] >= row["mean"]
        ]
        if row and above:
            sentences.append(f"{run} ({share(row['mean'])}) is not above the control {' and '.join(above)}.")
    return sentences


def convergence(record: dict[str, Any]) -> tuple[str, ...]:
    """A note for a run of which some seed met its time limit before early stopping ended it."""
    facts = record["facts"].values()
    return ("not converged (time limit)",) if any(f.get("converged") is False for f in facts) else ()


def _encoder(row: Row | None) -> tuple[str, ...]:
    """A note on a text method's encoder: runs of one method may differ in that alone."""
    return (f"encoder {row['encoder']}",) if row and row["encoder"] else ()


def _mrr_cell(row: Row | None, best: dict[str, float]) -> Cell:
    if row is None:
        return MISSING
    notes = []
    if row["ci_seed"]:
        notes.append(f"seeds {interval(row['ci_seed'])}")
    elif row["n_seeds"] == 1:
        notes.append("one seed")
    if row["ci_test"]:
        notes.append(f"triples {interval(row['ci_test'])}")
    return Cell(with_deviation(row), row["mean"], tuple(notes), strong=best.get("mrr") == row["mean"])


def with_deviation(row: Row) -> str:
    """Mean ± standard deviation over seeds; the mean alone for one seed."""
    mean = metric_value(row["metric"], row["mean"])
    return mean if row["sd"] is None else f"{mean} ± {metric_value(row['metric'], row['sd'])}"


def _metric_cell(row: Row | None, metric: str, best: dict[str, float]) -> Cell:
    if row is None:
        return MISSING
    return Cell(metric_value(metric, row["mean"]), row["mean"], strong=best.get(metric) == row["mean"])


def _validation_cell(board: Board, dataset: str, run: str) -> Cell:
    row = board.row(dataset, run, split="valid")
    return MISSING if row is None else Cell(share(row["mean"]), row["mean"])


def _difference_cell(board: Board, dataset: str, run: str) -> Cell:
    if run == board.best(dataset):
        return Cell("best", 0.0, strong=True)
    item = board.difference(dataset, run)
    if item is None:
        return MISSING
    low, high = item["interval"]
    notes = [f"{signed(low)} to {signed(high)}", f"{p_value(item['p_holm'])} (Holm)"]
    if item["p_holm"] >= SIGNIFICANT:
        notes.append("not distinguishable from best")
    return Cell(share(item["difference"]), item["difference"], tuple(notes))


def published_cell(row: Row | None) -> Cell:
    """Every published value beside a row: value, source, our difference from it."""
    if row is None or not row["published"]:
        return MISSING
    ordered = sorted(row["published"], key=lambda item: (-item["value"], item["id"]))
    lines = [
        f"{printed(item['value'], item['decimals'])} {_published_by(item)} "
        f"({signed(item['delta'], 1 if row['metric'] == 'mr' else 3)})"
        for item in ordered
    ]
    return Cell(lines[0], ordered[0]["value"], tuple(lines[1:]))


def _published_by(item: dict[str, Any]) -> str:
    source = str(item["source"]["short"])
    return f"{source}, {item['printed_as']}" if item["printed_as"] not in (None, source) else source


def verdict_cell(verdict: str | None) -> Cell:
    """A verdict; a dash where none was asked for."""
    return MISSING if verdict is None else Cell(verdict, verdict=verdict)

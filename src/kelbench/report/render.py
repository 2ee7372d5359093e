"""The report: one HTML file that opens from disk with no request to anywhere, and the exports beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kelbench.base.files import write_text
from kelbench.config.experiment import Experiment
from kelbench.leaderboard.results import seed_folder
from kelbench.report import curves, sections
from kelbench.report.board import Board
from kelbench.report.claims_section import claims_tables
from kelbench.report.clep import clep_page
from kelbench.report.clep_runs import Curves
from kelbench.report.costs import read_costs
from kelbench.report.exports import downloads, exports, settings_text
from kelbench.report.findings import word_bag_sentences
from kelbench.report.headline import has_published, headline_tables, methods_below_controls
from kelbench.report.kepler import kepler_page
from kelbench.report.page import render_page
from kelbench.report.performance import read_performance
from kelbench.report.text_tasks import linking_tables


def render_report(experiment: Experiment, leaderboard: Path, out: Path) -> Path:
    """Write `index.html` and `leaderboard.csv`, `.md`, `.tex`, `.json` into `out`.

    Equal inputs give equal bytes; results/reference/benchmarks.json, where it exists, is one of them. The section of
    provenance and cost is the only one that shows times and machines of this experiment; it is the last and stands
    between two comments, so that the rest can be compared between machines.

    Args:
        experiment: where curves, times and provenance stand.
        leaderboard: leaderboard.json of the same experiment.
        out: the folder to write.

    Returns:
        the path of the page.

    Raises:
        UserError: the leaderboard or a seed's file is missing; names it and the step that makes it.
    """
    board = Board(leaderboard)
    files = exports(board)
    learned = {name: _curves(board, experiment, name) for name in board.datasets}
    context = {
        "title": board.content["title"],
        "experiment": board.content["experiment"],
        "config": experiment.path.as_posix(),
        "datasets": [_dataset(board, name, learned[name]) for name in board.datasets],
        "word_bags": word_bag_sentences(board),
        "kepler": kepler_page(board),
        "clep": clep_page(board, learned),
        "engines": sections.engines_table(board),
        "same_vectors": sections.same_vectors_table(board),
        "claims": claims_tables(board),
        "num_seeds": len(experiment.settings.seeds),
        "downloads": downloads(files),
        "runs": _settings(board),
        "performance": read_performance(),
        "costs": read_costs(experiment),
        "plot": curves,
    }
    page = render_page(context)
    for name, (text, _, _) in files.items():
        write_text(out / name, text)
    write_text(out / "index.html", page)
    return out / "index.html"


def _dataset(board: Board, name: str, learned: Curves) -> dict[str, Any]:
    record = board.datasets[name]
    spaces = {space: facts["stop"] - facts["start"] for space, facts in record["entity_spaces"].items()}
    return {
        "name": name,
        "record": record,
        "spaces": spaces,
        "best": board.best(name),
        "headline": headline_tables(board, name),
        "below_controls": methods_below_controls(board, name),
        "published": any(has_published(board, name, candidates) for candidates in board.protocols(name)),
        "comparisons": sections.comparison_tables(board, name),
        "linking": linking_tables(board, name),
        "sides": sections.sides_table(board, name),
        "unseen_throughout": sections.is_unseen_throughout(board, name),
        "unseen": sections.unseen_table(board, name),
        "ties": sections.ties_table(board, name),
        "breakdowns": sections.breakdown_tables(board, name),
        "name_match": sections.name_match_table(board, name),
        "protocol": sections.protocol_table(board, name),
        "audit": sections.audit_table(board, name),
        "texts": sections.texts_table(board, name),
        "relation_pairs": sections.relation_pairs_table(board, name),
        "panels": curves.panels(learned),
    }


def _curves(board: Board, experiment: Experiment, dataset: str) -> Curves:
    methods, _ = board.ordered(dataset)
    read = {}
    for name in methods:
        run = experiment.run(dataset, name)
        read[name] = [curves.read_curve(seed_folder(run, seed) / "curve.jsonl") for seed in run.seeds]
    return read


def _settings(board: Board) -> list[dict[str, Any]]:
    """Each run's summary, paper and settings, datasets with the same settings together."""
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for dataset in board.datasets:
        for run, record in sorted(board.runs(dataset).items()):
            text = settings_text(record["settings"])
            entry = shown.setdefault((run, text), {"run": run, "settings": text, "datasets": [], **_about(record)})
            entry["datasets"].append(board.title(dataset))
    return [shown[key] for key in sorted(shown)]


def _about(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("method", "engine", "preset", "summary", "paper", "seeds")}

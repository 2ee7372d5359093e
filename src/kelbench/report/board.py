"""Reading access to leaderboard.json: rows by what they measure, runs in the order in which tables show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kelbench.base.errors import UserError
from kelbench.base.files import read_json

CONTROL = "control"
SIGNIFICANT = 0.05
_PARTS = ("experiment", "title", "rows", "differences", "comparisons", "datasets", "runs", "word_bags", "claims")

Row = dict[str, Any]


class Board:
    """A leaderboard that has been read.

    Attributes:
        path: where it was read; curves and provenance of its runs lie beside it.
        content: the whole of leaderboard.json.
    """

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            UserError: it is missing or is no leaderboard.
        """
        self.path = path
        self.content: dict[str, Any] = read_json(path)
        if not isinstance(self.content, dict) or any(part not in self.content for part in _PARTS):
            raise UserError(f"{path}: expected a leaderboard with {', '.join(_PARTS)}; run kelbench leaderboard again")
        self.rows: list[Row] = self.content["rows"]
        self._index = {
            (
                row["dataset"],
                row["run"],
                row["split"],
                row["candidates"],
                row["unseen"],
                row["side"],
                row["ties"],
                row["metric"],
                row["breakdown"],
            ): row
            for row in self.rows
        }

    @property
    def datasets(self) -> dict[str, dict[str, Any]]:
        """Name -> manifest summary and audit, in the order of names."""
        return dict(sorted(self.content["datasets"].items()))

    def title(self, dataset: str) -> str:
        """The dataset's name as papers print it."""
        return str(self.datasets[dataset]["title"])

    def runs(self, dataset: str) -> dict[str, dict[str, Any]]:
        """Run name -> its record."""
        return dict(self.content["runs"][dataset])

    def protocols(self, dataset: str) -> list[str]:
        """Candidates of each protocol of the test split, the primary one first."""
        return [protocol["candidates"] for protocol in self.datasets[dataset]["splits"]["test"]["protocols"]]

    def row(
        self,
        dataset: str,
        run: str,
        metric: str = "mrr",
        split: str = "test",
        side: str = "both",
        unseen: str = "keep",
        ties: str = "realistic",
        candidates: str | None = None,
        breakdown: str | None = None,
    ) -> Row | None:
        """One row; None where that was not measured. Candidates are the primary ones unless given."""
        chosen = candidates or self.protocols(dataset)[0]
        return self._index.get((dataset, run, split, chosen, unseen, side, ties, metric, breakdown))

    def ordered(self, dataset: str, candidates: str | None = None) -> tuple[list[str], list[str]]:
        """Runs by falling test MRR: those of methods, and controls."""

        def standing(run: str) -> tuple[float, str]:
            row = self.row(dataset, run, candidates=candidates)
            return (-row["mean"] if row else 1.0, run)

        runs = self.runs(dataset)
        ordered = sorted(runs, key=standing)
        methods = [run for run in ordered if runs[run]["kind"] != CONTROL]
        return methods, [run for run in ordered if runs[run]["kind"] == CONTROL]

    def best(self, dataset: str) -> str:
        """The run with the best test MRR, a control only where there is nothing else."""
        methods, controls = self.ordered(dataset)
        return (methods or controls)[0]

    def difference(self, dataset: str, run: str) -> dict[str, Any] | None:
        """The best run minus this one, with interval and p; None for the best itself."""
        for item in self.content["differences"]:
            if item["dataset"] == dataset and item["other"] == run:
                return dict(item)
        return None

    def comparisons(self, dataset: str) -> list[dict[str, Any]]:
        """Every run minus one that the experiment names, the greatest first; empty where it names none."""
        found = [dict(item) for item in self.content["comparisons"] if item["dataset"] == dataset]
        return sorted(found, key=lambda item: -item["difference"])

    def fine_tuning(self, dataset: str) -> list[dict[str, Any]]:
        """Runs that went on from another minus those that began otherwise; empty where there are none."""
        return [dict(item) for item in self.content.get("fine_tuning", []) if item["dataset"] == dataset]

    def breakdowns(self, dataset: str, run: str, kind: str) -> list[Row]:
        """MRR rows of a run by `relation`, `category` or `degree`."""
        found = [
            row
            for row in self.rows
            if row["dataset"] == dataset
            and row["run"] == run
            and row["metric"] == "mrr"
            and row["breakdown"] is not None
            and row["breakdown"].startswith(f"{kind}=")
        ]
        return sorted(found, key=lambda row: _natural(row["breakdown"].removeprefix(f"{kind}=")))


def _natural(name: str) -> tuple[int, str]:
    """Degrees by their lower end, everything else by its letters."""
    digits = name.split("-", maxsplit=1)[0].rstrip("+")
    return (int(digits), "") if digits.isdigit() and not name.endswith(("-N", "-1")) else (-1, name)

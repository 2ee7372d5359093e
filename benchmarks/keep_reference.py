"""Keep what an experiment found: its leaderboard, and of each run its settings, provenance and learning curves.

    python benchmarks/keep_reference.py EXPERIMENT

Copies, of the runs that are in the leaderboard,

    results/EXPERIMENT/leaderboard.json
    results/EXPERIMENT/DATASET/RUN/settings.json
    results/EXPERIMENT/DATASET/RUN/seed-N/provenance.json and curve.jsonl

to the same places below results/reference/EXPERIMENT, which is under version control; models and ranks are not kept.
What an earlier copy left there and this one does not have is removed.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from kelbench.base.errors import UserError
from kelbench.base.files import read_json, write_bytes

RESULTS = Path("results")
REFERENCE = "reference"
LEADERBOARD = "leaderboard.json"
OF_A_RUN = ("settings.json",)
OF_A_SEED = ("provenance.json", "curve.jsonl")
_NAME = re.compile(r"[\w.-]*\w[\w.-]*")


def main() -> None:
    """Copy one experiment."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("experiment", help="its name: that of its folder in results/")
    options.add_argument("--results", type=Path, default=RESULTS)
    chosen = options.parse_args()
    try:
        folder = keep_reference(chosen.experiment, chosen.results)
    except UserError as error:
        sys.exit(f"keep_reference: {error}")
    print(folder)


def keep_reference(experiment: str, results: Path) -> Path:
    """Copy the experiment and give the folder of the copy.

    Every file is replaced in one step, and all are read before the first is written, so that nothing is changed where
    one is missing. The leaderboard comes last: one that is there is never newer than the files beside it.

    Raises:
        UserError: `experiment` is no name of an experiment, has no leaderboard, or lacks a file of a run in it.
    """
    if not _NAME.fullmatch(experiment) or experiment == REFERENCE:
        raise UserError(f"{experiment!r}: expected the name of an experiment, which is that of a folder in {results}")
    source, target = results / experiment, results / REFERENCE / experiment
    contents = {file: _read(source / file) for file in kept_files(source)}
    for file, content in contents.items():
        write_bytes(target / file, content)
    _remove_others(target, {target / file for file in contents})
    return target


def kept_files(source: Path) -> list[Path]:
    """Paths below an experiment's folder of the files to keep, the leaderboard last.

    Raises:
        UserError: the experiment has no leaderboard.
    """
    if not (source / LEADERBOARD).is_file():
        raise UserError(f"{source / LEADERBOARD}: expected a leaderboard, found none; run the experiment first")
    files = []
    for dataset, runs in sorted(read_json(source / LEADERBOARD)["runs"].items()):
        for run, record in sorted(runs.items()):
            folder = Path(dataset, run)
            files += [folder / name for name in OF_A_RUN]
            files += [folder / f"seed-{seed}" / name for seed in record["seeds"] for name in OF_A_SEED]
    return [*files, Path(LEADERBOARD)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: the leaderboard has this run, but the file is missing; run the experiment") from None


def _remove_others(folder: Path, kept: set[Path]) -> None:
    # Longer paths come first, so that a folder is seen after what it held.
    for path in sorted(folder.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        if path.is_symlink() or not path.is_dir():
            if path not in kept:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


if __name__ == "__main__":
    main()

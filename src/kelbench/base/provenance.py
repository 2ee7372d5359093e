"""What made a file: code, versions, machine, time. Nothing here enters a result that must be the same bits twice."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "numpy", "scipy", "numba", "pykeen", "snakemake", "pandas", "transformers")


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide results; one that is not installed is left out."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def code_commit() -> str | None:
    """The commit of the checkout that holds this package, with ``+changes`` if it differs; None outside a checkout."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        return commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def peak_memory_mib() -> int:
    """Largest resident size of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak // (1 << 20) if sys.platform == "darwin" else peak // 1024)


def provenance(commit: str | None, **facts: Any) -> dict[str, Any]:
    """The record stored beside a result: `facts` and the circumstances of this process.

    Args:
        commit: `code_commit()` when the process began: a checkout may have moved on under a long run.
        **facts: what else the record holds.
    """
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": commit,
        "cpu": cpu_model(),
        "cpu_count": os.cpu_count(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "peak_memory_mib": peak_memory_mib(),
        "platform": platform.platform(),
        "versions": package_versions(),
        **facts,
    }

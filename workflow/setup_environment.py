"""Makes `.venv`, the environment of this checkout; does nothing when it is there and complete.

    python3 workflow/setup_environment.py

Needs Python 3.11 to 3.13 with `venv`, and nothing else: only the standard library is imported here, and the text parses
on any Python 3.7 or later, so that an older one can say what is missing.

torch is a step of its own. Plain `torch` on Linux is the CUDA build, several gigabytes; so pip is first asked which
build it would take, and the CUDA build is taken only for a machine with a GPU. Everything else comes from
requirements.lock, where each file has its digest.

Variables:
    PYTHON=python3.12        the interpreter to build with (read by the Makefile)
    KELBENCH_TORCH=cpu|cuda  which build of torch; without it, cuda where `nvidia-smi -L` works, else cpu
    KELBENCH_TORCH=skip      leave torch to the user: `.venv/bin/python -m pip install ...` afterwards
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
TORCH_VERSION = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST, NEWEST = (3, 11), (3, 13)
FREE_BYTES = {"cpu": 3 * 10**9, "cuda": 12 * 10**9, "skip": 2 * 10**9}
# The only package without a wheel; it is pure Python, and built with the pinned setuptools.
SOURCE_ONLY = "connection-pool"
ENTRY = re.compile(r"^[\w.-]+==", flags=re.MULTILINE)
# Settings of the user's shell that would send packages elsewhere or bring other modules in.
_FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "PIP_REQUIRE_HASHES",
    "__PYVENV_LAUNCHER__",
)


class SetupError(Exception):
    """What stops the set-up, and what to do about it."""


def dotted(version: tuple[int, ...]) -> str:
    """``3.11``."""
    return ".".join(map(str, version))


# ---- which Python


def supported(version: tuple[int, ...]) -> bool:
    """Whether requirements.lock has files for this Python."""
    return OLDEST <= tuple(version[:2]) <= NEWEST


def find_python() -> str | None:
    """The newest supported interpreter on PATH."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return path
    return None


def use_a_supported_python() -> None:
    """Start again with a supported interpreter, not that of an environment: it may be the one to rebuild."""
    if supported(sys.version_info) and sys.prefix == sys.base_prefix:
        return
    better = getattr(sys, "_base_executable", None) if supported(sys.version_info) else find_python()
    if better is None:
        raise SetupError(
            f"kelbench needs Python {dotted(OLDEST)} to {dotted(NEWEST)}; this is {dotted(sys.version_info[:2])} "
            f"({sys.executable}), and PATH has no other.\nInstall one, or name one: make PYTHON=python3.12 ..."
        )
    if os.environ.get("KELBENCH_SETUP_PYTHON") == better:
        return
    os.environ["KELBENCH_SETUP_PYTHON"] = better
    os.execv(better, [better, *sys.argv])  # noqa: S606 (an interpreter, found above)


def check_venv_module() -> None:
    """Debian and Ubuntu split both modules off."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = dotted(sys.version_info[:2])
        raise SetupError(
            f"Python {version} ({sys.executable}) has no module venv or ensurepip.\n"
            f"On Debian and Ubuntu: apt install python{version}-venv"
        ) from None


# ---- which torch


def wanted_build(variable: str, system: str, has_gpu: bool) -> str:
    """`cpu`, `cuda` or `skip`: what KELBENCH_TORCH says, else what the machine offers."""
    if variable not in ("", "cpu", "cuda", "skip"):
        raise SetupError(f"KELBENCH_TORCH: expected cpu, cuda or skip, found {variable!r}")
    return variable or ("cuda" if system == "linux" and has_gpu else "cpu")


def torch_arguments(wanted: str, system: str, offered: str) -> list[str]:
    """Arguments of `pip install` that give the wanted build.

    Args:
        wanted: `cpu` or `cuda`.
        system: `sys.platform`.
        offered: the version that pip would take by itself; empty if it found none.

    A `+cpu` build (from a local folder of wheels, say) and any build for macOS are taken as they are. On Linux a build
    without that suffix is the CUDA one.
    """
    plain = f"torch=={TORCH_VERSION}"
    if wanted == "cuda":
        if offered.endswith("+cpu"):
            raise SetupError(
                f"KELBENCH_TORCH=cuda: pip would take {offered}; unset PIP_FIND_LINKS or the index that offers it"
            )
        return [plain]
    if offered.endswith("+cpu") or (offered and system != "linux"):
        return ["--no-deps", plain]
    # The suffix is part of the requirement, so that no other configured index can slip the CUDA build in.
    return ["--no-deps", "--index-url", TORCH_CPU_INDEX, plain + "+cpu"]


def has_gpu() -> bool:
    """Whether NVIDIA's driver lists a device."""
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0 and b"GPU" in found.stdout


# ---- the stamp


def read_stamp(folder: Path) -> dict[str, Any]:
    """What the complete environment in `folder` was made from; empty if it is not complete."""
    try:
        return dict(json.loads((folder / ".complete").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def stamp_for(root: Path, torch: str | None) -> dict[str, Any]:
    """The stamp of an environment of this checkout, Python and lock. It cannot be moved, so the place counts."""
    return {
        "lock": hashlib.sha256((root / "requirements.lock").read_bytes()).hexdigest(),
        "python": dotted(sys.version_info[:2]),
        "root": str(root),
        "torch": torch,
        "torch_pin": TORCH_VERSION,
    }


def is_current(stamp: dict[str, Any], root: Path, variable: str) -> bool:
    """Whether the environment fits lock, Python, place and, where KELBENCH_TORCH asks for one, torch's build."""
    if not stamp or stamp != stamp_for(root, stamp.get("torch")):
        return False
    if not (root / ".venv/bin/python").exists():
        return False
    build = stamp["torch"]
    if variable in ("cpu", "cuda"):
        return build is not None and (variable == "cpu") == (build.endswith("+cpu") or sys.platform != "linux")
    return build is not None or variable == "skip"


# ---- building


class Environment:
    """The environment that is being built."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = str(self.folder / "bin/python")
        self.variables = {name: value for name, value in os.environ.items() if name not in _FOREIGN}

    def build(self, wanted: str) -> None:
        """Build from nothing. The stamp is written last, so that a build that was killed is seen and done again."""
        self._remove_old()
        self._check_space(wanted)
        self.folder.mkdir()
        (self.folder / ".incomplete").touch()
        say(f"making .venv with Python {dotted(sys.version_info[:3])}")
        self._run([sys.executable, "-m", "venv", str(self.folder)], "Python could not make a virtual environment")
        lock = (self.root / "requirements.lock").read_text(encoding="utf-8")
        self._install_locked(pick(lock, ("pip", "setuptools")), "pip and setuptools")
        torch = None if wanted == "skip" else self._install_torch(wanted)
        self._install_locked(lock, f"{len(re.findall(ENTRY, lock))} packages")
        self._link_package()
        if torch is not None:
            self._check()
        write_whole(self.folder / ".complete", json.dumps(stamp_for(self.root, torch), indent=1, sort_keys=True) + "\n")
        (self.folder / ".incomplete").unlink()
        say("the environment is complete" if torch else "the environment is complete but for torch, left to you")

    def _remove_old(self) -> None:
        aside = self.folder.with_name(".venv.old")
        if self.folder.is_symlink():
            raise SetupError(f"{self.folder} is a link; remove it, the environment must stand here")
        if self.folder.exists():
            ours = any((self.folder / name).exists() for name in (".complete", ".incomplete"))
            if not ours and any(self.folder.iterdir()):
                raise SetupError(
                    f"{self.folder} was not made by this set-up; move it away or remove it, then run again"
                )
            say("removing .venv: it is not complete, or was made for another lock file, Python or folder")
            shutil.rmtree(str(aside), ignore_errors=True)
            # In one step, so that no kill leaves a part of it that has no stamp.
            self.folder.rename(aside)
        shutil.rmtree(str(aside), ignore_errors=True)

    def _check_space(self, wanted: str) -> None:
        free, needed = shutil.disk_usage(str(self.root)).free, FREE_BYTES[wanted]
        if free < needed:
            raise SetupError(
                f"{self.root}: expected {needed / 1e9:.0f} GB of free space for the environment, "
                f"found {free / 1e9:.1f} GB"
            )

    def _install_torch(self, wanted: str) -> str:
        arguments = torch_arguments(wanted, sys.platform, self._offered_torch())
        say(f"installing torch {TORCH_VERSION} for {'CUDA' if wanted == 'cuda' else 'the CPU'}")
        remedy = (
            f"torch {TORCH_VERSION} could not be installed. Either\n"
            f"  - make the index {TORCH_CPU_INDEX} reachable, or\n"
            f"  - put a torch-{TORCH_VERSION}+cpu wheel into a folder and set PIP_FIND_LINKS to it, or\n"
            "  - set KELBENCH_TORCH=cuda to take the CUDA build (gigabytes; it runs on a CPU as well)."
        )
        self._pip(["--only-binary", ":all:", *arguments], remedy)
        shown = self._output([self.python, "-c", "import importlib.metadata as m; print(m.version('torch'))"])
        return shown.strip()

    def _offered_torch(self) -> str:
        """The version of torch that pip would take, from the metadata alone."""
        question = ["--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-"]
        command = [self.python, "-m", "pip", "install", *question, f"torch=={TORCH_VERSION}"]
        answer = subprocess.run(command, env=self.variables, capture_output=True, check=False)
        try:
            return str(json.loads(answer.stdout)["install"][0]["metadata"]["version"])
        except (ValueError, LookupError):
            return ""

    def _install_locked(self, lock: str, what: str) -> None:
        say(f"installing {what} from requirements.lock")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "requirements.lock"
            path.write_text(lock, encoding="utf-8")
            binary = ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "--no-build-isolation"]
            self._pip(
                ["--no-deps", "--require-hashes", *binary, "-r", str(path)],
                f"pip could not install {what}; its own message is above. Is a package index reachable?",
            )

    def _pip(self, arguments: list[str], failure: str) -> None:
        quiet = [] if sys.stdout.isatty() else ["-qq"]
        options = ["--disable-pip-version-check", "--no-input", *quiet]
        self._run([self.python, "-m", "pip", "install", *options, *arguments], failure)

    def _link_package(self) -> None:
        """Put src/ on the environment's path and write the command `kelbench`.

        Not `pip install -e .`: its isolated build fetches packages that no lock names.
        """
        purelib = self._output([self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
        write_whole(Path(purelib) / "kelbench.pth", f"{self.root / 'src'}\n")
        # A shell starts Python, as a path with a space cannot stand behind `#!`; to Python, the two lines are a string.
        command = (
            f"#!/bin/sh\n'''exec' \"{self.python}\" \"$0\" \"$@\"\n' '''\nfrom kelbench.cli import main\n\nmain()\n"
        )
        write_whole(self.folder / "bin/kelbench", command)
        (self.folder / "bin/kelbench").chmod(0o755)

    def _check(self) -> None:
        say("checking the environment")
        self._run([self.python, "-m", "pip", "check", "--quiet"], "the installed packages do not fit each other")
        modules = "torch, pykeen, snakemake, kelbench.config.experiment"
        self._run([self.python, "-c", f"import {modules}"], "the installed packages cannot be imported")

    def _run(self, command: list[str], failure: str) -> None:
        if subprocess.run(command, env=self.variables, stdin=subprocess.DEVNULL, check=False).returncode:
            raise SetupError(failure)

    def _output(self, command: list[str]) -> str:
        return subprocess.run(command, env=self.variables, stdout=subprocess.PIPE, check=True, text=True).stdout


def pick(lock: str, names: tuple[str, ...]) -> str:
    """The entries of `names` in a lock file, with their digests."""
    starts = [match.start() for match in re.finditer(ENTRY, lock)]
    entries = [lock[start:stop] for start, stop in itertools.pairwise([*starts, len(lock)])]
    return "".join(entry for entry in entries if entry.split("==")[0] in names)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Wait until no other set-up works on this checkout."""
    with (root / ".venv.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is at work here; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """A line of progress."""
    print(f"set-up: {text}", flush=True)


def main() -> None:
    """Build the environment unless it is current."""
    use_a_supported_python()
    variable = os.environ.get("KELBENCH_TORCH", "")
    wanted_build(variable, sys.platform, False)
    if is_current(read_stamp(ROOT / ".venv"), ROOT, variable):
        return
    check_venv_module()
    with alone(ROOT):
        if not is_current(read_stamp(ROOT / ".venv"), ROOT, variable):
            Environment(ROOT).build(wanted_build(variable, sys.platform, has_gpu()))


def stop(message: str) -> NoReturn:
    """End with a message and exit code 2."""
    print(f"set-up: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(130)

"""Writes requirements.lock and environment.yml anew from pyproject.toml: `make lock`.

    .venv/bin/python workflow/write_lock.py [ARGUMENT OF `uv pip compile` ...]

Versions of the present lock are kept where they still fit; `--upgrade` or `--upgrade-package NAME` takes newer ones.
torch and what only its CUDA build needs are left out (workflow/setup_environment.py installs torch); what every build
of torch needs is in, since torch is installed without its dependencies.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from setup_environment import ROOT, TORCH_CPU_INDEX, TORCH_VERSION, write_whole

NEEDS_OF_TORCH = "filelock fsspec jinja2 mpmath networkx setuptools>=77.0.3 sympy typing-extensions"
# The set-up brings pip itself to a known version.
NEEDS_OF_SETUP = "pip>=26"

HEADER = f"""\
# The packages of requirements.lock for users of conda. Written by `make lock`; a test compares the two.
#
#     conda env create -f environment.yml
#     conda activate kelbench
#     pip install --no-deps --no-build-isolation -e .
#
# Or let conda give the interpreter alone: `conda create -n kelbench python=3.12`, activate it, `make demo`.
# torch is the CPU build on Linux. For a GPU remove the line --extra-index-url: plain torch is the CUDA build.
name: kelbench
channels: [conda-forge]
dependencies:
  - python>=3.11,<3.14
  - make
  - pip
  - pip:
      - --extra-index-url {TORCH_CPU_INDEX}
      - torch=={TORCH_VERSION}
"""


def compile_lock(arguments: list[str]) -> None:
    """Let uv resolve for every supported Python and system, with digests and without any index's address."""
    with tempfile.TemporaryDirectory() as folder:
        more, left_out = Path(folder) / "more.in", Path(folder) / "left_out.txt"
        more.write_text("\n".join([*NEEDS_OF_TORCH.split(), NEEDS_OF_SETUP]))
        left_out.write_text("torch\n")
        options = "--universal --python-version 3.11 --generate-hashes --extra slurm --extra test"
        plain = "--no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock"
        inputs = ["pyproject.toml", str(more), "--excludes", str(left_out)]
        command = ["uv", "pip", "compile", *inputs, *options.split(), *plain.split(), *arguments]
        subprocess.run(command, cwd=ROOT, check=True)


def environment_file(lock: str) -> str:
    """The text of environment.yml: the lock's requirements without digests."""
    lines = [line.rstrip(" \\") for line in lock.splitlines() if re.match(r"[\w.-]+==", line)]
    return HEADER + "".join(f'      - "{line}"\n' for line in lines)


if __name__ == "__main__":
    compile_lock(sys.argv[1:])
    write_whole(ROOT / "environment.yml", environment_file((ROOT / "requirements.lock").read_text()))

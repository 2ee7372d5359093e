"""The architecture as DESIGN has it: a module imports nothing above its floor and nothing from a sibling folder."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path("src/kelbench")
FLOORS = [
    ("base",),
    ("config",),
    ("data",),
    ("kernels",),
    ("scoring",),
    ("ranking",),
    ("training", "encoders"),
    ("tasks",),
    ("methods",),
    ("leaderboard",),
    ("report",),
    ("cli",),
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# A named exception: the job and the model that a method exchanges with the loop speak of tables.
ALLOWED = {("training", "encoders")}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "kelbench" or len(parts) == 1 or parts[1] == "__version__":
            continue
        target = parts[1]
        if target == room:
            if room == "methods":
                assert path.parts[3] in (parts[2], f"{parts[2]}.py"), f"{path} imports its sibling {name}"
            continue
        assert FLOOR_OF[target] < FLOOR_OF[room] or (room, target) in ALLOWED, f"{path} imports {name}"


def test_reading_a_config_imports_no_torch():
    import subprocess
    import sys

    code = "import kelbench.config.workflow, kelbench.config.experiment, sys; sys.exit('torch' in sys.modules)"
    environment = {"PYTHONPATH": "src", "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0

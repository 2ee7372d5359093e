import importlib.util
from pathlib import Path

import pytest


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """The builder of a made-up experiment, with an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return load(Path(__file__).parent / "made_up.py")

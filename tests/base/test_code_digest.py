"""The digest of a step's code changes with the code that the step runs, and with nothing else."""

from pathlib import Path

import pytest

from kelbench.base.code_digest import code_digest, imported_modules
from kelbench.base.errors import UserError

FILES = {
    "__init__.py": '"""The package."""\n',
    "data/__init__.py": "",
    "data/read.py": "from kelbench.scoring import score\n\n\ndef read(x):\n    return score(x)\n",
    "scoring.py": '"""Scores."""\n\n\ndef score(x):\n    """Twice x."""\n    # doubled\n    return 2 * x\n',
    "lazy.py": "def later():\n    from kelbench.data import read\n\n    return read\n",
    "plain.py": "import kelbench.data.read\n",
    "alone.py": "import json\nimport kelbenchmark\n",
    "report/__init__.py": "",
    "report/render.py": "from kelbench import scoring\n",
    "report/templates/page.html": "<p>",
}


@pytest.fixture
def package(tmp_path):
    """A function that writes the package into a new folder, which no earlier digest was cached for."""
    (tmp_path / "requirements.lock").write_text("numpy==1\n")

    def make() -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return make


def edited(package: Path, name: str, old: str, new: str) -> None:
    path = package / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def digest(package: Path, *modules: str) -> str:
    return code_digest(*modules, package=package, lock=package.parent / "requirements.lock")


def test_imports_are_followed(package):
    folder = package()
    assert imported_modules(("kelbench.lazy",), folder) == [
        "kelbench",
        "kelbench.data",
        "kelbench.data.read",
        "kelbench.lazy",
        "kelbench.scoring",
    ]
    assert imported_modules(("kelbench.plain",), folder) == [
        "kelbench",
        "kelbench.data",
        "kelbench.data.read",
        "kelbench.plain",
        "kelbench.scoring",
    ]
    assert imported_modules(("kelbench.alone",), folder) == ["kelbench", "kelbench.alone"]


@pytest.mark.parametrize(
    "module", ["kelbench.scoring", "kelbench.data.read", "kelbench.lazy", "kelbench.report.render"]
)
def test_an_edit_far_down_is_seen(package, module):
    before, after = package(), package()
    assert digest(before, module) == digest(package(), module)
    edited(after, "scoring.py", "2 * x", "x * 2")
    assert digest(before, module) != digest(after, module)


def test_an_edit_elsewhere_is_not(package):
    before, after = package(), package()
    edited(after, "report/templates/page.html", "<p>", "<b>")
    edited(after, "alone.py", "json", "os")
    assert digest(before, "kelbench.lazy") == digest(after, "kelbench.lazy")
    assert digest(before, "kelbench.report.render") != digest(after, "kelbench.report.render")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# doubled", "# two times"),
        ("    # doubled\n", "\n\n"),
        ('"""Twice x."""', '"""The score: twice x."""'),
        ('"""Scores."""', ""),
        ("2 * x", "(2  *  x)"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(package, old, new):
    before, after = package(), package()
    edited(after, "scoring.py", old, new)
    assert digest(before, "kelbench.lazy") == digest(after, "kelbench.lazy")


def test_an_init_and_the_lock_count(package):
    first, second = package(), package()
    (second / "data/__init__.py").write_text("x = 1\n")
    assert digest(first, "kelbench.lazy") != digest(second, "kelbench.lazy")
    other_lock = first.parent / "other.lock"
    other_lock.write_text("numpy==2\n")
    assert digest(first, "kelbench.lazy") != code_digest("kelbench.lazy", package=first, lock=other_lock)


def test_modules_count_and_their_order_does_not(package):
    folder = package()
    assert digest(folder, "kelbench.alone", "kelbench.lazy") == digest(folder, "kelbench.lazy", "kelbench.alone")
    assert digest(folder, "kelbench.alone", "kelbench.lazy") != digest(folder, "kelbench.lazy")


def test_what_cannot_be_read_is_named(package):
    folder = package()
    with pytest.raises(UserError, match=r"kelbench\.gone"):
        digest(folder, "kelbench.gone")
    with pytest.raises(UserError, match="lock"):
        code_digest("kelbench.lazy", package=folder, lock=folder / "none.lock")
    (folder / "scoring.py").write_text("def score(:\n")
    with pytest.raises(UserError, match=r"scoring\.py:1: expected Python"):
        digest(folder, "kelbench.lazy")
    (folder / "alone.py").write_text("from . import scoring\n")
    with pytest.raises(UserError, match=r"alone\.py:1: expected an import by full name"):
        digest(folder, "kelbench.alone")


def test_the_real_package():
    training = imported_modules(("kelbench.methods.run", "kelbench.methods.ke"))
    assert "kelbench.scoring" in training
    assert not [name for name in training if name.startswith(("kelbench.report", "kelbench.leaderboard"))]
    assert "kelbench.scoring" not in imported_modules(("kelbench.data.prepare",))
    assert len(code_digest("kelbench.data.prepare")) == 64

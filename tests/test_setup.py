"""The set-up's decisions and its stamp; the agreement of lock, environment.yml and pyproject.toml."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setup(load):
    return load("setup_environment")


@pytest.fixture(scope="module")
def load():
    """Imports a script of workflow/, which is no package."""
    sys.path.insert(0, str(ROOT / "workflow"))

    def script(name: str):
        specification = importlib.util.spec_from_file_location(name, ROOT / f"workflow/{name}.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module

    yield script
    sys.path.remove(str(ROOT / "workflow"))


def pins(text: str) -> dict[str, str]:
    return {name.lower().replace("_", "-"): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.M)}


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    return pins((ROOT / "requirements.lock").read_text())


# ---- which torch


@pytest.mark.parametrize(
    ("variable", "system", "gpu", "expected"),
    [
        ("", "linux", False, "cpu"),
        ("", "linux", True, "cuda"),
        ("", "darwin", False, "cpu"),
        ("cpu", "linux", True, "cpu"),
        ("cuda", "linux", False, "cuda"),
        ("skip", "linux", True, "skip"),
    ],
)
def test_the_build_of_torch(setup, variable, system, gpu, expected):
    assert setup.wanted_build(variable, system, gpu) == expected


def test_an_unknown_build_is_refused(setup):
    with pytest.raises(setup.SetupError, match="cpu, cuda or skip, found 'rocm'"):
        setup.wanted_build("rocm", "linux", False)


def test_a_cpu_build_never_comes_from_an_index_that_offers_the_cuda_one(setup):
    plain = f"torch=={setup.TORCH_VERSION}"
    assert setup.torch_arguments("cpu", "linux", f"{setup.TORCH_VERSION}+cpu") == ["--no-deps", plain]
    assert setup.torch_arguments("cpu", "darwin", setup.TORCH_VERSION) == ["--no-deps", plain]
    for offered in (setup.TORCH_VERSION, f"{setup.TORCH_VERSION}+cu130", ""):
        arguments = setup.torch_arguments("cpu", "linux", offered)
        assert arguments == ["--no-deps", "--index-url", setup.TORCH_CPU_INDEX, f"{plain}+cpu"]


def test_the_cuda_build_is_taken_with_its_dependencies(setup):
    assert setup.torch_arguments("cuda", "linux", setup.TORCH_VERSION) == [f"torch=={setup.TORCH_VERSION}"]
    with pytest.raises(setup.SetupError, match="PIP_FIND_LINKS"):
        setup.torch_arguments("cuda", "linux", f"{setup.TORCH_VERSION}+cpu")


# ---- which Python


def test_supported_versions(setup):
    assert [minor for minor in range(8, 17) if setup.supported((3, minor, 1))] == [11, 12, 13]


def test_the_newest_supported_python_on_the_path(setup, tmp_path, monkeypatch):
    for name, code in {"python3.14": 0, "python3.13": 1, "python3.12": 0, "python3.11": 0, "python3.9": 0}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert setup.find_python() == str(tmp_path / "python3.12"), "3.13 does not start, 3.14 has no lock"
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert setup.find_python() is None


def test_an_old_python_without_another_is_told(setup, monkeypatch):
    monkeypatch.setattr(setup, "supported", lambda version: False)
    monkeypatch.setattr(setup, "find_python", lambda: None)
    with pytest.raises(setup.SetupError, match=r"(?s)needs Python 3\.11 to 3\.13; this is .*PYTHON=python3\.12"):
        setup.use_a_supported_python()


def test_missing_modules_are_named(setup, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(setup.SetupError, match=r"apt install python3\.\d+-venv"):
        setup.check_venv_module()


# ---- the stamp


@pytest.fixture
def checkout(setup, tmp_path):
    """A checkout whose environment is complete."""
    (tmp_path / "requirements.lock").write_text("numpy==2.0\n")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()
    stamp(setup, tmp_path, f"{setup.TORCH_VERSION}+cpu")
    return tmp_path


def stamp(setup, root: Path, torch: str | None) -> None:
    import json

    (root / ".venv/.complete").write_text(json.dumps(setup.stamp_for(root, torch)))


def current(setup, root: Path, variable: str = "") -> bool:
    return setup.is_current(setup.read_stamp(root / ".venv"), root, variable)


def test_a_complete_environment_is_left_alone(setup, checkout):
    assert current(setup, checkout)
    assert current(setup, checkout, "cpu")
    assert current(setup, checkout, "skip")


def test_what_makes_an_environment_stale(setup, checkout, monkeypatch):
    assert not current(setup, checkout, "cuda") or sys.platform != "linux"
    monkeypatch.setattr(setup, "TORCH_VERSION", "9.9")
    assert not current(setup, checkout)
    monkeypatch.undo()
    assert current(setup, checkout)
    (checkout / "requirements.lock").write_text("numpy==2.1\n")
    assert not current(setup, checkout)


def test_a_moved_or_unfinished_environment_is_stale(setup, checkout):
    moved = checkout / "moved"
    moved.mkdir()
    shutil.copytree(checkout / ".venv", moved / ".venv")
    shutil.copy(checkout / "requirements.lock", moved)
    assert not current(setup, moved)
    (checkout / ".venv/.complete").write_text('{"lock": ')
    assert not current(setup, checkout)


def test_torch_left_to_the_user_counts_only_when_asked_for(setup, checkout):
    stamp(setup, checkout, None)
    assert current(setup, checkout, "skip")
    assert not current(setup, checkout)
    assert not current(setup, checkout, "cpu")


# ---- building


def test_only_an_environment_of_the_set_up_is_removed(setup, checkout):
    environment = setup.Environment(checkout)
    (checkout / ".venv/.complete").unlink()
    with pytest.raises(setup.SetupError, match="not made by this set-up"):
        environment._remove_old()
    (checkout / ".venv/.incomplete").touch()
    environment._remove_old()
    assert not (checkout / ".venv").exists()


def test_a_linked_environment_is_refused(setup, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".venv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(setup.SetupError, match="is a link"):
        setup.Environment(tmp_path)._remove_old()


def test_too_little_space_is_told_before_anything_is_built(setup, tmp_path, monkeypatch):
    monkeypatch.setitem(setup.FREE_BYTES, "cpu", 10**18)
    with pytest.raises(setup.SetupError, match="GB of free space"):
        setup.Environment(tmp_path).build("cpu")
    assert not (tmp_path / ".venv").exists()


def test_a_failed_build_is_not_stamped_and_the_next_one_starts_anew(setup, tmp_path, monkeypatch):
    (tmp_path / "requirements.lock").write_text("")
    monkeypatch.setattr(setup.Environment, "_run", lambda *_: (_ for _ in ()).throw(setup.SetupError("no")))
    for _ in range(2):
        with pytest.raises(setup.SetupError, match="no"):
            setup.Environment(tmp_path).build("skip")
        assert not current(setup, tmp_path, "skip")
        (tmp_path / ".venv/left_over").touch()
    setup.Environment(tmp_path)._remove_old()
    assert not list(tmp_path.glob(".venv*"))


def test_a_second_set_up_waits(setup, tmp_path):
    order = []

    def second() -> None:
        with setup.alone(tmp_path):
            order.append("second")

    with setup.alone(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]


def test_the_command_starts_from_a_path_with_a_space(setup, tmp_path):
    root = tmp_path / "a folder"
    (root / "src/kelbench").mkdir(parents=True)
    (root / "src/kelbench/__init__.py").touch()
    (root / "src/kelbench/cli.py").write_text("import sys\n\n\ndef main():\n    print(sys.argv[1:])\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    setup.Environment(root)._link_package()
    shown = subprocess.run([root / ".venv/bin/kelbench", "fetch", "x y"], capture_output=True, text=True, check=True)
    assert shown.stdout == "['fetch', 'x y']\n"


def test_picking_entries_from_a_lock(setup):
    first, second, third = (
        f"{name} \\\n    --hash=sha256:aa\n" for name in ("pip==1", "pipdeptree==2", "wheel==3 ; x")
    )
    assert setup.pick(first + second + third, ("pip", "wheel")) == first + third


# ---- the files


def test_every_entry_of_the_lock_has_a_digest_and_none_an_address():
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\w)", text.strip())
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert not re.search(r"^(torch==|nvidia-|triton)", text, re.M), "torch is a step of its own"


def test_the_lock_holds_every_requirement(lock, setup):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # The sentence encoder is 84 MB that only `make minilm` fetches.
    extras = {name: items for name, items in project["optional-dependencies"].items() if name != "minilm"}
    wanted = project["dependencies"] + [item for items in extras.values() for item in items]
    names = {re.match(r"[\w.-]+", item).group().lower().replace("_", "-") for item in wanted}
    assert names - {"torch"} <= set(lock), "run `make lock`"
    torch = next(item for item in wanted if item.startswith("torch"))
    assert torch == "torch>=2.11"
    assert tuple(map(int, setup.TORCH_VERSION.split(".")[:2])) >= (2, 11)


def test_conda_users_get_the_versions_of_the_lock(load, lock, setup):
    text = (ROOT / "environment.yml").read_text()
    assert text == load("write_lock").environment_file((ROOT / "requirements.lock").read_text()), "run `make lock`"
    content = yaml.safe_load(text)
    conda = [item for item in content["dependencies"] if isinstance(item, str)]
    pip = pins("\n".join(content["dependencies"][-1]["pip"]))
    assert "python>=3.11,<3.14" in conda
    assert pip.pop("torch") == setup.TORCH_VERSION
    assert pip == lock
    assert {"snakemake", "transformers", "pykeen", "pandas", "scipy", "jinja2", "pytest"} <= set(pip)


def test_ci_runs_the_tests():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("target", "last"),
    [("demo", 'echo "report: reports/quick/index.html"'), ("test", ".venv/bin/python -m pytest")],
)
def test_the_makefile_ends_where_it_promises(target, last):
    # `make test` runs this test: an inner make that knows of the outer one would say which folder it leaves.
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    words = ["make", "--dry-run", target]
    shown = subprocess.run(words, cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == last


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == importlib.import_module("kelbench").__version__
    assert citation["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "MIT"

"""Digests of code: what a workflow step executes, so that an edit reruns the steps it can change and no others.

Snakemake sees the text of a rule and not the package behind it. Rules therefore carry such a digest in `params:`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from kelbench.base.errors import UserError
from kelbench.base.files import digest_of, sha256_bytes, sha256_file

_PACKAGE = Path(__file__).parents[1]
_LOCK = _PACKAGE.parents[1] / "requirements.lock"

# Packages that read files of their own, and the folder that holds them.
_DATA_FOLDERS = {"report": "templates"}


def code_digest(*modules: str, package: Path = _PACKAGE, lock: Path = _LOCK) -> str:
    """SHA-256 of the code that `modules` execute: theirs, that of all they import from kelbench, and the lock file.

    Comments, docstrings, blank lines and layout do not count; imports inside functions do. A package that reads files
    of its own (the report's templates) brings their bytes in. The syntax tree's form is that of this Python version,
    so another minor version gives another digest.

    Args:
        modules: full names, ``kelbench.data.fetch``; each one must exist.
        package: the folder of the package ``kelbench``.
        lock: the file that pins every other package.

    Raises:
        UserError: a module or the lock file is missing, or a module is not Python.
    """
    return _digest(tuple(sorted(modules)), package, lock)


@functools.cache
def _digest(modules: tuple[str, ...], package: Path, lock: Path) -> str:
    if not lock.is_file():
        raise UserError(f"{lock}: expected the lock file here, found none; kelbench runs from its source checkout")
    found = imported_modules(modules, package)
    parts = {name: _read(_path(name, package) or package)[0] for name in found}
    return digest_of({"code": parts, "data": _data_files(found, package), "lock": sha256_file(lock)})


def imported_modules(modules: tuple[str, ...], package: Path = _PACKAGE) -> list[str]:
    """Names of `modules` and of every kelbench module that they import, directly or not, sorted.

    Raises:
        UserError: one of `modules` does not exist, or a module is not Python.
    """
    found: set[str] = set()
    waiting: list[str] = []
    for name in modules:
        if _path(name, package) is None:
            raise UserError(f"module {name}: expected {package}{name.removeprefix('kelbench').replace('.', '/')}.py")
        waiting.append(name)
    while waiting:
        for name in _with_packages(waiting.pop()):
            path = _path(name, package)
            if path is None or name in found:
                continue
            found.add(name)
            waiting.extend(_read(path)[1])
    return sorted(found)


def _with_packages(name: str) -> Iterator[str]:
    """``a.b.c`` and the packages whose ``__init__`` runs before it: ``a``, ``a.b``."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def _path(name: str, package: Path) -> Path | None:
    """The file of a module, or None for a name that is no module of kelbench (a function that was imported, say)."""
    first, *rest = name.split(".")
    if first != "kelbench":
        return None
    folder = package.joinpath(*rest)
    for candidate in (folder / "__init__.py", folder.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """Digest of a module's code, and the names that it imports from kelbench, whether modules or not."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise UserError(f"{path}:{error.lineno}: expected Python: {error.msg}") from None
    names = sorted({name for node in ast.walk(tree) for name in _imports(node, path)})
    stripped = ast.dump(_WithoutStrings().visit(tree), include_attributes=False)
    return sha256_bytes(stripped.encode()), tuple(names)


def _imports(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "kelbench")
    elif isinstance(node, ast.ImportFrom):
        if node.level:
            # The project imports by full names (ruff would not stop a relative one, and a missed import is a stale
            # result).
            raise UserError(f"{path}:{node.lineno}: expected an import by full name, found a relative one")
        if node.module and node.module.split(".")[0] == "kelbench":
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _WithoutStrings(ast.NodeTransformer):
    """Drops statements that are only a string: docstrings, and texts below attributes."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_string = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_string else node


def _data_files(modules: list[str], package: Path) -> dict[str, str]:
    """Relative path -> digest of the files that the packages among `modules` read."""
    digests = {}
    for name, folder in _DATA_FOLDERS.items():
        if f"kelbench.{name}" in modules:
            for path in sorted((package / name / folder).rglob("*")):
                if path.is_file():
                    digests[path.relative_to(package).as_posix()] = sha256_file(path)
    return digests

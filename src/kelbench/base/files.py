"""Files that exist whole or not at all, and their digests."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from kelbench.base.errors import UserError

_CHUNK_BYTES = 1 << 20


def sha256_bytes(content: bytes) -> str:
    """Hexadecimal SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. NaN and infinities are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON-like value, independent of the order of its keys."""
    return sha256_bytes(canonical_json(value).encode())


def write_with(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Create or replace `path` with what `write` puts into the handle it is given.

    The content goes to a temporary file beside the target, is synced, and takes the target's name in one step: a kill
    at any moment leaves the old file or the new one. A file whose bytes would not change keeps its modification time,
    so that Snakemake sees no reason to rerun what depends on it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        if path.is_file() and path.stat().st_size == temporary.stat().st_size and _same(path, temporary):
            temporary.unlink()
            return
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _same(left: Path, right: Path) -> bool:
    return sha256_file(left) == sha256_file(right)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """`write_with` for bytes at hand."""
    write_with(path, lambda stream: stream.write(content))


def write_text(path: Path, text: str) -> None:
    """`write_with` for text, as UTF-8 with the line ends given."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with sorted keys and a final newline. NaN and infinities are refused (ValueError)."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that kelbench wrote.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: expected a file here, found none; run the step that makes it first") from None
    except ValueError as error:
        raise UserError(f"{path}: expected JSON, found something else ({error}); delete it and run its step") from None


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array as ``.npy``, never pickled."""
    write_with(path, lambda stream: np.save(stream, array, allow_pickle=False))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as a compressed ``.npz``, never pickled; equal arrays give equal bytes."""
    write_with(path, lambda stream: np.savez_compressed(stream, allow_pickle=False, **arrays))


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock for as long as the block runs; the kernel drops it with the process, however that ends.

    Args:
        path: the lock file; it holds the process id of its owner.
        what: named in the message when another process holds the lock.

    Raises:
        UserError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            owner = stream.read().strip() or "unknown"
            raise UserError(
                f"{path}: {what} is being written by process {owner}; wait for it to end, or end it, then run again"
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield

"""Files from the cache, from mirrors, from the installed pykeen package or from the network; never unverified.

Environment variables: `KELBENCH_CACHE`, the folder that keeps the files (default `data/cache`); `KELBENCH_MIRROR`,
folders to look in before the network, separated as in PATH; `KELBENCH_OFFLINE=1` forbids the network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_file, write_json, write_with
from kelbench.base.progress import Progress
from kelbench.config.datasets import DatasetFile, DatasetSettings, check_file_names

_LOG = logging.getLogger("kelbench.data.fetch")
_ATTEMPTS = 3
_SECONDS_BEFORE_RETRY = (1.0, 5.0)
_TIMEOUT_SECONDS = 60
_CHUNK_BYTES = 1 << 16
_MAX_BYTES_OF_UNKNOWN_SIZE = 1 << 30


def cache_folder() -> Path:
    """Where fetched files stay."""
    return Path(os.environ.get("KELBENCH_CACHE") or "data/cache")


def mirror_folders() -> list[Path]:
    """The folders of KELBENCH_MIRROR, in order.

    Raises:
        UserError: one of them is not there.
    """
    folders = [Path(part) for part in os.environ.get("KELBENCH_MIRROR", "").split(os.pathsep) if part]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"KELBENCH_MIRROR: expected a folder at {folder}, found none; correct the variable or unset it"
            )
    return folders


def is_offline() -> bool:
    """Whether KELBENCH_OFFLINE forbids the network."""
    return os.environ.get("KELBENCH_OFFLINE", "").lower() not in ("", "0", "false", "no")


def fetch_dataset(settings: DatasetSettings, receipt: Path) -> None:
    """Put every file of a dataset into the cache, verified, and write the receipt.

    The receipt lists name, bytes, sha256 and licence of each file; where a file came from is logged, not recorded, so
    that equal files give an equal receipt.

    Raises:
        UserError: a file is nowhere to be found, or some source has other bytes under its name.
    """
    paths = fetch_files(settings.files)
    entries = [
        {"name": file.name, "bytes": path.stat().st_size, "sha256": file.sha256, "licence": file.licence}
        for file, path in zip(settings.files, paths, strict=True)
    ]
    write_json(receipt, entries)


def fetch_files(files: Sequence[DatasetFile]) -> list[Path]:
    """Put files into the cache, verified; their paths there.

    Raises:
        UserError: as `fetch_dataset`.
    """
    cache, mirrors = cache_folder(), mirror_folders()
    paths = []
    for file in files:
        target = cache / file.name
        _drop_if_damaged(file, target)
        _obtain(file, target, mirrors)
        paths.append(target)
    return paths


def mirror_datasets(datasets: list[DatasetSettings], folder: Path) -> None:
    """Make `folder` a mirror: every file of these datasets, verified. Embedded files need none and are left out.

    Raises:
        UserError: as `fetch_dataset`; also if two datasets give one name to different contents.
    """
    check_file_names(datasets)
    mirror_files([file for settings in datasets for file in settings.files], folder)


def mirror_files(files: Iterable[DatasetFile], folder: Path) -> None:
    """Put files into `folder`, verified. Embedded ones are left out.

    Raises:
        UserError: as `fetch_dataset`.
    """
    places = [place for place in (cache_folder(), *mirror_folders()) if place.is_dir()]
    for file in _distinct(file for file in files if not file.embedded):
        _obtain(file, folder / file.name, places)


def open_verified(file: DatasetFile) -> Path:
    """Path of a file in the cache, its bytes compared with the registry once more.

    Raises:
        UserError: it is not there, or has other bytes.
    """
    path = cache_folder() / file.name
    if not path.is_file():
        raise UserError(f"{path}: expected a fetched file here, found none; run kelbench fetch for its dataset first")
    _require(file, path, "delete it and run kelbench fetch again")
    return path


def _distinct(files: Iterable[DatasetFile]) -> list[DatasetFile]:
    return list({file.name: file for file in files}.values())


def _matches(file: DatasetFile, path: Path) -> bool:
    return (file.bytes is None or path.stat().st_size == file.bytes) and sha256_file(path) == file.sha256


def _require(file: DatasetFile, path: Path, remedy: str) -> None:
    if not _matches(file, path):
        raise UserError(_mismatch(file, str(path), path.stat().st_size, sha256_file(path), remedy))


def _mismatch(file: DatasetFile, where: str, size: int, digest: str, remedy: str) -> str:
    expected = f"{file.bytes} bytes, " if file.bytes is not None else ""
    return (
        f"{where}: not the file {file.name} of the registry\n"
        f"  expected {expected}sha256 {file.sha256}\n"
        f"  found {size} bytes, sha256 {digest}\n"
        f"  {remedy}"
    )


def _drop_if_damaged(file: DatasetFile, target: Path) -> None:
    """The cache is ours: what was damaged there (or belongs to an older registry) is fetched again, and said."""
    if target.is_file() and not _matches(file, target):
        _LOG.warning("%s is not the file of the registry any more; fetching it again", target)
        target.unlink()


def _obtain(file: DatasetFile, target: Path, folders: list[Path]) -> None:
    """Put one file at `target` from the first source that has it."""
    if target.is_file():
        _require(file, target, "delete it and run the command again")
        _LOG.info("%s: already at %s", file.name, target.parent)
        return
    if file.embedded:
        _copy(file, _embedded_path(file), target, "install pykeen==1.11.1, whose copy this is")
        return
    for folder in folders:
        source = folder / file.name
        if source.is_file():
            _copy(file, source, target, "replace it, or take its folder out of KELBENCH_MIRROR")
            return
    if is_offline():
        raise UserError(_nowhere(file, target, folders, ["the network was not tried: KELBENCH_OFFLINE is set"]))
    _download(file, target, folders)


def _embedded_path(file: DatasetFile) -> Path:
    package = importlib.util.find_spec("pykeen")  # finds the folder without importing, which would take seconds
    if package is None or package.origin is None:
        raise UserError(f"{file.name}: expected the package pykeen, which holds this file, found none; install it")
    path = Path(package.origin).parent / str(file.embedded)
    if not path.is_file():
        raise UserError(f"{path}: expected the file {file.name} in the pykeen package; install pykeen==1.11.1")
    return path


def _copy(file: DatasetFile, source: Path, target: Path, remedy: str) -> None:
    def copy(stream: IO[bytes]) -> None:
        sink = _VerifyingSink(file, stream)
        with source.open("rb") as original:
            while piece := original.read(_CHUNK_BYTES):
                sink.write(piece)
        sink.require_whole(str(source), remedy)

    write_with(target, copy)
    _LOG.info("%s: copied from %s", file.name, source.parent)


class _VerifyingSink:
    """Passes bytes on to a stream while counting and hashing them; refuses more bytes than the file may have."""

    def __init__(self, file: DatasetFile, stream: IO[bytes], seen: Callable[[int], object] = lambda _: None) -> None:
        self._file = file
        self._stream = stream
        self._seen = seen
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, piece: bytes) -> int:
        self._size += len(piece)
        if self._file.bytes is None and self._size > _MAX_BYTES_OF_UNKNOWN_SIZE:
            raise UserError(f"{self._file.name}: more than {_MAX_BYTES_OF_UNKNOWN_SIZE} bytes; stopped")
        self._digest.update(piece)
        # what exceeds the known size is counted for the message, and not kept
        if self._file.bytes is None or self._size <= self._file.bytes:
            self._stream.write(piece)
        self._seen(len(piece))
        return len(piece)

    def flush(self) -> None:
        """Downloaders flush after each piece; the file is synced once, at its end."""

    def require_whole(self, where: str, remedy: str) -> None:
        digest = self._digest.hexdigest()
        if digest != self._file.sha256 or self._file.bytes not in (None, self._size):
            raise UserError(_mismatch(self._file, where, self._size, digest, remedy))


def _download(file: DatasetFile, target: Path, folders: list[Path]) -> None:
    """Try each URL, several times where a retry may help. Wrong bytes are an error at once: they are never a delay."""
    failures = []
    for url in file.urls:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                write_with(target, lambda stream, url=url: _download_into(file, url, stream))  # type: ignore[misc]
            except OSError as error:  # requests' exceptions are OSErrors; a full disk is one too, and no retry mends it
                failures.append(f"{url}, attempt {attempt}: {type(error).__name__}: {error}"[:300])
                _LOG.warning("%s", failures[-1])
                if not _may_pass(error):
                    break
                if attempt < _ATTEMPTS:
                    time.sleep(_SECONDS_BEFORE_RETRY[attempt - 1])
            else:
                _LOG.info("%s: downloaded from %s", file.name, url)
                return
    raise UserError(_nowhere(file, target, folders, failures))


def _download_into(file: DatasetFile, url: str, stream: IO[bytes]) -> None:
    import pooch

    with Progress(file.name, total=file.bytes, unit="B", scaled=True) as progress:
        sink = _VerifyingSink(file, stream, progress.advance)
        pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS, chunk_size=_CHUNK_BYTES)(url, sink, None)
    sink.require_whole(url, "the publisher changed it, or something between changed it; ask where the registry is kept")


def _may_pass(error: OSError) -> bool:
    """Whether the same request may succeed a little later: no answer, too many requests, or the server's own fault."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status == 429 or status >= 500)
    return error.errno is None or isinstance(error, ConnectionError | TimeoutError)


def _nowhere(file: DatasetFile, target: Path, folders: list[Path], failures: list[str]) -> str:
    lines = [f"{file.name}: expected this file somewhere, found it nowhere", f"  {target}: not there"]
    lines += [f"  {folder / file.name}: not there" for folder in folders if folder != target.parent]
    lines += [f"  {failure}" for failure in failures]
    lines.append(
        f"  put the file (sha256 {file.sha256}) into a folder and name that folder in KELBENCH_MIRROR, or download it"
        f" where there is a network: kelbench fetch --to DIR; its addresses: {', '.join(file.urls)}"
    )
    return "\n".join(lines)

"""Reading single members of archives, nothing ever written to disk.

Before a member is read, the whole archive is checked: regular files and folders only; no links, devices, sparse or
encrypted members; no absolute paths, `..`, backslashes or control characters; no two names that are equal, or would be
on a file system that ignores case; caps on the number of members, on the bytes they unpack to, and on the ratio of the
two sizes. Streaming keeps a name from ever becoming a path; the checks keep out an archive that only a malicious or
broken program writes. (`filter="data"` of the standard library follows links and has been bypassed; pooch's
Untar passes no filter at all on Python 3.11.)
"""

from __future__ import annotations

import contextlib
import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from kelbench.base.errors import UserError

MAX_MEMBERS = 10_000
MAX_BYTES = 64 << 30
MAX_RATIO = 100
_MIN_CAP = 1 << 20  # tar pads members to 10 KiB blocks of zeros: a tiny archive has any ratio


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    defect: str | None
    is_folder: bool


@contextlib.contextmanager
def open_member(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    """Open a file, or one member of an archive, for reading bytes from its start to its end.

    Args:
        path: a file whose sha256 has been verified: `.tar.gz`, `.tgz`, `.tar`, `.zip` (with `member`), or `.gz` or any
            other suffix, taken as it is (without).
        member: path inside the archive, as the archive spells it; a leading `./` does not matter.

    Raises:
        UserError: the archive is damaged or unsafe, has no such member, or `member` does not fit the kind of file.
    """
    is_tar = path.name.endswith((".tar.gz", ".tgz", ".tar"))
    is_zip = path.suffix == ".zip"
    if (is_tar or is_zip) != (member is not None):
        expected = "the name of a member" if is_tar or is_zip else "no member: it is not a .tar.gz or .zip archive"
        raise UserError(f"{path}: expected {expected}, found {member!r}")
    try:
        if is_tar:
            with _open_tar_member(path, str(member)) as stream:
                yield stream
        elif is_zip:
            with _open_zip_member(path, str(member)) as stream:
                yield stream
        elif path.suffix == ".gz":
            with gzip.open(path) as stream:
                yield io.BufferedReader(_Capped(stream, path))
        else:
            with path.open("rb") as stream:
                yield stream
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: expected a whole archive, found a damaged one ({error}); fetch it again") from None


class _Capped(io.RawIOBase):
    """A decompressed stream that ends with an error instead of unpacking a bomb."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._left = _cap(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._stream.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise UserError(f"{self._path}: unpacks to more than {_cap(self._path)} bytes; refused")
        buffer[: len(piece)] = piece
        return len(piece)


def _cap(path: Path) -> int:
    return min(MAX_BYTES, max(_MIN_CAP, MAX_RATIO * path.stat().st_size))


@contextlib.contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    opener = gzip.open if path.suffix in (".gz", ".tgz") else open
    with opener(path, "rb") as stream:
        # the headers are read through the cap too: one may claim gigabytes
        capped = cast("IO[bytes]", io.BufferedReader(_Capped(stream, path)))
        with tarfile.open(fileobj=capped, mode="r|") as archive:
            yield archive


@contextlib.contextmanager
def _open_tar_member(path: Path, member: str) -> Iterator[IO[bytes]]:
    checker = _Checker(path)
    with _open_tar(path) as archive:
        for info in archive:
            checker.add(_Member(info.name, info.size, _tar_defect(info), info.isdir()))
    checker.require(member)
    with _open_tar(path) as archive:
        for info in archive:
            if _plain(info.name) == _plain(member) and (stream := archive.extractfile(info)) is not None:
                with stream:
                    yield stream
                return


def _tar_defect(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return f"a link to {info.linkname!r}"
    if getattr(info, "sparse", None) is not None:
        return "a sparse file"
    if not (info.isreg() or info.isdir()):
        return "a device or another special file"
    return None


@contextlib.contextmanager
def _open_zip_member(path: Path, member: str) -> Iterator[IO[bytes]]:
    checker = _Checker(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # `filename` is cut at a NUL; `orig_filename` is what the archive says
            checker.add(_Member(info.orig_filename, info.file_size, _zip_defect(info), info.is_dir()))
        checker.require(member)
        name = next(info for info in archive.infolist() if _plain(info.filename) == _plain(member))
        with archive.open(name) as stream:
            yield stream


def _zip_defect(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or another special file"
    if info.flag_bits & 1:
        return "an encrypted file"
    return None


class _Checker:
    """Looks at every member of an archive and refuses the archive at the first one that does not belong there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cap = _cap(path)
        self._bytes = 0
        self._seen: dict[str, str] = {}
        self._files: set[str] = set()

    def add(self, member: _Member) -> None:
        name = _plain(member.name)
        if defect := member.defect or _name_defect(member.name):
            raise UserError(f"{self._path}: expected regular files, found {member.name!r}: {defect}; refused")
        if name.casefold() in self._seen and not (member.is_folder and self._seen[name.casefold()] == name):
            twin = self._seen[name.casefold()]
            raise UserError(f"{self._path}: expected names that differ, found {twin!r} and {member.name!r}; refused")
        self._seen[name.casefold()] = name
        if len(self._seen) > MAX_MEMBERS:
            raise UserError(f"{self._path}: expected at most {MAX_MEMBERS} members, found more; refused")
        self._bytes += member.size
        if self._bytes > self._cap:
            raise UserError(f"{self._path}: unpacks to more than {self._cap} bytes; refused")
        if not member.is_folder:
            self._files.add(name)

    def require(self, member: str) -> None:
        if _plain(member) not in self._files:
            raise UserError(f"{self._path}: expected a member {member!r}, found {', '.join(sorted(self._files)[:20])}")


def _plain(name: str) -> str:
    return name.removeprefix("./").rstrip("/")


def _name_defect(name: str) -> str | None:
    if name.startswith("/") or name[1:2] == ":":
        return "an absolute path"
    if ".." in name.split("/"):
        return "a path that leads outside"
    if "\\" in name or not name.isprintable():
        return "a name with a backslash or control characters"
    if not name:
        return "an empty name"
    return None

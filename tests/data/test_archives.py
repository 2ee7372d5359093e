import gzip
import io
import stat
import tarfile
import warnings
import zipfile

import pytest

from kelbench.base.errors import UserError
from kelbench.data import archives
from kelbench.data.archives import open_member


def read(path, member):
    with open_member(path, member) as stream:
        return stream.read()


def refuse(path, member="train.txt") -> str:
    with pytest.raises(UserError) as caught:
        read(path, member)
    return str(caught.value)


def add(archive: tarfile.TarFile, name: str, content: bytes = b"x", **facts) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in facts.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def evil(tmp_path):
    """A .tar.gz with one good member and whatever is asked for."""

    def build(*members, **facts):
        path = tmp_path / "evil.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            add(archive, "train.txt", b"good")
            for name in members:
                add(archive, name, **facts)
        return path

    return build


def test_reads_one_member_of_a_tar(tmp_path, tar_gz):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tar_gz({"./folder/train.txt": b"one", "test.txt": b"two"}))
    assert read(path, "folder/train.txt") == b"one"
    assert read(path, "test.txt") == b"two"


def test_reads_one_member_of_a_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        archive.writestr("folder/train.txt", b"one\n" * 1000)
    assert read(path, "folder/train.txt") == b"one\n" * 1000


def test_reads_gz_and_plain_files_as_they_are(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"plain")
    with gzip.open(tmp_path / "b.txt.gz", "wb") as stream:
        stream.write(b"packed")
    assert read(tmp_path / "a.txt", None) == b"plain"
    assert read(tmp_path / "b.txt.gz", None) == b"packed"


def test_member_must_fit_the_kind_of_file(tmp_path, evil):
    (tmp_path / "a.txt").write_bytes(b"plain")
    assert "expected no member" in refuse(tmp_path / "a.txt")
    assert "expected the name of a member" in refuse(evil(), None)
    assert "expected a member 'valid.txt', found train.txt" in refuse(evil(), "valid.txt")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "an absolute path"),
        ("C:/windows", "an absolute path"),
        ("../outside.txt", "leads outside"),
        ("folder/../../outside.txt", "leads outside"),
        ("..\\outside.txt", "backslash"),
        ("a\nb.txt", "control characters"),
    ],
)
def test_refuses_names_that_lead_elsewhere(evil, tmp_path, name, reason):
    before = sorted(tmp_path.parent.rglob("*"))
    path = evil(name)
    assert reason in refuse(path)
    assert sorted(tmp_path.parent.rglob("*")) == sorted([*before, path])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link to '/etc/passwd'"),
        (tarfile.LNKTYPE, "a link to '/etc/passwd'"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
    ],
)
def test_refuses_what_is_no_regular_file(evil, kind, reason):
    assert reason in refuse(evil("innocent.txt", type=kind, linkname="/etc/passwd", size=0))


def test_refuses_names_given_twice_or_alike(evil):
    assert "expected names that differ, found 'train.txt' and 'train.txt'" in refuse(evil("train.txt"))
    assert "expected names that differ, found 'train.txt' and './train.txt'" in refuse(evil("./train.txt"))
    assert "expected names that differ, found 'train.txt' and 'TRAIN.TXT'" in refuse(evil("TRAIN.TXT"))


def test_refuses_bombs(evil, tmp_path):
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "train.txt", b"\0" * 20_000_000)
    assert "unpacks to more than" in refuse(path)
    with gzip.open(tmp_path / "bomb.txt.gz", "wb") as stream:
        stream.write(b"\0" * 20_000_000)
    assert "unpacks to more than" in refuse(tmp_path / "bomb.txt.gz", None)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("train.txt", b"\0" * 20_000_000)
    assert "unpacks to more than" in refuse(tmp_path / "bomb.zip")


def test_refuses_a_header_that_claims_more_than_there_is(tmp_path):
    path = tmp_path / "liar.tar.gz"
    info = tarfile.TarInfo("train.txt")
    info.size = 1 << 40
    with gzip.open(path, "wb") as stream:
        stream.write(info.tobuf())
    assert "unpacks to more than" in refuse(path)


def test_refuses_more_members_than_any_dataset_has(evil, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    assert "expected at most 3 members" in refuse(evil("a", "b", "c"))


@pytest.mark.parametrize("keep", [10, 60])
def test_a_damaged_archive_is_an_error(tmp_path, tar_gz, keep):
    content = tar_gz({"train.txt": bytes(range(256)) * 20})
    (tmp_path / "cut.tar.gz").write_bytes(content[:keep])
    assert "found a damaged one" in refuse(tmp_path / "cut.tar.gz")
    (tmp_path / "cut.zip").write_bytes(content[:keep])
    assert "found a damaged one" in refuse(tmp_path / "cut.zip")


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("../outside.txt", 0, "leads outside"),
        ("/etc/passwd", 0, "an absolute path"),
        ("link", stat.S_IFLNK | 0o777, "a link"),
        ("pipe", stat.S_IFIFO | 0o644, "a device"),
        ("TRAIN.txt", 0, "expected names that differ"),
        ("train.txt", 0, "expected names that differ"),
        ("a\0b", 0, "control characters"),
    ],
)
def test_refuses_evil_zips(tmp_path, name, mode, reason):
    path = tmp_path / "evil.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("train.txt", b"good")
        info = zipfile.ZipInfo("x" * len(name))
        info.filename = name
        info.external_attr = mode << 16
        archive.writestr(info, b"/etc/passwd")
    assert reason in refuse(path)

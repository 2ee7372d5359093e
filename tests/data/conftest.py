"""Made-up datasets: files in a mirror folder, and registry entries that describe them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from kelbench.config.datasets import DatasetFile, DatasetSettings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def registry() -> Path:
    return REPOSITORY / "config/datasets"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty cache and one mirror folder, no network."""
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("KELBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KELBENCH_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("KELBENCH_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def tar_gz():
    """Bytes of a .tar.gz with the members given as name -> content."""

    def build(members: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return build


@pytest.fixture
def make_file():
    def build(name: str, content: bytes, **changes) -> DatasetFile:
        facts = {
            "name": name,
            "urls": [f"https://example.org/{name}"],
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "licence": "CC0",
        }
        return DatasetFile(**facts | changes)

    return build


@pytest.fixture
def make_dataset(workplace, make_file):
    """Put files into the mirror and describe them as a dataset."""

    def build(layout: str, contents: dict[str, bytes], triples: dict[str, object], **changes) -> DatasetSettings:
        for name, content in contents.items():
            (workplace / "mirror" / name).write_bytes(content)
        return DatasetSettings(
            name="made-up",
            title="Made up",
            version="1",
            layout=layout,
            source="nobody",
            files=[make_file(name, content) for name, content in contents.items()],
            triples={
                part: {"file": place[0], "member": place[1]} if isinstance(place, tuple) else {"file": place}
                for part, place in triples.items()
            },
            **changes,
        )

    return build


@pytest.fixture
def tsv():
    """Bytes of a triple file from lines such as "a r b"."""

    def build(*lines: str) -> bytes:
        return "".join("\t".join(line.split(" ")) + "\n" for line in lines).encode()

    return build

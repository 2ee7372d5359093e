import http.server
import json
import threading

import pytest

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_bytes, sha256_file
from kelbench.config.datasets import DatasetFile, load_dataset
from kelbench.data import fetch
from kelbench.data.fetch import fetch_dataset, mirror_datasets, open_verified

CONTENT = b"a\tr\tb\n"
PARTS = {"train": "train.txt", "valid": "valid.txt", "test": "test.txt"}


@pytest.fixture
def dataset(make_dataset):
    return make_dataset("transductive", dict.fromkeys(PARTS.values(), CONTENT), PARTS)


@pytest.fixture
def online(workplace, monkeypatch):
    """The network allowed and replaced: url -> what each attempt brings, bytes or an error."""
    monkeypatch.delenv("KELBENCH_OFFLINE")
    monkeypatch.delenv("KELBENCH_MIRROR")
    answers: dict[str, list[bytes | Exception]] = {}
    asked: list[str] = []

    class Downloader:
        def __init__(self, **_) -> None:
            pass

        def __call__(self, url, stream, _) -> None:
            asked.append(url)
            answer = answers[url].pop(0)
            if isinstance(answer, Exception):
                raise answer
            stream.write(answer[:3])
            stream.write(answer[3:])

    monkeypatch.setattr("pooch.HTTPDownloader", Downloader)
    monkeypatch.setattr(fetch.time, "sleep", lambda _: None)
    return answers, asked


def http_error(status: int) -> OSError:
    import requests

    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"status {status}", response=response)


def test_files_come_from_the_mirror_into_the_cache(workplace, dataset):
    fetch_dataset(dataset, workplace / "receipt.json")
    assert sorted(path.name for path in (workplace / "cache").iterdir()) == sorted(PARTS.values())
    assert open_verified(dataset.files[0]).read_bytes() == CONTENT
    assert json.loads((workplace / "receipt.json").read_text())[0] == {
        "name": "train.txt",
        "bytes": len(CONTENT),
        "sha256": sha256_bytes(CONTENT),
        "licence": "CC0",
    }


def test_the_receipt_does_not_say_where_files_came_from(workplace, dataset):
    fetch_dataset(dataset, workplace / "first.json")
    for path in (workplace / "mirror").iterdir():
        path.unlink()
    fetch_dataset(dataset, workplace / "second.json")
    assert (workplace / "first.json").read_bytes() == (workplace / "second.json").read_bytes()


@pytest.mark.parametrize("wrong", [b"a\tr\tc\n", b"short", CONTENT + b"more"])
def test_wrong_bytes_in_a_mirror_are_an_error_and_leave_nothing(workplace, dataset, wrong):
    (workplace / "mirror/valid.txt").write_bytes(wrong)
    with pytest.raises(UserError) as caught:
        fetch_dataset(dataset, workplace / "receipt.json")
    text = str(caught.value)
    assert str(workplace / "mirror/valid.txt") in text
    assert f"expected {len(CONTENT)} bytes, sha256 {sha256_bytes(CONTENT)}" in text
    assert f"found {len(wrong)} bytes, sha256 {sha256_bytes(wrong)}" in text
    assert [path.name for path in (workplace / "cache").iterdir()] == ["train.txt"]
    assert not (workplace / "receipt.json").exists()


def test_the_first_mirror_that_has_the_file_counts(workplace, dataset, monkeypatch):
    (workplace / "empty").mkdir()
    monkeypatch.setenv("KELBENCH_MIRROR", f"{workplace / 'empty'}:{workplace / 'mirror'}")
    fetch_dataset(dataset, workplace / "receipt.json")
    assert (workplace / "cache/test.txt").read_bytes() == CONTENT


def test_a_missing_mirror_is_an_error(workplace, dataset, monkeypatch):
    monkeypatch.setenv("KELBENCH_MIRROR", str(workplace / "nowhere"))
    with pytest.raises(UserError, match=r"KELBENCH_MIRROR: expected a folder at .*nowhere"):
        fetch_dataset(dataset, workplace / "receipt.json")


def test_a_missing_file_says_where_it_was_looked_for(workplace, dataset):
    (workplace / "mirror/test.txt").unlink()
    with pytest.raises(UserError) as caught:
        fetch_dataset(dataset, workplace / "receipt.json")
    text = str(caught.value)
    assert f"{workplace / 'mirror/test.txt'}: not there" in text
    assert f"{workplace / 'cache/test.txt'}: not there" in text
    assert "KELBENCH_OFFLINE is set" in text
    assert "kelbench fetch --to DIR" in text
    assert "https://example.org/test.txt" in text


def test_a_damaged_cache_is_mended_from_the_mirror(workplace, dataset):
    fetch_dataset(dataset, workplace / "receipt.json")
    (workplace / "cache/train.txt").write_bytes(b"damaged")
    fetch_dataset(dataset, workplace / "receipt.json")
    assert (workplace / "cache/train.txt").read_bytes() == CONTENT


def test_nothing_unverified_is_opened(workplace, dataset):
    with pytest.raises(UserError, match="run kelbench fetch"):
        open_verified(dataset.files[0])
    fetch_dataset(dataset, workplace / "receipt.json")
    (workplace / "cache/train.txt").write_bytes(CONTENT.replace(b"b", b"c"))
    with pytest.raises(UserError, match=r"not the file train\.txt of the registry"):
        open_verified(dataset.files[0])


def test_embedded_files_come_from_the_installed_package(workplace, registry):
    fetch_dataset(load_dataset("nations", registry), workplace / "receipt.json")
    files = json.loads((workplace / "receipt.json").read_text())
    assert [file["name"] for file in files] == [f"pykeen-nations-{part}.txt" for part in PARTS]
    assert all(sha256_file(workplace / "cache" / file["name"]) == file["sha256"] for file in files)


def test_a_package_with_another_copy_is_an_error(workplace, make_file):
    changed = make_file("x.txt", CONTENT, urls=[], embedded="datasets/nations/train.txt")
    absent = make_file("y.txt", CONTENT, urls=[], embedded="datasets/nations/gone.txt")
    with pytest.raises(UserError, match=r"install pykeen==1\.11\.1"):
        fetch._obtain(changed, workplace / "x.txt", [])
    with pytest.raises(UserError, match=r"expected the file y.txt in the pykeen package"):
        fetch._obtain(absent, workplace / "y.txt", [])
    assert not (workplace / "x.txt").exists()


def test_downloads_what_no_mirror_has(workplace, online, dataset):
    answers, asked = online
    answers |= {f"https://example.org/{name}": [CONTENT] for name in PARTS.values()}
    fetch_dataset(dataset, workplace / "receipt.json")
    assert (workplace / "cache/valid.txt").read_bytes() == CONTENT
    assert len(asked) == 3
    fetch_dataset(dataset, workplace / "receipt.json")
    assert len(asked) == 3


def test_retries_what_may_pass_and_goes_on_to_the_next_url(workplace, online, make_file):
    answers, asked = online
    first, second = "https://one.example/x", "https://two.example/x"
    answers |= {first: [http_error(503), ConnectionResetError("reset"), http_error(429)], second: [CONTENT]}
    fetch._obtain(make_file("x", CONTENT, urls=[first, second]), workplace / "x", [])
    assert asked == [first, first, first, second]
    assert (workplace / "x").read_bytes() == CONTENT


def test_does_not_retry_what_will_not_pass(workplace, online, make_file):
    answers, asked = online
    url = "https://one.example/x"
    answers[url] = [http_error(404)]
    with pytest.raises(UserError) as caught:
        fetch._obtain(make_file("x", CONTENT, urls=[url]), workplace / "x", [])
    assert asked == [url]
    assert f"{url}, attempt 1: HTTPError: status 404" in str(caught.value)


@pytest.mark.parametrize("wrong", [b"<html>please log in</html>", b"", b"a\tr"])
def test_wrong_bytes_from_the_network_are_an_error_at_once(workplace, online, make_file, wrong):
    answers, asked = online
    first, second = "https://one.example/x", "https://two.example/x"
    answers |= {first: [wrong], second: [CONTENT]}
    with pytest.raises(UserError) as caught:
        fetch._obtain(make_file("x", CONTENT, urls=[first, second]), workplace / "x", [])
    assert f"{first}: not the file x of the registry" in str(caught.value)
    assert f"found {len(wrong)} bytes, sha256 {sha256_bytes(wrong)}" in str(caught.value)
    assert asked == [first]
    assert not list(workplace.glob("*x*"))


def test_a_file_of_unknown_size_is_verified_by_its_digest_and_capped(workplace, online, make_file, monkeypatch):
    answers, _ = online
    url = "https://one.example/x"
    file = make_file("x", CONTENT, urls=[url], bytes=None)
    answers[url] = [b"other", CONTENT, CONTENT]
    with pytest.raises(UserError, match=f"expected sha256 {file.sha256}"):
        fetch._obtain(file, workplace / "x", [])
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_MAX_BYTES_OF_UNKNOWN_SIZE", 4)
        with pytest.raises(UserError, match="more than 4 bytes"):
            fetch._obtain(file, workplace / "x", [])
    fetch._obtain(file, workplace / "x", [])
    assert (workplace / "x").read_bytes() == CONTENT


def test_the_real_downloader_fits_the_verifying_sink(tmp_path, make_file):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/x" else 404)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        file = make_file("x", CONTENT)
        with (tmp_path / "x").open("wb") as stream:
            fetch._download_into(file, f"{base}/x", stream)
        with (tmp_path / "y").open("wb") as stream, pytest.raises(OSError, match="404"):
            fetch._download_into(file, f"{base}/y", stream)
        server.shutdown()
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_mirror_is_made_from_cache_and_mirrors_and_serves_others(workplace, dataset, monkeypatch, registry):
    mirror_datasets([dataset, load_dataset("nations", registry)], workplace / "made")
    assert sorted(path.name for path in (workplace / "made").iterdir()) == sorted(PARTS.values())
    monkeypatch.setenv("KELBENCH_MIRROR", str(workplace / "made"))
    fetch_dataset(dataset, workplace / "receipt.json")
    mirror_datasets([dataset], workplace / "made")  # again: all there
    (workplace / "made/train.txt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"not the file train\.txt"):
        mirror_datasets([dataset], workplace / "made")


def test_one_name_means_one_content(workplace, dataset, make_file):
    other = dataset.model_copy(update={"name": "other", "files": [make_file("train.txt", b"other")]})
    with pytest.raises(UserError, match=r"train.txt of other has another sha256 than that of made-up"):
        mirror_datasets([dataset, other], workplace / "made")


def test_only_https_is_registered(make_file):
    with pytest.raises(ValueError, match="expected https URLs"):
        make_file("x", CONTENT, urls=["http://example.org/x"])
    assert isinstance(make_file("x", CONTENT), DatasetFile)

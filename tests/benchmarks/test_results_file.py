import json

import pytest

from kelbench.base.errors import UserError

SETTINGS = {"dataset": "kinships", "threads": 2}


@pytest.fixture
def harness(script, monkeypatch):
    module = script("harness")
    monkeypatch.setattr(module, "machine", lambda: {"cpu": "C", "cores": 2, "memory_gib": 8.0, "platform": "P"})
    return module


def test_sections_and_records_are_merged(harness, tmp_path):
    path = tmp_path / "benchmarks.json"
    harness.Section(path, "ranking", SETTINGS).add("complex", {"ratio": 2.0})
    harness.Section(path, "training", SETTINGS).add("complex", {"ratio": 3.0})
    harness.Section(path, "ranking", SETTINGS).add("transe", {"ratio": 4.0})
    content = json.loads(path.read_text())
    assert content["format"] == 1
    assert {name: sorted(section["records"]) for name, section in content["sections"].items()} == {
        "ranking": ["complex", "transe"],
        "training": ["complex"],
    }
    record = content["sections"]["ranking"]["records"]["complex"]
    assert record["ratio"] == 2.0
    assert set(record) == {"ratio", "commit", "finished"}
    assert content["sections"]["ranking"]["versions"]["numpy"]


def test_records_of_other_settings_or_machines_are_dropped_by_the_first_new_one(harness, tmp_path, monkeypatch):
    path = tmp_path / "benchmarks.json"
    harness.Section(path, "ranking", SETTINGS).add("complex", {"ratio": 2.0})
    other = harness.Section(path, "ranking", SETTINGS | {"threads": 1})
    assert other.records() == {}
    assert harness.Section(path, "ranking", SETTINGS).records()
    other.add("transe", {"ratio": 1.0})
    assert sorted(other.records()) == ["transe"]
    monkeypatch.setattr(harness, "machine", lambda: {"cpu": "D"})
    assert other.records() == {}


def test_a_file_of_another_format_is_refused(harness, tmp_path):
    path = tmp_path / "benchmarks.json"
    path.write_text('{"format": 99, "sections": {}}')
    with pytest.raises(UserError, match="format 1"):
        harness.Section(path, "ranking", SETTINGS).records()


def test_significant_digits(harness):
    assert harness.rounded(123456.0) == 123500.0
    assert harness.rounded(0.00123456) == 0.001235

import json
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
END = "<!-- measured: end -->"


@pytest.fixture
def writer(script):
    script("goals")
    return script("write_performance")


def section(settings, records):
    machine = {"cpu": "C", "cores": 2, "memory_gib": 23.5, "platform": "P"}
    made = {key: record | {"commit": None, "finished": "2030-01-02T00:00:00"} for key, record in records.items()}
    return {"machine": machine, "versions": {"numpy": "2"}, "settings": settings, "records": made}


def test_the_document_of_the_repository_has_the_markers(writer):
    document = DOCUMENT.read_text()
    assert document.count(writer.BEGIN) == document.count(END) == 1
    before, rest = document.split(writer.BEGIN)
    _, after = rest.split(END)
    written = writer.between_markers(document, "new", writer.BEGIN)
    assert written.startswith(before)
    assert written.endswith(after)
    assert "## Method" in before
    assert "## Limits and what was tried" in after
    assert "### Goals" in document
    assert "### Goals" not in written


def test_goals_are_judged_at_their_own_settings_alone(script):
    goals = script("goals")
    at = {"dataset": "fb15k-237", "dimension": 200, "threads": 2}
    records = {
        "distmult": {"ratio": 150.0},
        "complex": {"ratio": 99.9},
        "transe": {"ratio": 200.0, "ratio_exhaustive": 40.0},
    }

    def ranked(settings):
        found = goals.outcomes({"ranking": section(settings, records)})
        return {
            (item.goal, item.model): item.reached
            for item in found
            if "anking, times" in item.goal or "same" in item.goal
        }

    judged = ranked(at | {"sample": 1000})
    assert judged["Filtered ranking, times PyKEEN", "DistMult"] is True
    assert judged["Filtered ranking, times PyKEEN", "ComplEx"] is False
    assert judged["Filtered ranking, times PyKEEN", "SimplE"] is None
    assert judged["The same without early termination", "TransE"] is False
    assert set(ranked(at | {"dataset": "kinships"}).values()) == {None}
    assert {item.reached for item in goals.outcomes({})} == {None}


def test_memory_goals_are_in_decimal_gigabytes(script):
    goals = script("goals")
    settings = goals.CONDITIONS["size-ranking"]
    for peak, reached in ((11.1, True), (11.3, False)):
        records = {"distmult": {"seconds": 500.0, "index_seconds": 1.0, "peak_rss_gib": peak}}
        found = goals.outcomes({"size-ranking": section(settings, records)})
        (item,) = [item for item in found if item.model == "DistMult" and item.goal.startswith("Ranking among")]
        assert item.reached is reached


def test_written_without_and_with_results(writer, tmp_path):
    results = tmp_path / "benchmarks.json"
    text = writer.measured({}, results, None)
    assert "not measured" in text
    assert "Machine" not in text
    points = {"entities": [{"entities": e, "queries_per_second": 9.0 / e, "positives_per_second": 2.0} for e in (1, 4)]}
    sections = {"scaling": section({"threads": 2}, {"complex": points})}
    results.write_text(json.dumps({"format": 1, "sections": sections}))
    text = writer.measured(sections, results, "scaling.svg")
    assert "](scaling.svg)" in text
    assert "| scaling | C | 2 |" in text
    drawing = writer.drawing(sections["scaling"])
    assert drawing.startswith(b"<?xml")
    assert drawing == writer.drawing(sections["scaling"])

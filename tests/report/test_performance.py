import json
import re
from pathlib import Path

import pytest

from kelbench.base.errors import UserError
from kelbench.leaderboard.build import build_leaderboard
from kelbench.report.performance import REFERENCE, read_performance, read_sections, scaling_panels
from kelbench.report.render import render_report

HOSTILE = "<script>alert(1)</script>"
BOARD = Path("results/made-up/leaderboard.json")


def section(settings, **records):
    machine = {"cpu": f"Processor {HOSTILE}", "cores": 2, "memory_gib": 23.5, "platform": "Linux"}
    stamp = {"commit": "0123456789abcdef+changes", "finished": "2030-01-02T03:04:05+00:00"}
    return {
        "machine": machine,
        "versions": {"torch": "2.x", "numpy": "2.y"},
        "settings": {"threads": 2, "dataset": f"graph {HOSTILE}"} | settings,
        "records": {key: record | stamp for key, record in records.items()},
    }


def ranked(**changes):
    return {
        "kelbench": 12345.0,
        "pykeen": 64.5,
        "ratio": 191.4,
        "mrr_difference": 2e-8,
        "pykeen_batch_size": 128,
    } | changes


def points(axis, *values):
    return [
        {axis: value, "queries_per_second": 1e5 / value, "positives_per_second": 2e4 + number}
        for number, value in enumerate(values)
    ]


SECTIONS = {
    "ranking": section(
        {"dimension": 200, "sample": 1000},
        simple=ranked(note=f"another function {HOSTILE}"),
        transe=ranked(ratio_exhaustive=88.0),
    ),
    "training": section(
        {"dimension": 200, "negatives": 256, "batch_size": 1024, "optimizer": "adam", "loss": "margin"},
        complex={"pykeen": 300.0, "kelbench": 4000.0, "ratio": 13.3, "kelbench_shared": 20000.0, "ratio_shared": 66.7},
    ),
    "quality": section(
        {"minutes": 15.0},
        complex={
            "pykeen": {"mrr": 0.4321, "seconds": 812.0},
            "kelbench": {"mrr": 0.4333, "seconds": 12.5, "reached": True},
            "ratio": 65.0,
        },
        rotate={
            "pykeen": {"mrr": 0.4, "seconds": 600.0},
            "kelbench": {"mrr": 0.3987, "seconds": 300.0, "reached": False},
            "ratio": 2.0,
        },
        simple={"pykeen": {"mrr": 0.4, "seconds": 600.0}},
    ),
    "convergence": section(
        {"target": 0.335},
        complex={"reached": True, "seconds": 400.0, "best_validation_mrr": 0.34, "test_mrr": 0.33},
    ),
    "size-ranking": section(
        {"dimension": 256, "entities": 4594485, "test_triples": 5133},
        distmult={"seconds": 500.0, "index_seconds": 20.0, "peak_rss_gib": 9.25},
    ),
    "size-training": section(
        {"dimension": 128, "entities": 4594485, "negatives": 1000},
        **{
            f"complex-{size}": {
                "method": "complex",
                "batch_size": size,
                "positives_per_second": 16000,
                "peak_rss_gib": 7.0,
            }
            for size in (4096, 1024)
        },
    ),
    "scaling": section({}, complex={"entities": points("entities", 1024, 65536), "threads": points("threads", 1)}),
}


def write(sections):
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    REFERENCE.write_text(json.dumps({"format": 1, "sections": sections}))


def page(made_up, sections=None):
    experiment = made_up.build(Path())
    build_leaderboard(experiment, BOARD)
    if sections is not None:
        write(sections)
    return render_report(experiment, BOARD, Path("reports/made-up")).read_text()


def cells(text, identifier):
    body = re.search(rf'<table id="{identifier}">(.*?)</table>', text, re.S).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)[1:]
    return [
        [" ".join(re.sub("<.*?>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
        for row in rows
    ]


def test_without_a_file_there_is_no_section(made_up):
    text = page(made_up)
    assert 'id="performance"' not in text
    assert "#performance" not in text


def test_every_table_is_shown_and_says_where_it_was_measured(made_up):
    text = page(made_up, SECTIONS)
    assert 'href="#performance"' in text
    ranking = cells(text, "performance-ranking")
    assert ranking[0][:5] == ["TransE", "12,345", "64.5", "191x", "88.0x"]
    assert ranking[1][0].startswith("SimplE another function")
    assert ranking[1][4] == "\N{EN DASH}"
    assert cells(text, "performance-training") == [["ComplEx", "300", "4,000", "13.3x", "20,000", "66.7x"]]
    quality = cells(text, "performance-quality")
    assert quality[0] == ["ComplEx", "0.432", "13 min 32 s", "12.5 s", "65.0x"]
    assert quality[1] == ["RotatE", "0.400", "10 min 00 s", "5 min 00 s not reached; best 0.399", "\N{EN DASH}"]
    assert len(quality) == 2
    assert cells(text, "performance-convergence") == [["ComplEx", "6 min 40 s", "0.340", "0.330"]]
    assert cells(text, "performance-size-ranking") == [["DistMult", "8 min 20 s", "20.0 s", "9.2"]]
    assert [row[1] for row in cells(text, "performance-size-training")] == ["1,024", "4,096"]
    machines = cells(text, "performance-machines")
    assert [row[0] for row in machines] == sorted(SECTIONS)
    assert machines[0][2:] == ["2", "24", "numpy 2.y, torch 2.x", "0123456789ab+changes", "2030-01-02"]
    assert "not while this report was made" in text
    assert "both axes are logarithmic" in text
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)" in text
    assert text.count("<script>") == 1


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_sections_are_independent(tmp_path, name):
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps({"format": 1, "sections": {name: SECTIONS[name]}}))
    performance = read_performance(path)
    assert [table.identifier for table in performance.tables] == [f"performance-{name}"] * (name != "scaling")
    assert len(performance.panels) == (name == "scaling")
    assert performance.machines.size == 1
    path.write_text(json.dumps({"format": 1, "sections": {}}))
    assert read_performance(path) is None


def test_lines_of_scaling_stay_inside_and_single_points_are_left_out():
    (panel,) = scaling_panels(SECTIONS["scaling"])
    assert panel.run == "ComplEx"
    assert [plot.title.split(", by ")[1] for plot in panel.plots] == ["entities", "entities"]
    first, last = (tuple(map(float, point.split(","))) for point in panel.plots[0].mean.split())
    assert first[0] < last[0]
    assert first[1] < last[1]  # the rate falls, and SVG counts downwards
    assert [tick.label for tick in panel.plots[0].x_ticks] == ["1k", "66k"]
    assert panel.plots[0].y_ticks[0].label == "1"


def test_another_format_is_refused(tmp_path):
    path = tmp_path / "benchmarks.json"
    path.write_text("[]")
    with pytest.raises(UserError, match="format 1"):
        read_sections(path)
    assert read_performance(tmp_path / "none.json") is None

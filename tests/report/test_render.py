import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from kelbench.base.errors import UserError
from kelbench.leaderboard.build import build_leaderboard
from kelbench.report.board import Board
from kelbench.report.render import render_report
from kelbench.report.sections import comparison_tables

BOARD = Path("results/made-up/leaderboard.json")
OUT = Path("reports/made-up")
CLAIMS = {
    "source": {
        "source": {"title": "T", "short": "Known <b>", "where": "Table 9", "url": "https://example.org/claim"},
        "protocol": {"ties": "realistic", "unseen": "keep", "notes": "as & is"},
        "values": [
            {
                "id": "known-complex",
                "dataset": "wn18rr",
                "method": "ComplEx",
                "setting": "rank 5",
                "preset": "code",
                "decimals": 3,
                "values": {"mrr": 0.123},
            },
            {
                "id": "far-transe",
                "dataset": "fb15k-237",
                "method": "TransE",
                "setting": "rank 6",
                "preset": "code",
                "decimals": 3,
                "values": {"mrr": 0.313},
            },
        ],
    }
}
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Elements with their attributes and text; fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attributes": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "attributes": dict(attrs), "text": ""})

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag):
        return [element for element in self.elements if element["tag"] == tag]


def rendered(made_up, **changes):
    experiment = made_up.build(Path(), claims=CLAIMS, **changes)
    build_leaderboard(experiment, BOARD)
    return render_report(experiment, BOARD, OUT)


def without_provenance(text):
    begin, end = "<!-- provenance and cost: begin -->", "<!-- provenance and cost: end -->"
    before, rest = text.split(begin)
    inside, after = rest.split(end)
    return before + after, inside


def test_two_renders_are_equal_and_only_provenance_depends_on_the_machine(made_up):
    experiment = made_up.build(Path(), claims=CLAIMS)
    build_leaderboard(experiment, BOARD)
    first = render_report(experiment, BOARD, OUT).read_text()
    exported = {path.name: path.read_bytes() for path in OUT.iterdir() if path.name != "index.html"}
    again = render_report(experiment, BOARD, Path("reports/again")).read_text()
    assert again == first
    for path in Path("results/made-up").rglob("provenance.json"):
        record = json.loads(path.read_text())
        changed = {
            "cpu": "Another processor",
            "seconds": 99.0,
            "finished": "2031",
            "peak_memory_mib": 7,
            "commit": "f" * 40,
        }
        path.write_text(json.dumps(record | changed))
    for path in Path("results/made-up").rglob("timing.jsonl"):
        path.write_text('{"epoch": 11, "seconds": 77.0}\n')
    build_leaderboard(experiment, BOARD)
    other = render_report(experiment, BOARD, OUT).read_text()
    page, inside = without_provenance(other)
    assert page == without_provenance(first)[0]
    assert "Another processor" in inside
    assert "Another processor" not in page
    assert {path.name: path.read_bytes() for path in OUT.iterdir() if path.name != "index.html"} == exported


def test_hostile_labels_stay_text(made_up):
    text = rendered(made_up).read_text()
    page = Page(text)
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert all(not name.startswith("on") for element in page.elements for name in element["attributes"])
    headings = [element["text"].strip() for element in page.all("th")]
    assert made_up.HOSTILE in headings
    assert '"><img onerror=alert(1) src=x>' in headings
    assert "{{7*7}}" in headings
    assert "safegnp.exe" in headings
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", text)
    assert "Made-up <b>runs</b>" in page.all("h1")[0]["text"]


def test_nothing_is_loaded_and_the_policy_holds_the_hashes(made_up):
    text = rendered(made_up).read_text()
    page = Page(text)
    assert [e for e in page.elements if e["tag"] in ("link", "iframe", "object", "embed", "base", "form")] == []
    assert all("src" not in e["attributes"] and "style" not in e["attributes"] for e in page.elements)
    (policy,) = [e["attributes"]["content"] for e in page.all("meta") if "http-equiv" in e["attributes"]]
    assert policy.startswith("default-src 'none'; ")
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (element,) = page.all(tag)
        digest = base64.b64encode(hashlib.sha256(element["text"].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "url(" not in text
    assert "@import" not in text
    for element in page.all("a"):
        target = element["attributes"]["href"]
        assert target.startswith(("#", "data:", "https://"))
        if target.startswith("https://"):
            assert "noopener" in element["attributes"]["rel"]


def test_tables_have_captions_scopes_and_unique_identifiers(made_up):
    page = Page(rendered(made_up).read_text())
    tables = page.all("table")
    assert len(tables) == len(page.all("caption")) > 10
    assert all(element["attributes"].get("scope") in ("col", "row", "rowgroup") for element in page.all("th"))
    identifiers = [e["attributes"]["id"] for e in page.elements if "id" in e["attributes"]]
    assert len(identifiers) == len(set(identifiers))
    inside = {e["attributes"]["href"][1:] for e in page.all("a") if e["attributes"]["href"].startswith("#")}
    assert inside <= set(identifiers)
    assert page.all("html")[0]["attributes"]["lang"] == "en"


def rows_of(text, identifier):
    """Cell texts of a table's rows."""
    body = re.search(rf'<table id="{identifier}">(.*?)</table>', text, re.S).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    return [
        [" ".join(re.sub("<.*?>", " ", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", r, re.S)]
        for r in rows
    ]


def test_the_leaderboard_shows_ours_published_and_verdict(made_up):
    text = rendered(made_up).read_text()
    head, best, *others = rows_of(text, "leaderboard-wn18rr-all")
    assert head[0] == "Method and run"
    assert head[-2:] == ["Published MRR (ours minus it)", "Verdict"]
    board = json.loads(BOARD.read_text())
    (row,) = [
        r
        for r in board["rows"]
        if (r["dataset"], r["run"], r["metric"], r["side"], r["split"]) == ("wn18rr", "complex", "mrr", "both", "test")
        and (r["ties"], r["unseen"], r["breakdown"]) == ("realistic", "keep", None)
    ]
    assert best[0] == "ComplEx complex"
    assert best[1] == "kelbench code"
    assert best[2].startswith(f"{row['mean']:.3f} ± {row['sd']:.3f} seeds ")
    assert "{:.3f}\N{EN DASH}{:.3f}".format(*row["ci_test"]) in best[2]
    assert best[-2] == f"0.123 Known &lt;b&gt; (+{row['mean'] - 0.123:.3f})"
    assert best[-1] == "▲ exceeded"
    assert others[0][0].startswith("TransE transe not converged")
    assert others[-1][0] == "Random scorer random"
    assert "Controls" in text


def test_runs_that_differ_little_from_the_best_are_marked(made_up):
    experiment = made_up.build(Path())
    for seed in (1, 2, 3):
        for name in ("metrics.json", "ranks.test.npz", "ranks.valid.npz"):
            path = f"seed-{seed}/{name}"
            shutil.copy(f"results/made-up/tiny/complex/{path}", f"results/made-up/tiny/simple/{path}")
    build_leaderboard(experiment, BOARD)
    rows = rows_of(render_report(experiment, BOARD, OUT).read_text(), "leaderboard-tiny-all")
    difference = {row[0]: row[-1] for row in rows[1:]}
    assert "not distinguishable from best" in difference["SimplE simple"]
    assert "not distinguishable" not in difference["SimplE simple-pykeen"]
    assert difference["ComplEx complex"] == "best"


def test_a_method_no_better_than_a_control_is_named(made_up):
    """The leaderboard is edited until a control has the MRR of one method."""
    experiment = made_up.build(Path(), claims=CLAIMS)
    build_leaderboard(experiment, BOARD)
    board = json.loads(BOARD.read_text())
    wanted = {
        "split": "test",
        "metric": "mrr",
        "side": "both",
        "ties": "realistic",
        "unseen": "keep",
        "breakdown": None,
    }
    rows = [row for row in board["rows"] if all(row[key] == value for key, value in wanted.items())]

    def is_control(row):
        return board["runs"][row["dataset"]][row["run"]]["kind"] == "control"

    control = next(row for row in rows if is_control(row))
    worst = min(
        (row for row in rows if row["dataset"] == control["dataset"] and not is_control(row)),
        key=lambda row: row["mean"],
    )
    for mean, expected in ((worst["mean"] - 1e-6, 0), (worst["mean"], 1)):
        control["mean"] = mean
        BOARD.write_text(json.dumps(board))
        text = render_report(experiment, BOARD, OUT).read_text()
        assert text.count(f"{worst['run']} ({worst['mean']:.3f}) is not above the control") == expected


def test_sections_stand_in_order(made_up):
    text = rendered(made_up).read_text()
    headings = re.findall(r'<h2 id="([a-z-]+)">', text)
    assert headings == [
        *("leaderboards", "sides", "unseen", "two-engines", "breakdowns", "ties", "curves", "datasets"),
        *("claims-section", "settings", "downloads", "provenance"),
    ]
    assert "two symmetric DistMults" in text
    assert "kept: 40 triples against 50 candidates; dropped: 36 against 45" in text
    assert "No unseen entities: TINY." in text
    assert [row[0] for row in rows_of(text, "breakdown-tiny-degree")[1:]] == ["0", "5-19", "100+"]
    assert "3 CRLF line ends" in text
    assert "relation-pairs-tiny" in text
    assert ["ComplEx complex-pykeen", "TINY", "1.0e-07", "1.250000", "1.250000", "2.0e-06"] in rows_of(
        text, "same-vectors"
    )


def test_claims_are_judged_waiting_or_elsewhere(made_up):
    text = rendered(made_up).read_text()
    assert rows_of(text, "claims")[1][4] == "▲ exceeded"
    assert "not run" in rows_of(text, "claims-elsewhere")[1][4]
    assert "needs a run of TransE on fb15k-237 with preset code" in text


def test_exports_parse_back(made_up):
    rendered(made_up)
    board = json.loads(BOARD.read_text())
    frame = pd.read_csv(OUT / "leaderboard.csv")
    assert len(frame) == len(board["rows"])
    assert frame["mean"].tolist() == pytest.approx([row["mean"] for row in board["rows"]])
    judged = frame[frame["published"].notna()]
    assert judged["published"].tolist() == ["known-complex=0.123"]
    assert judged["verdict"].tolist() == ["exceeded"]
    assert frame["ci_test_low"].notna().sum() == sum(row["ci_test"] is not None for row in board["rows"])
    assert json.loads((OUT / "leaderboard.json").read_text()) == board
    latex = (OUT / "leaderboard.tex").read_text()
    assert latex.count("\\toprule") == latex.count("\\bottomrule") == 2
    assert sum(line.endswith("\\\\") for line in latex.splitlines()) == 2 + 6 + 3
    assert "ComplEx & complex-pykeen & 0." in latex
    markdown = (OUT / "leaderboard.md").read_text()
    assert "| **0." in markdown
    assert "<b>" not in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 6 + 3


def test_downloads_are_the_exports(made_up):
    page = Page(rendered(made_up).read_text())
    links = {
        e["attributes"]["download"]: e["attributes"]["href"] for e in page.all("a") if "download" in e["attributes"]
    }
    assert len(links) == 4
    for name, address in links.items():
        content = base64.b64decode(address.split("base64,")[1])
        content = gzip.decompress(content) if name.endswith(".gz") else content
        assert content == (OUT / name.removesuffix(".gz")).read_bytes()


def test_the_page_is_small(made_up):
    assert rendered(made_up).stat().st_size < 2 * 1024 * 1024


def test_one_seed_says_so(made_up):
    text = rendered(made_up, seeds=(5,)).read_text()
    assert "one seed" in rows_of(text, "leaderboard-tiny-all")[1][2]


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ("results/made-up/leaderboard.json", "leaderboard.json"),
        ("results/made-up/tiny/complex/seed-2/curve.jsonl", "seed-2/curve.jsonl"),
        ("results/made-up/tiny/complex/seed-2/timing.jsonl", "seed-2/timing.jsonl"),
        ("results/made-up/tiny/complex/seed-2/provenance.json", "seed-2/provenance.json"),
    ],
)
def test_a_missing_file_is_named_and_nothing_is_written(made_up, missing, word):
    experiment = made_up.build(Path())
    build_leaderboard(experiment, BOARD)
    Path(missing).unlink()
    with pytest.raises(UserError, match=word):
        render_report(experiment, BOARD, OUT)
    assert not OUT.exists()


def test_another_json_file_is_not_a_leaderboard(made_up):
    experiment = made_up.build(Path())
    BOARD.write_text("[]")
    with pytest.raises(UserError, match="expected a leaderboard"):
        render_report(experiment, BOARD, OUT)


def in_browser(page, profile):
    """The page's elements after its scripts ran, and what the console said."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0"]
    command = ["chromium", *flags, f"--user-data-dir={profile}", "--dump-dom", f"file://{page.resolve()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")


@pytest.mark.slow
@browser
def test_a_browser_runs_the_page_without_a_violation(made_up, tmp_path):
    path = rendered(made_up)
    elements, console = in_browser(path, tmp_path / "profile")
    assert "Content Security Policy" not in console
    assert "CONSOLE" not in console
    assert '<button type="button">' in elements
    assert '<button type="button">' not in path.read_text()


@pytest.mark.slow
@browser
def test_a_browser_blocks_what_is_not_the_pages_own(made_up, tmp_path):
    path = rendered(made_up)
    foreign = OUT / "foreign.html"
    foreign.write_text(path.read_text().replace("</body>", "<script>document.title = 'PWN'</script></body>"))
    elements, console = in_browser(foreign, tmp_path / "profile")
    assert "Content Security Policy" in console
    assert "<title>PWN</title>" not in elements


@pytest.mark.slow
@browser
def test_a_click_sorts_within_the_groups(made_up, tmp_path):
    click = "<script>document.querySelectorAll('#leaderboard-tiny-all thead button')[6].click()</script></body>"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", rendered(made_up).read_text())
    page = OUT / "clicked.html"
    page.write_text(text.replace("</body>", click))
    elements, _ = in_browser(page, tmp_path / "profile")
    before, after = rows_of(text, "leaderboard-tiny-all"), rows_of(elements, "leaderboard-tiny-all")
    assert before[0][6].startswith("MR")
    assert 'aria-sort="ascending"' in elements
    mean_ranks = [float(row[6]) for row in after[1:] if row[0] != "Random scorer random"]
    assert mean_ranks == sorted(mean_ranks)
    assert after[-1][0] == before[-1][0] == "Random scorer random"


def test_a_table_compares_every_run_with_the_one_that_the_experiment_names(made_up):
    experiment = made_up.build(Path(), compared_with="simple")
    build_leaderboard(experiment, BOARD)
    (table,) = comparison_tables(Board(BOARD), "tiny")
    assert [column.label for column in table.columns][3] == "Minus simple"
    rows = [[cell.text for cell in row] for group in table.groups for row in group.rows]
    assert rows[0][0] == "complex"
    assert rows[-1][0] == "random"
    assert rows[-1][3].startswith("\N{MINUS SIGN}")
    assert comparison_tables(Board(BOARD), "wn18rr") == []


def test_of_several_chosen_runs_each_is_compared_with_that_of_its_method_or_the_first(made_up):
    experiment = made_up.build(Path(), compared_with=["transe", "simple"])
    build_leaderboard(experiment, BOARD)
    board = Board(BOARD)
    beside = {item["run"]: item["compared_with"] for item in board.comparisons("tiny")}
    assert beside["simple-pykeen"] == "simple"
    assert beside["simple"] == beside["complex"] == beside["random"] == "transe"
    assert "transe" not in beside
    first, second = comparison_tables(board, "tiny")
    assert [row[0].text for group in first.groups for row in group.rows] == ["simple-pykeen"]
    assert first.identifier != second.identifier

"""The tables on texts: what each source can tell, and every run where a name gives the answer away and where not."""

from kelbench.report.sections import is_unseen_throughout, name_match_table, texts_table


class FakeBoard:
    """As much of a board as the two tables ask for."""

    def __init__(self, texts=(), rows=None):
        self.datasets = {"d": {"audit": {"texts": list(texts)}}}
        self._rows = rows or {}

    def title(self, dataset):
        return "D"

    def runs(self, dataset):
        return {run: {} for run, _ in self._rows}

    def row(self, dataset, run, metric, breakdown=None):
        value = self._rows.get((run, breakdown))
        return None if value is None else {"mean": value[0], "n_triples": value[1], "sd": None, "values": [value[0]]}


def cells(table):
    return [[cell.text for cell in row] for group in table.groups for row in group.rows]


def test_texts_are_shown_by_source():
    record = {
        "source": "first_sentence",
        "entities": 1200,
        "with_text": 1100,
        "distinct": 1000,
        "shared": 150,
        "median_words": 21.0,
        "oracle_mrr": 0.98765,
        "name_match": 0.0585,
    }
    table = texts_table(FakeBoard([record, record | {"source": "name", "name_match": None}]), "d")
    assert cells(table) == [
        ["first sentence", "1,100 of 1,200", "1,000", "21", "0.988", "5.9 %"],
        ["name", "1,100 of 1,200", "1,000", "21", "0.988", "\N{EN DASH}"],
    ]
    assert texts_table(FakeBoard(), "d") is None


def test_runs_are_shown_by_name_match():
    parts = (None, "name match=yes", "name match=no")
    rows = {("a", part): value for part, value in zip(parts, [(0.5, 100), (0.9, 40), (0.2, 60)], strict=True)}
    rows |= {("b", part): value for part, value in zip(parts, [(0.1, 100), (0.1, 40), (0.1, 60)], strict=True)}
    table = name_match_table(FakeBoard(rows=rows), "d")
    assert [column.label for column in table.columns] == [
        "Run",
        "MRR, all (100 triples)",
        "MRR, name match (40 triples)",
        "MRR, no name match (60 triples)",
    ]
    found = {row[0]: row[1:] for row in cells(table)}
    assert [float(text) for text in found["a"]] == [0.5, 0.9, 0.2]
    assert name_match_table(FakeBoard(rows={("a", None): (0.5, 100)}), "d") is None


def test_a_split_of_unseen_entities_is_told_from_one_without():
    board = FakeBoard()
    check = {"check": "triples with an unseen entity", "split": "test", "count": 5, "of": 5}
    for checks, expected in (([check], True), ([check | {"count": 4}], False), ([check | {"split": "valid"}], False)):
        board.datasets["d"]["audit"]["checks"] = checks
        assert is_unseen_throughout(board, "d") is expected
    board.datasets["d"]["audit"].pop("checks")
    assert not is_unseen_throughout(board, "d")

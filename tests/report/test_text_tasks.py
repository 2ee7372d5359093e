"""The table of entity linking."""

from types import SimpleNamespace

from kelbench.report.text_tasks import linking_tables


def record(run, candidates, metric, value, subset="every", examples=891):
    return {
        "subset": subset,
        "dataset": "atlas-tasks",
        "task": "entity_linking",
        "run": run,
        "encoder": "bow" if run == "clep" else None,
        "candidates": candidates,
        "metric": metric,
        "mean": value,
        "ci_test": [value - 0.01, value + 0.01] if metric != "hits@10" else None,
        "n_examples": examples,
    }


def board(*runs, connected=None):
    columns = [("given", "accuracy"), ("all", "hits@1"), ("all", "hits@10"), ("all", "mrr")]
    tasks = [
        record(run, candidates, metric, base + number / 10)
        for run, base in runs
        for number, (candidates, metric) in enumerate(columns)
    ]
    if connected is not None:
        others = [one | {"subset": "connected", "n_examples": connected} for one in tasks]
        tasks += [one | {"n_examples": 20} if one["candidates"] == "given" else one for one in others]
    kinds = {run: {"kind": "control" if run == "names" else "text"} for run, _ in runs}
    return SimpleNamespace(content={"text_tasks": tasks}, runs=lambda _: kinds, title=lambda _: "atlas")


def test_runs_by_accuracy_with_intervals_and_controls_apart():
    (table,) = linking_tables(board(("clep", 0.2), ("own", 0.3), ("names", 0.5)), "atlas-tasks")
    assert "891 mentions" in table.caption
    methods, controls = table.groups
    assert [row[0].text for row in methods.rows] == ["own", "clep"]
    assert ([row[0].text for row in controls.rows], controls.label) == (["names"], "Controls")
    own = methods.rows[0]
    assert own[2].text == "0.300"
    assert own[2].notes == ("0.290\N{EN DASH}0.310",)
    assert own[4].notes == ()
    assert methods.rows[1][1].text == "bow"
    assert [cell.strong for cell in controls.rows[0][2:]] == [True] * 4
    assert not any(cell.strong for cell in own)


def test_no_table_where_nothing_was_linked():
    assert linking_tables(board(), "atlas-tasks") == []
    assert linking_tables(board(("clep", 0.2)), "nations") == []


def test_a_second_table_where_some_entities_have_no_triple():
    assert len(linking_tables(board(("clep", 0.2), connected=891), "atlas-tasks")) == 1
    every, connected = linking_tables(board(("clep", 0.2), connected=1400), "atlas-tasks")
    assert (every.identifier, connected.identifier) == ("linking-atlas-tasks", "linking-connected-atlas-tasks")
    assert "the 1,400 mentions (20 with given candidates) that mean" in connected.caption


def test_without_given_candidates_the_table_has_the_other_columns():
    made = board(("clep", 0.2), ("names", 0.5))
    made.content["text_tasks"] = [one for one in made.content["text_tasks"] if one["candidates"] == "all"]
    (table,) = linking_tables(made, "atlas-tasks")
    assert [column.label for column in table.columns][2:] == ["Hits@1 among all", "Hits@10 among all", "MRR among all"]
    assert "(0 with given candidates)" in table.caption

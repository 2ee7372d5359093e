"""The table of published orders says why a clear difference has no verdict."""

from types import SimpleNamespace

import pytest

from kelbench.report.published import orders_table


@pytest.mark.parametrize(
    ("tested_on", "asked", "words"),
    [
        ("graph", 0.345, ("conve is below 0.345",)),
        ("graph", 0.31, ()),
        ("graph", None, ()),
        ("stand-in", 0.345, ()),  # what is asked is asked on the claim's own dataset
    ],
)
def test_an_order_over_an_under_trained_method_names_what_was_asked(tested_on, asked, words):
    claim = {
        "dataset": "graph",
        "tested_on": tested_on,
        "higher": "CLEP fine-tuned ConvE",
        "lower": "CompGCN ConvE",
        "higher_encoder": None,
        "lower_encoder": None,
        "lower_at_least": asked,
        "printed": "ConvE gains",
        "source": {"short": "CLEP", "where": "a plot"},
        "verdict": "inconclusive",
        "difference": 0.005,
        "interval": (0.003, 0.007),
        "p": 0.001,
        "rows": [
            {"run": run, "preset": "ours", "encoder": None, "mean": mean}
            for run, mean in (("clep-conve", 0.319), ("conve", 0.314))
        ],
    }
    table = orders_table(SimpleNamespace(title=str.upper), [claim], "orders")
    (row,) = table.groups[0].rows
    assert row[2].text == "inconclusive: undecided"
    assert row[2].notes == words

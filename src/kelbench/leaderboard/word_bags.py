"""Whether a bag of words does as well as a transformer, wherever both were trained: a control that the field owes."""

from __future__ import annotations

from kelbench.config.claims import is_transformer
from kelbench.leaderboard.records import Compare, difference_record
from kelbench.leaderboard.rows import Row, Rows, best_on_validation

BAG_OF_WORDS = "bow"


def bags_against_transformers(rows: Rows, datasets: list[str], controls: set[str], compare: Compare) -> list[Row]:
    """For each dataset with both: the best trained bag of words minus the best trained transformer.

    Both are chosen by validation MRR. The difference is recorded whichever way it falls.

    Args:
        rows: of the whole leaderboard.
        datasets: where to look.
        controls: labels of controls, which are not trained.
        compare: paired difference of test MRR.
    """
    found = []
    for dataset in datasets:
        trained = [(valid, test) for valid, test in rows.runs(dataset) if test["method"] not in controls]
        bag = best_on_validation([pair for pair in trained if pair[1]["encoder"] == BAG_OF_WORDS])
        transformer = best_on_validation([pair for pair in trained if is_transformer(pair[1]["encoder"])])
        if bag is None or transformer is None:
            continue
        difference = compare(dataset, bag["run"], transformer["run"])
        found.append(
            {
                "dataset": dataset,
                "bag_of_words": bag["run"],
                "transformer": transformer["run"],
                "metric": "mrr",
                "n_seeds": bag["n_seeds"],
                **difference_record(difference),
            }
        )
    return found

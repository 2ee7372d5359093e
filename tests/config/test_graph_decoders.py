"""Settings of graph encoders with decoders: what fits a method, and what is refused."""

import pytest
from pydantic import ValidationError

from kelbench.config.claims import ValueClaim, load_claims
from kelbench.config.experiment import load_method
from kelbench.config.graph_decoders import GRAPH_DECODER_METHODS, STARTS_OF, GraphDecoderSettings

ENTRIES = {method: load_method(method) for method in GRAPH_DECODER_METHODS}


def of(method, **changes):
    return GraphDecoderSettings.model_validate(ENTRIES[method].settings["native"] | changes)


@pytest.mark.parametrize("method", GRAPH_DECODER_METHODS)
def test_defaults_fit_their_method_and_are_those_of_the_one_they_are_compared_with(method):
    start = "some-run" if STARTS_OF[method] else None
    of(method, start=start).check_method(method)
    origin, decoder = method.split("_")
    if origin != "rgcn":
        assert of(method) == of(f"compgcn_{decoder}")


def test_labels_are_those_of_the_claims():
    labels = {entry.label for entry in ENTRIES.values()}
    claimed = {claim.method for _, claim in load_claims() if isinstance(claim, ValueClaim)}
    assert {label for label in claimed if "GCN" in label or "fine-tuned" in label} <= labels
    decoders = ("TransE", "DistMult", "RESCAL", "ConvE")
    expected = {f"{origin} {name}" for origin in ("CompGCN", "CLEP fine-tuned", "Warm-started") for name in decoders}
    assert labels == expected | {"R-GCN DistMult"}


GRAPH = {"kind": "compgcn", "composition": "sub", "layers": 1, "width": 8}
IMAGE = {"kernel": 3, "filters": 5, "rows": 2, "columns": 4}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"graph": {**GRAPH, "features": "text"}}, "the graph's features must be free here, found text"),
        ({"convolution": IMAGE}, "the key convolution goes with decoder: conve"),
        ({"decoder": "conve"}, "the key convolution goes with decoder: conve"),
        ({"decoder": "conve", "convolution": IMAGE}, "rows times columns of the convolution must be the graph's width"),
        ({"decoder": "conve", "convolution": {**IMAGE, "rows": 10, "columns": 20, "kernel": 21}}, "larger than the image"),
        ({"graph": {**GRAPH, "features": "free", "adjacency": "none", "drop_batch_edges": True}}, "no edges for drop_batch_"),
        ({"decoder": "transe"}, "decoder: transe takes no entity_bias"),
        ({"label_smoothing": 0.1}, "the key label_smoothing goes with loss: binary_cross_entropy"),
        ({"margin": 9.0}, "the key margin goes with decoder: transe and loss: binary_cross_entropy"),
        ({"decoder": "transe", "entity_bias": False, "loss": "binary_cross_entropy"}, "the key margin goes with"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_each_other_are_refused(changes, expected):
    with pytest.raises(ValidationError, match=expected):
        of("compgcn_distmult", **changes)


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("compgcn_distmult", {"decoder": "rescal"}, "decoder of compgcn_distmult must be distmult, found rescal"),
        ("rgcn_distmult", {"graph": {**GRAPH, "features": "free"}}, "the graph of rgcn_distmult must be of kind rgcn"),
        ("compgcn_conve", {"start": "x"}, "starts from nothing; .*use a method of clep_conve or warm_conve"),
        ("clep_transe", {}, "clep_transe needs the key start, a run of clep"),
        ("warm_conve", {}, "warm_conve needs the key start, a run of compgcn_transe or"),
    ],
)
def test_keys_that_do_not_fit_the_method_are_refused(method, changes, expected):
    with pytest.raises(ValueError, match=expected):
        of(method, **changes).check_method(method)

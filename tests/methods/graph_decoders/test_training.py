"""Training: seeds, resumption, what a start changes, no look at the test files; and it learns."""

import numpy as np
import pytest
import torch

from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.decoded import DecodedTables
from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.load import load_model
from kelbench.methods.graph_decoders import run, train
from kelbench.methods.graph_decoders.model import GraphDecoder
from kelbench.methods.graph_decoders.training import GraphDecoderTraining
from kelbench.scoring import similarity_matrix
from kelbench.tasks.link_prediction import evaluate
from kelbench.training import loop
from kelbench.training.randomness import counter_generator

BINARY = {"loss": "binary_cross_entropy", "label_smoothing": 0.1}
VARIANTS = {
    "transe": {"decoder": "transe"},
    "distmult": {"entity_bias": True, "gradient_norm": 1.0, "weight_decay": 0.01},
    "rescal": {"decoder": "rescal", "mapping": False, "warmup": 0.2, "decay": True},
    "conve": {"decoder": "conve", "entity_bias": True},
    "binary transe": {"decoder": "transe", "loss": "binary_cross_entropy", "margin": 3.0},
    "binary conve": {"decoder": "conve", "graph": {"drop_batch_edges": True, "composition": "mult"}, **BINARY},
    "r-gcn": {"graph": {"kind": "rgcn", "composition": None, "bases": 3, "drop_batch_edges": True}, **BINARY},
    "no edges": {"graph": {"adjacency": "none"}},
    "random edges": {"graph": {"adjacency": "random"}},
    "bfloat16": {"precision": "bfloat16", "entity_bias": True},
    "bfloat16 conve": {"precision": "bfloat16", "decoder": "conve", **BINARY},
    "bfloat16 transe": {"precision": "bfloat16", "decoder": "transe"},
}


@pytest.fixture
def dataset(small_graph):
    return PreparedDataset(small_graph)


def training_of(dataset, options, seed=1, start=None):
    model = GraphDecoder(options, dataset, seed, start)
    return GraphDecoderTraining(model, np.asarray(dataset.triples("train")), dataset.num_relations, seed)


@pytest.mark.parametrize("kind", ["graph", "random", "none"])
def test_messages_go_along_the_edges_that_adjacency_names(dataset, make_settings, kind):
    triples, drawn = np.asarray(dataset.triples("train")), counter_generator(1, "random adjacency", 0)
    made = GraphDecoder(make_settings(graph={"adjacency": kind}), dataset, 1).training_graph
    wanted = Adjacency.of(triples, made.num_nodes, dataset.num_relations, kind, drawn)
    plain = Adjacency.of(triples, made.num_nodes, dataset.num_relations)
    for part in ("source", "destination", "relation", "direction"):
        assert np.array_equal(getattr(made.edges, part), getattr(wanted.edges, part)), part
    assert np.array_equal(made.edges.destination, plain.edges.destination) == (kind == "graph")


@pytest.mark.parametrize("repeated", [[], [0, 4, 4]])
def test_what_a_batch_asks_has_no_edge_that_answers_it(dataset, make_settings, repeated):
    triples = np.asarray(dataset.triples("train"))
    triples = np.concatenate([triples, triples[repeated]])
    model = GraphDecoder(make_settings(graph={"drop_batch_edges": True}, batch_size=6), dataset, 1)
    model.training_graph = Adjacency.of(triples, model.training_graph.num_nodes, dataset.num_relations)
    training = GraphDecoderTraining(model, triples, dataset.num_relations, 1)
    for batch in training.batches(triples, 1):
        asked = set(zip(batch.given.tolist(), batch.relations.tolist(), strict=True))
        dropped = [
            number
            for number, (head, relation, tail) in enumerate(triples.tolist())
            if {(head, relation), (tail, relation + dataset.num_relations)} & asked
        ]
        left = training._graph_of(batch)
        expected = training.model.training_graph.without_triples(np.array(dropped))
        assert torch.equal(left.differences.dense(), expected.differences.dense())
        assert not torch.equal(left.differences.dense(), training.model.training_graph.differences.dense())


@pytest.mark.parametrize("changes", [{}, BINARY])
def test_repeated_triples_are_learned_from_once(dataset, make_settings, changes):
    triples = np.asarray(dataset.triples("train"))
    weights = []
    for given in (triples, np.concatenate([triples, triples[:5], triples[2:3]])):
        model = GraphDecoder(make_settings(**changes), dataset, 1)
        training = GraphDecoderTraining(model, given, dataset.num_relations, 1)
        for step, batch in enumerate(training.batches(given, 1)):
            training.step(batch, 1, step)
        weights.append({name: tensor.clone() for name, tensor in training.weights().items()})
    for name, once in weights[0].items():
        torch.testing.assert_close(weights[1][name], once, msg=name)


@pytest.mark.parametrize("changes", [{}, {"entity_bias": True, **BINARY}, {"decoder": "rescal"}, {"decoder": "conve"}])
def test_bfloat16_rounds_products_and_nothing_else(dataset, make_settings, changes):
    settings = {"graph": {"dropout": 0.0, "layer_dropout": 0.0}} | changes
    if changes.get("decoder") == "conve":
        undropped = {"feature_dropout": 0.0, "hidden_dropout": 0.0}
        settings["convolution"] = {"kernel": 3, "filters": 5, "rows": 2, "columns": 4, **undropped}
    losses, gradients = [], []
    for precision in ("float32", "bfloat16"):
        training = training_of(dataset, make_settings(**settings, precision=precision))
        losses.append(training.step(next(training.batches(dataset.triples("train"), 1)), 1, 0))
        gradients.append({name: weight.grad for name, weight in training.model.named_parameters()})
    exact, rounded = losses
    assert rounded.dtype == torch.float32
    assert rounded != exact and rounded.item() == pytest.approx(exact.item(), rel=0.01)
    for name, gradient in gradients[0].items():
        assert gradients[1][name].dtype == torch.float32
        if gradient.norm() > 1e-4:
            assert torch.cosine_similarity(gradient.flatten(), gradients[1][name].flatten(), 0) > 0.97, name


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_repeats_bit_by_bit_learns_and_is_ranked_from_its_file(dataset, make_settings, make_job, digest, name):
    options = make_settings(**VARIANTS[name])
    digests = []
    for seed, folder in ((1, "one"), (1, "same"), (2, "other")):
        torch.rand(seed)  # the global state is not what decides
        job = make_job(dataset, options, seed, folder)
        trained = train(job)
        digests.append(digest(job, trained))
    assert digests[0] == digests[1] != digests[2]
    losses = [record["loss"] for record in trained.curve]
    assert losses[-1] < losses[0]
    loaded = load_model(job.folder / "model.safetensors", dataset)
    assert isinstance(loaded, DecodedTables)
    entities, relations = torch.tensor([3, 4, 5]), torch.tensor([0, 1, 2])
    for side in ("head", "tail"):
        one, other = (table.queries(side, entities, relations, torch.float64) for table in (trained.tables, loaded))
        assert one.dtype == torch.float64
        assert torch.equal(one, other)
    evaluate(loaded, dataset, job.folder)
    assert (job.folder / "ranks.test.npz").is_file()


class Killed(Exception):
    pass


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (2, 0)])
@pytest.mark.parametrize("name", ["distmult", "binary conve"])
def test_a_resumed_run_ends_with_the_same_bits(
    dataset, make_settings, make_job, digest, monkeypatch, name, epoch, step
):
    options = make_settings(**VARIANTS[name] | {"early_stopping": {"every": 2, "patience": 9}})
    quiet = make_job(dataset, options, folder="quiet")
    undisturbed = train(quiet)
    job, original = make_job(dataset, options), GraphDecoderTraining.step

    def until(self, batch, *place):
        if place == (epoch, step):
            raise Killed
        return original(self, batch, *place)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr(GraphDecoderTraining, "step", until)
        with pytest.raises(Killed):
            train(job)
        assert (job.folder / "checkpoint.pt").is_file()
    begun = []
    monkeypatch.setattr(GraphDecoderTraining, "step", lambda *a: (begun.append(a[2:]), original(*a))[1])
    resumed = train(job)
    assert begun[0] == (epoch, step)
    assert digest(job, resumed) == digest(quiet, undisturbed)
    assert resumed.curve == undisturbed.curve


def test_no_file_of_the_test_split_reaches_training(small_graph, make_settings, make_job):
    weights = []
    for folder in ("before", "after"):
        trained = train(make_job(PreparedDataset(small_graph), make_settings(epochs=2), folder=folder))
        weights.append((trained.tables.node, trained.curve))
        (small_graph / "test/triples.npy").unlink(missing_ok=True)
    assert torch.equal(weights[0][0], weights[1][0])
    assert weights[0][1] == weights[1][1]


@pytest.mark.parametrize("kind", ["transe", "distmult", "rescal", "conve"])
def test_a_memorable_graph_is_learned(dataset, make_settings, make_job, kind):
    quiet = {"width": 32, "dropout": 0.0, "layer_dropout": 0.0}
    undropped = {"feature_dropout": 0.0, "hidden_dropout": 0.0}
    image = (
        {"convolution": {"kernel": 3, "filters": 8, "rows": 4, "columns": 8, **undropped}} if kind == "conve" else {}
    )
    rates = {"learning_rate": 0.01, "epochs": 80, "early_stopping": {"every": 80, "patience": 9}}
    tables = train(make_job(dataset, make_settings(kind, quiet, **image, **rates))).tables
    triples = torch.from_numpy(np.array(dataset.triples("train"))).long()
    # A query has several answers in this graph, of which any may come first.
    known = {}
    for head, relation, tail in triples.tolist():
        known.setdefault((head, relation), set()).add(tail)
    scores = similarity_matrix(
        tables.similarity, tables.queries("tail", triples[:, 0], triples[:, 1]), tables.candidates(torch.arange(24))
    )
    best = scores.argmax(1).tolist()
    right = [
        answer in known[head, relation] for answer, (head, relation, _) in zip(best, triples.tolist(), strict=True)
    ]
    assert np.mean(right) > 0.65


@pytest.mark.parametrize(("decoder", "few"), [("conve", 1), ("distmult", 0)])
def test_only_the_decoder_whose_large_products_change_size_keeps_few(
    dataset, make_settings, make_job, monkeypatch, decoder, few
):
    called = []
    monkeypatch.setattr(run, "keep_few_products", lambda: called.append("few"))
    run.train(make_job(dataset, make_settings(decoder, epochs=1)))
    assert called == ["few"] * few

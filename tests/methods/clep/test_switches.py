"""Each switch of CLEP reaches what it switches: the edges, what a batch drops, the loss, the rates, new entities' edges."""

import numpy as np
import pytest
import torch

from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.methods.clep.loss import contrastive_loss, multihot_loss
from kelbench.methods.clep.model import ContrastiveModel
from kelbench.methods.clep.training import ContrastiveTraining
from kelbench.training.processes import Processes
from kelbench.training.randomness import counter_generator

# Without dropout, so that a step can be repeated by hand.
QUIET = {"dropout": 0.0, "layer_dropout": 0.0}


def training_of(dataset, options):
    model = ContrastiveModel(options, dataset, 1)
    return ContrastiveTraining(model, dataset.triples("train"), dataset.num_relations, 1, Processes())


def same_edges(one, other):
    return all(
        np.array_equal(getattr(one.edges, part), getattr(other.edges, part))
        for part in ("source", "destination", "relation", "direction")
    )


@pytest.mark.parametrize("kind", ["graph", "random", "none"])
def test_messages_go_along_the_edges_that_adjacency_names(closed, make_settings, kind):
    triples = np.asarray(closed.triples("train"))
    made = ContrastiveModel(make_settings({"adjacency": kind}), closed, 1).training_graph
    wanted = Adjacency.of(triples, 20, 3, kind, counter_generator(1, "random adjacency", 0))
    assert same_edges(made, wanted)
    assert made.empty == (kind == "none")
    assert same_edges(made, Adjacency.of(triples, 20, 3)) == (kind == "graph")


def test_the_faults_of_the_released_graph_are_its_edges_directions_and_weights(closed, make_settings):
    triples = np.asarray(closed.triples("train"))
    plain, interleaved, weighted = (
        ContrastiveModel(make_settings(loss="multihot", faults=faults), closed, 1).training_graph
        for faults in ([], ["edges_interleaved"], ["relations_weighted"])
    )
    assert same_edges(plain, Adjacency.of(triples, 20, 3))
    assert same_edges(interleaved, Adjacency.of(triples, 20, 3, interleaved=True))
    assert not same_edges(interleaved, plain)
    assert (plain.weighted, interleaved.weighted, weighted.weighted) == ("message", "message", "relation")


def by_hand(training, batch, graph, loss):
    """The loss of a batch whose nodes are encoded by `graph`."""
    model = training.model.train()
    vectors = model.descriptions.of_training()
    nodes, relations = model.nodes_of_training(graph, vectors)
    columns = vectors if training.settings.loss == "all" else vectors[torch.from_numpy(batch.columns)]
    given, asked = torch.from_numpy(batch.given), torch.from_numpy(batch.relations)
    return loss(model.scores(nodes[given], relations[asked], columns))


def assert_step_is(training, batch, wanted, other):
    """A step's loss is that of `wanted`, a graph and a function of scores, and not that of `other`."""
    right, wrong = by_hand(training, batch, *wanted), by_hand(training, batch, *other)
    assert not torch.isclose(right, wrong)
    torch.testing.assert_close(training.step(batch, 1, 0), right.detach())


def places(pairs):
    return torch.from_numpy(pairs[0]), torch.from_numpy(pairs[1])


@pytest.mark.parametrize("drop", [False, True])
def test_a_batch_is_encoded_without_its_own_edges_where_asked(closed, make_settings, drop):
    training = training_of(closed, make_settings(QUIET | {"drop_batch_edges": drop}))
    # A batch names its triples where they are dropped alone.
    dropping = training_of(closed, make_settings(QUIET | {"drop_batch_edges": True}))
    batch = next(dropping.batches(closed.triples("train"), 1))
    whole = training.model.training_graph
    lacking = whole.without_triples(batch.triples)

    def loss(scores):
        return contrastive_loss(scores, places(batch.positive), places(batch.excluded))

    wanted, other = (lacking, whole) if drop else (whole, lacking)
    assert_step_is(training, batch, (wanted, loss), (other, loss))


@pytest.mark.parametrize("transposed", [True, False])
def test_the_columns_of_multihot_are_asked_for_the_label_that_faults_names(closed, make_settings, transposed):
    faults = [] if transposed else ["label_not_transposed"]
    training = training_of(closed, make_settings(QUIET, loss="multihot", faults=faults))
    batch = next(training.batches(closed.triples("train"), 1))
    graph = training.model.training_graph

    def loss(turned):
        return lambda scores: multihot_loss(scores, places(batch.excluded), turned)

    assert_step_is(training, batch, (graph, loss(transposed)), (graph, loss(not transposed)))


@pytest.mark.parametrize("columns", [True, False])
def test_columns_have_a_loss_where_asked(closed, make_settings, columns):
    training = training_of(closed, make_settings(QUIET, loss="all", column_loss=columns))
    batch = next(training.batches(closed.triples("train"), 1))
    graph = training.model.training_graph

    def loss(both):
        return lambda scores: contrastive_loss(scores, places(batch.positive), places(batch.excluded), both)

    assert_step_is(training, batch, (graph, loss(columns)), (graph, loss(not columns)))


def test_the_text_encoder_learns_at_its_own_rate(closed, make_settings):
    moved = {}
    for rate in (0.01, 0.0001):
        training = training_of(closed, make_settings(warmup=0.0, decay=False, text_learning_rate=rate))
        before = {name: parameter.detach().clone() for name, parameter in training.model.named_parameters()}
        training.step(next(training.batches(closed.triples("train"), 1)), 1, 0)
        # AdamW's first step has the length of the rate, whatever the gradient.
        moved[rate] = {
            name: (parameter - before[name]).abs().max().item() for name, parameter in training.model.named_parameters()
        }
    for rate, lengths in moved.items():
        of_texts = [length for name, length in lengths.items() if name.startswith("text_encoder.")]
        assert max(of_texts) == pytest.approx(rate, rel=0.01)
        assert lengths["query_head.weights.0"] == pytest.approx(0.01, rel=0.01)


def with_support(described, support):
    np.save(described.folder / "test/support.npy", np.array(support, dtype=np.int32))
    return PreparedDataset(described.folder)


@pytest.mark.parametrize(("kind", "hears"), [("graph", True), ("none", False)])
def test_new_entities_receive_the_messages_of_their_own_graph(described, make_settings, kind, hears):
    # Two edges that face each other, since a node that receives nothing in a direction sends nothing there.
    support = [[20, 0, 22], [22, 1, 20], [25, 2, 24], [24, 0, 25]]
    options = make_settings({"features": "text", "adjacency": kind})
    of = {}
    for name, edges in (("whole", support), ("fewer", support[:2])):
        dataset = with_support(described, edges)
        model = ContrastiveModel(options, dataset, 1)
        of[name] = model.tables().node
    known = np.concatenate([np.asarray(described.triples("train")), np.array(edges)])
    vectors = model.descriptions.all()[model._of_entity]
    wanted, _ = model.eval().graph(Adjacency.of(known, 26, 3, kind), vectors)
    torch.testing.assert_close(of["fewer"], wanted.detach())
    changed = (of["whole"] != of["fewer"]).any(dim=1)
    # Of the edges that one graph lacks 24 and 25 are the ends, and no other new entity is near them.
    assert changed[24:26].tolist() == [hears, hears]
    assert not changed[20:24].any()

"""The whole encoder: features, refusals, dropout, determinism."""

import numpy as np
import pytest
import torch

from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.graph.encoder import GraphEncoder

NODES, RELATIONS, WIDTH, TEXT = 30, 4, 8, 5


@pytest.fixture
def triples():
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(NODES, size=90), rng.integers(RELATIONS, size=90), rng.integers(NODES, size=90)], 1)


@pytest.fixture
def adjacency(triples):
    return Adjacency.of(triples, NODES, RELATIONS)


def make(kind="compgcn", seed=1, **settings):
    settings.setdefault("free_nodes", NODES)
    return GraphEncoder(kind, WIDTH, RELATIONS, generator=torch.Generator().manual_seed(seed), **settings)


KINDS = [("compgcn", "sub"), ("compgcn", "mult"), ("compgcn", "corr"), ("rgcn", "sub")]


@pytest.mark.parametrize(("kind", "composition"), KINDS)
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_any_number_of_layers_gives_a_vector_a_node_and_a_relation_and_trains_all_weights(
    kind, composition, layers, adjacency
):
    encoder = make(kind, composition=composition, layers=layers, bases=3, text_width=TEXT)
    nodes, relations = encoder(adjacency, torch.ones(NODES, TEXT))
    assert nodes.shape == (NODES, WIDTH) and relations.shape == (2 * RELATIONS, WIDTH)
    (nodes.square().sum() + relations.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize(("kind", "composition"), KINDS)
def test_one_seed_gives_the_same_bits_and_another_does_not(kind, composition, adjacency):
    def steps(seed):
        torch.manual_seed(seed)
        encoder = make(kind, seed, composition=composition, bases=3)
        optimizer = torch.optim.Adam(encoder.parameters())
        for step in range(3):
            optimizer.zero_grad()
            nodes, relations = encoder(adjacency.without_triples([step, 5]))
            (nodes[:7].sum() + relations[0].sum()).backward()
            optimizer.step()
        return encoder.state_dict()

    one, same, other = steps(1), steps(1), steps(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["free"], other["free"])


def test_dropout_acts_in_training_alone(adjacency):
    encoder = make()
    assert not torch.equal(encoder(adjacency)[0], encoder(adjacency)[0])
    assert (encoder(adjacency)[0] == 0).any()
    encoder.eval()
    assert torch.equal(encoder(adjacency)[0], encoder(adjacency)[0])
    assert not (encoder(adjacency)[0] == 0).any()


def test_free_vectors_and_text_are_added(adjacency):
    text = torch.randn(NODES, TEXT, generator=torch.Generator().manual_seed(2))
    encoder = make(layers=0, text_width=TEXT).eval()
    nodes, relations = encoder(adjacency, text)
    torch.testing.assert_close(nodes, encoder.free + text @ encoder.projection)
    assert relations is encoder.relation


def test_text_alone_carries_over_to_another_graph_and_free_vectors_do_not(triples):
    other = Adjacency.of(triples[:20] % 9 * [1, 0, 1], 9, RELATIONS)
    nodes, _ = make(free_nodes=None, text_width=TEXT).eval()(other, torch.ones(9, TEXT))
    assert nodes.shape == (9, WIDTH)
    with pytest.raises(ValueError, match="30 nodes with free vectors, found 9"):
        make()(other)
    with pytest.raises(ValueError, match="30 nodes with free vectors, found 9"):
        make(text_width=TEXT)(other, torch.ones(9, TEXT))


def test_a_node_hears_of_its_neighbours_only_where_there_are_messages(triples, adjacency):
    def effect(graph):
        encoder = make(layers=1).eval()
        before = encoder(graph)[0]
        with torch.no_grad():
            encoder.free[int(triples[0, 0])] += 1
        return (encoder(graph)[0] != before).any(1)

    assert effect(adjacency)[int(triples[0, 2])]
    lonely = effect(Adjacency.of(triples, NODES, RELATIONS, "none"))
    assert lonely.nonzero().flatten().tolist() == [int(triples[0, 0])]


def test_what_cannot_be_encoded_is_refused(adjacency):
    with pytest.raises(ValueError, match="nodes need features"):
        make(free_nodes=None)
    with pytest.raises(ValueError, match="compgcn or rgcn"):
        make("gat")
    with pytest.raises(ValueError, match="no text"):
        make()(adjacency, torch.ones(NODES, TEXT))
    with pytest.raises(ValueError, match="found None"):
        make(text_width=TEXT)(adjacency)
    with pytest.raises(ValueError, match=r"expected text of shape \(30, 5\), found \(29, 5\)"):
        make(text_width=TEXT)(adjacency, torch.ones(NODES - 1, TEXT))
    with pytest.raises(ValueError, match="4 relations, found 5"):
        make()(Adjacency.of(np.zeros((1, 3), dtype=np.int64), NODES, RELATIONS + 1))

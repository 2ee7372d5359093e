"""Layers against loops over edges, written from the papers; CompGCN against PyKEEN's."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from kelbench.encoders.graph.adjacency import Adjacency
from kelbench.encoders.graph.compgcn import CompGCNLayer
from kelbench.encoders.graph.rgcn import RGCNLayer

NODES, RELATIONS, WIDTH = 13, 3, 6
GONE = [0, 7, 8, 30]


def toy_triples():
    """A hub that is head of one relation and tail of another, so that pairs of both kinds occur; node 12 is alone."""
    rng = np.random.default_rng(4)
    triples = np.stack([rng.integers(12, size=60), rng.integers(RELATIONS, size=60), rng.integers(12, size=60)], axis=1)
    triples[triples[:, 1] == 0, 0] = 2
    triples[triples[:, 1] == 1, 2] = 5
    return np.unique(triples, axis=0)


def adjacency_of(kind, interleaved=False):
    return Adjacency.of(toy_triples(), NODES, RELATIONS, kind, np.random.default_rng(1), interleaved)


def edges_of(adjacency, gone):
    """(source, destination, relation, direction, whether it is there) of each edge, with Python's numbers."""
    edges, count = adjacency.edges, len(adjacency.edges.source) // 2
    arrays = (edges.source, edges.destination, edges.relation, edges.direction)
    rows = zip(*(array.tolist() for array in arrays), strict=True)
    return [(*row, number % count not in gone) for number, row in enumerate(rows)]


def correlation(a, b):
    width = len(a)
    return torch.stack([sum(a[i] * b[(k + i) % width] for i in range(width)) for k in range(width)])


PHI = {"sub": lambda a, b: a - b, "mult": lambda a, b: a * b, "corr": correlation}


def batch_norm(values, weight, bias):
    spread = values.var(0, unbiased=False) + 1e-5
    return (values - values.mean(0)) / spread.sqrt() * weight + bias


def slow_compgcn(composition, state, nodes, relations, edges, weighted="message"):
    phi = PHI[composition]
    degree = [[0] * NODES, [0] * NODES]
    for _, destination, _, direction, _ in edges:
        degree[direction][destination] += 1
    total = [phi(nodes[i], state["loop_relation"][0]) @ state["loop"] for i in range(NODES)]
    for source, destination, relation, direction, there in edges:
        degrees = degree[direction][destination] * degree[direction][source]
        if there:
            weight = 1 / math.sqrt(degrees) if degrees else 0.0
            message = weight * phi(nodes[source], relations[relation])
            if weighted == "relation":
                message = nodes[source] - weight * relations[relation]
            total[destination] = total[destination] + message @ state["directions"][direction]
    normal = batch_norm(torch.stack(total) / 3, state["normalization.weight"], state["normalization.bias"])
    return torch.tanh(normal), relations @ state["relation"]


def slow_rgcn(state, nodes, edges):
    neighbours = {}
    for _, destination, relation, _, _ in edges:
        neighbours[destination, relation] = neighbours.get((destination, relation), 0) + 1
    total = [nodes[i] @ state["loop"] for i in range(NODES)]
    for source, destination, relation, _, there in edges:
        if there:
            coefficients = state["coefficients"][relation]
            matrix = sum(coefficients[b] * state["bases"][b] for b in range(len(coefficients)))
            total[destination] = total[destination] + nodes[source] @ matrix / neighbours[destination, relation]
    return torch.tanh(batch_norm(torch.stack(total), state["normalization.weight"], state["normalization.bias"]))


def inputs():
    generator = torch.Generator().manual_seed(3)
    shapes = ((NODES, WIDTH), (2 * RELATIONS, WIDTH))
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


def doubled(layer, vectors):
    state = {name: value.detach().double().requires_grad_() for name, value in layer.named_parameters()}
    return state, [vector.detach().double().requires_grad_() for vector in vectors]


def backward(outputs):
    weights = torch.linspace(-1, 1, WIDTH)
    sum(
        (output * weights.to(output)).pow(2).sum() + (output * weights.to(output)).sum() for output in outputs
    ).backward()


def assert_equal(layer, vectors, outputs, state, slow_vectors, slow_outputs):
    for found, expected in zip(outputs, slow_outputs, strict=True):
        torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-4)
    backward(outputs)
    backward(slow_outputs)
    pairs = [(name, parameter.grad, state[name].grad) for name, parameter in layer.named_parameters()]
    pairs += [(str(i), a.grad, b.grad) for i, (a, b) in enumerate(zip(vectors, slow_vectors, strict=True))]
    for name, found, expected in pairs:
        if expected is None or found is None:
            assert found is None and (expected is None or not expected.any()), name
        else:
            torch.testing.assert_close(
                found.double(), expected, atol=2e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
            )


def cases():
    for kind in ("graph", "random", "none"):
        for gone in ([], GONE):
            yield kind, False, gone
    yield "graph", True, GONE


@pytest.mark.parametrize("gone", [[], GONE])
def test_weights_of_relations_alone_are_those_of_the_released_clep(gone):
    # r_feats[etype] * norm, then u_sub_e, and a sum without weights.
    adjacency = replace(adjacency_of("graph"), weighted="relation")
    layer = CompGCNLayer(WIDTH, "sub", 0.0, torch.Generator().manual_seed(2))
    vectors = inputs()
    outputs = layer(*vectors, adjacency.without_triples(gone))
    state, slow_vectors = doubled(layer, vectors)
    slow_outputs = slow_compgcn("sub", state, *slow_vectors, edges_of(adjacency, gone), "relation")
    assert_equal(layer, vectors, outputs, state, slow_vectors, slow_outputs)


@pytest.mark.parametrize("composition", ["sub", "mult", "corr"])
@pytest.mark.parametrize(("kind", "interleaved", "gone"), cases())
def test_compgcn_equals_a_loop_over_edges(composition, kind, interleaved, gone):
    adjacency = adjacency_of(kind, interleaved)
    layer = CompGCNLayer(WIDTH, composition, 0.0, torch.Generator().manual_seed(2))
    vectors = inputs()
    outputs = layer(*vectors, adjacency.without_triples(gone))
    state, slow_vectors = doubled(layer, vectors)
    slow_outputs = slow_compgcn(composition, state, *slow_vectors, edges_of(adjacency, gone))
    assert_equal(layer, vectors, outputs, state, slow_vectors, slow_outputs)


@pytest.mark.parametrize(("kind", "interleaved", "gone"), cases())
def test_rgcn_equals_a_loop_over_edges(kind, interleaved, gone):
    adjacency = adjacency_of(kind, interleaved)
    layer = RGCNLayer(WIDTH, RELATIONS, 4, 0.0, torch.Generator().manual_seed(2))
    vectors = inputs()[:1]
    output = layer(*vectors, adjacency.without_triples(gone))
    state, slow_vectors = doubled(layer, vectors)
    slow_output = slow_rgcn(state, *slow_vectors, edges_of(adjacency, gone))
    assert_equal(layer, vectors, [output], state, slow_vectors, [slow_output])


def test_pairs_of_both_kinds_occur_and_are_fewer_than_edges():
    pairs = adjacency_of("graph").compositions
    assert sum(pairs.sizes) == pairs.gather.shape[0] < 2 * len(toy_triples())
    per_pair = (pairs.gather.dense() != 0).sum(1), (pairs.scatter.dense() != 0).sum(0)
    assert (per_pair[0] > 1).any() and (per_pair[1] > 1).any()
    # Of each pair one side alone is shared by several edges.
    assert not ((per_pair[0] > 1) & (per_pair[1] > 1)).any()


@pytest.mark.parametrize("composition", ["sub", "mult", "corr"])
def test_compgcn_equals_pykeens_layer_once_their_conventions_meet(composition):
    representation = pytest.importorskip("pykeen.nn.representation")
    from pykeen.nn.weighting import EdgeWeighting

    class ReceivedDegrees(EdgeWeighting):
        """CompGCN's own norms; PyKEEN counts the degree of a source as what it sends."""

        def forward(self, source, target, message=None, x_e=None):
            degree = torch.bincount(target, minlength=NODES).float()
            factor = torch.where(degree > 0, degree.clamp_min(1) ** -0.5, 0.0)
            return message * (factor[source] * factor[target])[:, None]

    names = {"sub": "subtraction", "mult": "multiplication", "corr": "circularcorrelation"}
    theirs = representation.CompGCNLayer(
        WIDTH, composition=names[composition], activation=torch.nn.Tanh, edge_weighting=ReceivedDegrees()
    )
    ours = CompGCNLayer(WIDTH, composition, 0.0, torch.Generator().manual_seed(2))
    with torch.no_grad():
        theirs.w_fwd.copy_(ours.directions[0])
        theirs.w_bwd.copy_(ours.directions[1])
        theirs.w_loop.copy_(ours.loop)
        theirs.self_loop.copy_(ours.loop_relation)
        theirs.w_rel.weight.copy_(ours.relation.T)
    nodes, relations = inputs()
    triples = torch.from_numpy(toy_triples())
    # There the inverse of r is 2r + 1.
    order = torch.arange(2 * RELATIONS).view(2, RELATIONS).T.flatten()
    expected = theirs(nodes, relations[order], triples[:, [0, 2]].T, triples[:, 1])
    found = ours(nodes, relations, adjacency_of("graph"))
    torch.testing.assert_close(found[0], expected[0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found[1][order], expected[1], atol=1e-5, rtol=1e-4)

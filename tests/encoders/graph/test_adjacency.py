"""Edges, directions, norms and the fault of CLEP's code."""

import numpy as np
import pytest
import torch

from kelbench.encoders.graph.adjacency import Adjacency

TRIPLES = np.array([[0, 0, 1], [2, 1, 1], [1, 0, 3], [0, 1, 3], [4, 0, 0]], dtype=np.int32)


def edge_list(adjacency):
    edges = adjacency.edges
    return list(
        zip(
            edges.source.tolist(),
            edges.relation.tolist(),
            edges.destination.tolist(),
            edges.direction.tolist(),
            strict=True,
        )
    )


def test_a_triple_sends_to_its_tail_and_its_inverse_to_its_head():
    edges = edge_list(Adjacency.of(TRIPLES, 6, 2))
    assert edges[:2] == [(0, 0, 1, 0), (2, 1, 1, 0)]
    assert edges[5:7] == [(1, 2, 0, 1), (1, 3, 2, 1)]


def test_interleaved_gives_directions_by_halves_of_the_list_of_triples_and_inverses_in_turn():
    right, faulty = Adjacency.of(TRIPLES, 6, 2), Adjacency.of(TRIPLES, 6, 2, interleaved=True)
    in_turn = [edge[:3] for pair in zip(edge_list(right)[:5], edge_list(right)[5:], strict=True) for edge in pair]
    expected = {edge: int(place >= 5) for place, edge in enumerate(in_turn)}
    assert {edge[:3]: edge[3] for edge in edge_list(faulty)} == expected
    assert [edge[:3] for edge in edge_list(faulty)] == [edge[:3] for edge in edge_list(right)]
    # Triple 2 is divided: it stays "in", its inverse is "out"; the inverses of the ones before are "in".
    assert faulty.edges.direction.tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1, 1]


def test_norms_have_the_degrees_of_receivers_and_a_node_that_receives_nothing_counts_for_nothing():
    adjacency = Adjacency.of(TRIPLES, 6, 2)
    dense = adjacency.differences.dense()
    assert dense.shape == (12, 10)
    # Direction "in": 0 receives 1 message, 1 and 3 receive 2 each, 2 and 4 none.
    assert dense[1, 0].item() == pytest.approx((2 * 1) ** -0.5)
    assert dense[3, 1].item() == pytest.approx((2 * 2) ** -0.5)
    assert dense[1, 2].item() == 0.0
    assert dense[0, 4].item() == 0.0
    # Direction "out": 0 receives 2, 1, 2 and 4 one each, 3 none.
    assert dense[6 + 0, 1].item() == pytest.approx((2 * 1) ** -0.5)
    assert dense[6 + 1, 3].item() == 0.0
    assert dense[6 + 0, 6 + 2].item() == pytest.approx(-((2 * 1) ** -0.5))
    assert not dense[5].any() and not dense[11].any()


def test_random_sends_messages_elsewhere_with_their_source_and_relation():
    # Nodes 40 to 79 receive relation 0 in direction "in" if even, relation 1 if odd.
    triples = np.stack([np.arange(40), np.arange(40) % 2, np.arange(40) + 40], axis=1)
    graph = Adjacency.of(triples, 80, 2)
    drawn = [Adjacency.of(triples, 80, 2, "random", np.random.default_rng(seed)) for seed in (5, 5, 6)]
    for one in drawn:
        for name in ("source", "relation", "direction"):
            assert np.array_equal(getattr(one.edges, name), getattr(graph.edges, name))
        assert sorted(one.edges.destination[:40]) == list(range(40, 80))
        assert sorted(one.edges.destination[40:]) == list(range(40))
        # What a node receives says nothing of its own relations any more.
        assert (one.edges.destination[:40] % 2 != one.edges.relation[:40]).any()
    assert np.array_equal(drawn[0].edges.destination, drawn[1].edges.destination)
    assert (drawn[0].edges.destination != drawn[2].edges.destination).any()


def test_another_graphs_edges_are_permuted_by_themselves():
    triples = np.stack([np.arange(40), np.arange(40) % 2, np.arange(40) + 40], axis=1)
    drawn = [
        Adjacency.of(some, 160, 2, "random", np.random.default_rng(5), apart=40).edges.destination
        for some in (triples, np.concatenate([triples, triples + [80, 0, 80]]))
    ]
    alone, followed = (destination.reshape(2, -1) for destination in drawn)
    assert np.array_equal(followed[:, :40], alone)
    assert np.array_equal(np.sort(followed[:, 40:]), np.sort(alone + 80))
    assert (followed[:, 40:] != alone + 80).any()


def test_none_has_no_edge_and_drops_none():
    adjacency = Adjacency.of(TRIPLES, 6, 2, "none")
    assert adjacency.empty
    assert adjacency.without_triples([0, 1]).empty


def test_without_triples_drops_both_edges_and_keeps_the_norms():
    whole = Adjacency.of(TRIPLES, 6, 2)
    dense = whole.differences.dense()
    for rest in (whole.without_triples([0, 3]), whole.without_triples(np.array([3])).without_triples([0, 3])):
        found = rest.differences.dense()
        expected = dense.clone()
        for row, column in ((1, 0), (3, 0), (6 + 0, 1), (6 + 0, 3), (1, 6), (3, 7), (6, 8), (6, 9)):
            expected[row, column] = 0
        torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert torch.equal(whole.differences.dense(), dense)


@pytest.mark.parametrize("numbers", [[-1], [5], [0, 17]])
def test_numbers_of_no_triple_are_refused(numbers):
    with pytest.raises(ValueError, match="from 0 to 4"):
        Adjacency.of(TRIPLES, 6, 2).without_triples(numbers)


def test_ids_out_of_range_other_shapes_and_a_missing_generator_are_refused():
    with pytest.raises(ValueError, match="node ids from 0 to 3, found 0 to 4"):
        Adjacency.of(TRIPLES, 4, 2)
    with pytest.raises(ValueError, match="relation ids"):
        Adjacency.of(TRIPLES, 6, 1)
    with pytest.raises(ValueError, match="shape"):
        Adjacency.of(TRIPLES[:, :2], 6, 2)
    with pytest.raises(ValueError, match="generator"):
        Adjacency.of(TRIPLES, 6, 2, "random")

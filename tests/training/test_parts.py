"""Losses, negatives, optimizers, penalties and random numbers against definitions written out or torch's own."""

import numpy as np
import pytest
import torch

from kelbench.kernels.rows import group_by_entity
from kelbench.training.losses import cross_entropy_loss, margin_loss, self_adversarial_loss
from kelbench.training.negatives import draw_negatives, draw_shared_negatives
from kelbench.training.optimizers import RowAdagrad, RowAdagradOfMeans, RowAdam
from kelbench.training.randomness import counter_generator, generator
from kelbench.training.regularizers import cubic_penalty

POSITIVE = torch.tensor([1.0, -2.0], dtype=torch.float64)
NEGATIVE = torch.tensor([[0.5, 3.0, -1.0], [0.0, -4.0, 2.0]], dtype=torch.float64)


def test_cross_entropy_by_hand():
    expected = 0.0
    for positive, negatives in zip(POSITIVE.numpy(), NEGATIVE.numpy(), strict=True):
        scores = np.array([positive, *negatives])
        expected += -np.log(np.exp(positive) / np.exp(scores).sum()) / 2
    assert cross_entropy_loss(POSITIVE, NEGATIVE).item() == pytest.approx(expected)


def test_margin_by_hand():
    terms = [max(0.0, 1.5 - p + n) for p, row in zip(POSITIVE, NEGATIVE, strict=True) for n in row]
    assert margin_loss(POSITIVE, NEGATIVE, 1.5).item() == pytest.approx(float(np.mean(terms)))


def test_self_adversarial_by_hand():
    def log_sigmoid(x):
        return -np.log1p(np.exp(-x))

    total = 0.0
    for positive, negatives in zip(POSITIVE.numpy(), NEGATIVE.numpy(), strict=True):
        weights = np.exp(0.5 * negatives) / np.exp(0.5 * negatives).sum()
        total += -log_sigmoid(6 + positive) - (weights * log_sigmoid(-negatives - 6)).sum()
    assert self_adversarial_loss(POSITIVE, NEGATIVE, 6.0, 0.5).item() == pytest.approx(total / 2 / 2)


def test_a_masked_negative_does_not_count():
    masked = torch.cat((NEGATIVE, torch.full((2, 1), -torch.inf, dtype=torch.float64)), dim=1)
    assert cross_entropy_loss(POSITIVE, masked) == cross_entropy_loss(POSITIVE, NEGATIVE)
    assert self_adversarial_loss(POSITIVE, masked, 6.0, 0.5) == self_adversarial_loss(POSITIVE, NEGATIVE, 6.0, 0.5)


def test_negatives_cover_all_entities_but_the_answer():
    answers = torch.tensor([0, 3, 6])
    drawn = draw_negatives(answers, 5000, 7, counter_generator(1, "test", 1))
    for row, answer in zip(drawn, answers, strict=True):
        counts = torch.bincount(row, minlength=7)
        assert counts[answer] == 0
        others = counts[torch.arange(7) != answer]
        assert (others - 5000 / 6).abs().max() < 6 * (5000 / 6) ** 0.5
    shared = draw_shared_negatives(5000, 7, counter_generator(1, "test", 1))
    assert torch.bincount(shared, minlength=7).min() > 500


def test_counter_based_numbers_depend_on_every_part_of_the_key():
    keys = [(1, "a", 1, 2), (1, "a", 2, 1), (2, "a", 1, 2), (1, "b", 1, 2), (1, "a", 12, 0)]
    draws = [counter_generator(*key).integers(2**31, size=4000).tolist() for key in keys]
    assert draws[0] == counter_generator(*keys[0]).integers(2**31, size=4000).tolist()
    # Not only different: no stream runs into that of the next step or epoch.
    assert all(len(set(draws[0]) & set(other)) < 4 for other in draws[1:])


def test_random_numbers_depend_on_every_part_of_the_key():
    keys = [(1, "a", 1, 2), (1, "a", 2, 1), (2, "a", 1, 2), (1, "b", 1, 2), (1, "a", 12)]
    draws = [torch.rand(4, generator=generator(*key)) for key in keys]
    assert torch.equal(draws[0], torch.rand(4, generator=generator(*keys[0])))
    assert all(not torch.equal(draws[0], other) for other in draws[1:])


@pytest.mark.parametrize(("ours", "theirs"), [(RowAdagrad, torch.optim.Adagrad), (RowAdam, torch.optim.SparseAdam)])
def test_row_optimizers_equal_torch(ours, theirs):
    generator_ = torch.Generator().manual_seed(0)
    table = torch.randn(10, 4, generator=generator_)
    reference = table.clone().requires_grad_()
    optimizer, peer = ours(table, 0.1), theirs([reference], lr=0.1)
    for _ in range(20):
        rows = torch.randperm(10, generator=generator_)[:4]
        gradient = torch.randn(4, 4, generator=generator_)
        optimizer.step(rows, gradient)
        reference.grad = torch.sparse_coo_tensor(rows[None], gradient, (10, 4)).coalesce()
        peer.step()
    torch.testing.assert_close(table, reference.detach(), rtol=1e-5, atol=1e-6)


def test_adagrad_on_rows_equals_dense_adagrad():
    generator_ = torch.Generator().manual_seed(0)
    table = torch.randn(10, 4, generator=generator_)
    reference = table.clone().requires_grad_()
    optimizer, peer = RowAdagrad(table, 0.1), torch.optim.Adagrad([reference], lr=0.1)
    for _ in range(10):
        rows = torch.randperm(10, generator=generator_)[:4]
        gradient = torch.randn(4, 4, generator=generator_)
        optimizer.step(rows, gradient)
        reference.grad = torch.zeros(10, 4).index_copy_(0, rows, gradient)
        peer.step()
    torch.testing.assert_close(table, reference.detach(), rtol=1e-6, atol=1e-7)


def test_row_adagrad_keeps_one_sum_a_row():
    table = torch.zeros(3, 2)
    optimizer = RowAdagradOfMeans(table, 0.1)
    optimizer.step(torch.tensor([2]), torch.tensor([[3.0, 1.0]]))
    optimizer.step(torch.tensor([2, 0]), torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
    first, second = 0.1 / 5**0.5, 0.1 / 6**0.5  # mean squares (9 + 1) / 2, then (1 + 1) / 2 more
    expected = [[0.0, -0.1 * 2 / 2**0.5], [0.0, 0.0], [-3 * first - second, -first - second]]
    torch.testing.assert_close(table, torch.tensor(expected))
    torch.testing.assert_close(optimizer.state["sum_of_mean_squares"], torch.tensor([2.0, 0.0, 6.0]))


@pytest.mark.parametrize("kind", [RowAdagrad, RowAdagradOfMeans, RowAdam])
def test_the_compiled_optimizers_equal_those_in_torch(kind, monkeypatch):
    generator_ = torch.Generator().manual_seed(0)
    tables = [torch.randn(10, 4, generator=generator_, dtype=torch.float64)]
    tables.append(tables[0].clone())
    compiled, in_torch = (kind(table, 0.1) for table in tables)
    for _ in range(5):
        rows = torch.randperm(10, generator=generator_)[:4]
        gradient = torch.randn(4, 4, generator=generator_, dtype=torch.float64)
        compiled.step(rows, gradient)
        if kind is RowAdam:
            in_torch.state["steps"] += 1
            steps = int(in_torch.state["steps"])
            in_torch._step_in_torch(rows, gradient, 0.1 / (1 - 0.9**steps), 1 - 0.999**steps)
        else:
            in_torch._step_in_torch(rows, gradient)
    torch.testing.assert_close(tables[0], tables[1])
    for name, tensor in compiled.state.items():
        torch.testing.assert_close(tensor, in_torch.state[name])


def test_group_by_entity_small_table_and_large():
    ids = np.array([7, 2, 7, 7, 0, 2], dtype=np.int64)
    for num_entities in (9, 10**6):
        used, local, offsets, order = group_by_entity(ids, num_entities)
        assert used.tolist() == [0, 2, 7]
        assert local.tolist() == [2, 1, 2, 2, 0, 1]
        assert offsets.tolist() == [0, 1, 3, 6]
        assert order.tolist() == [4, 1, 5, 0, 2, 3]


def test_cubic_penalties_by_hand():
    rows = torch.tensor([[3.0, 1.0, 4.0, 0.0], [0.0, -2.0, 0.0, 0.0]])
    half = torch.tensor([0.5, 0.5])
    assert cubic_penalty("n3", [(rows, True, half)]).item() == pytest.approx((5**3 + 1 + 0 + 2**3) / 2)
    assert cubic_penalty("l3", [(rows, True, half)]).item() == pytest.approx((27 + 1 + 64 + 8) / 2)
    assert cubic_penalty("n3", [(rows, False, half), (rows, False, half)]).item() == pytest.approx(100.0)
    assert cubic_penalty("l3", [(rows, True, torch.tensor([2.0, 0.0]))]).item() == pytest.approx(2 * 92.0)

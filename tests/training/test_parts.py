"""Losses, negatives, optimizers, penalties and random numbers against definitions written out or torch's own."""

import numpy as np
import pytest
import torch

from kelbench.training.losses import cross_entropy_loss, cross_entropy_over_all, margin_loss, self_adversarial_loss
from kelbench.training.negatives import draw_negatives, draw_shared_negatives
from kelbench.training.optimizers import RowAdagrad, RowAdam
from kelbench.training.randomness import generator
from kelbench.training.regularizers import cubic_penalty

POSITIVE = torch.tensor([1.0, -2.0], dtype=torch.float64)
NEGATIVE = torch.tensor([[0.5, 3.0, -1.0], [0.0, -4.0, 2.0]], dtype=torch.float64)


def test_cross_entropy_by_hand():
    expected = 0.0
    for positive, negatives in zip(POSITIVE.numpy(), NEGATIVE.numpy(), strict=True):
        scores = np.array([positive, *negatives])
        expected += -np.log(np.exp(positive) / np.exp(scores).sum()) / 2
    assert cross_entropy_loss(POSITIVE, NEGATIVE).item() == pytest.approx(expected)
    together = torch.cat((POSITIVE[:, None], NEGATIVE), dim=1)
    assert cross_entropy_over_all(together, torch.tensor([0, 0])).item() == pytest.approx(expected)


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
    drawn = draw_negatives(answers, 5000, 7, generator(1, "test"))
    for row, answer in zip(drawn, answers, strict=True):
        counts = torch.bincount(row, minlength=7)
        assert counts[answer] == 0
        others = counts[torch.arange(7) != answer]
        assert (others - 5000 / 6).abs().max() < 6 * (5000 / 6) ** 0.5
    shared = draw_shared_negatives(5000, 7, generator(1, "test"))
    assert torch.bincount(shared, minlength=7).min() > 500


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


def test_cubic_penalties_by_hand():
    rows = torch.tensor([[3.0, 1.0, 4.0, 0.0], [0.0, -2.0, 0.0, 0.0]])
    assert cubic_penalty("n3", [(rows, True)]).item() == pytest.approx((5**3 + 1 + 0 + 2**3) / 2)
    assert cubic_penalty("l3", [(rows, True)]).item() == pytest.approx((27 + 1 + 64 + 8) / 2)
    assert cubic_penalty("n3", [(rows, False), (rows, False)]).item() == pytest.approx(100.0)

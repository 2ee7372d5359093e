"""The contrastive losses against their formulas written out."""

import math

import pytest
import torch
import torch.nn.functional as F

from kelbench.methods.clep.loss import contrastive_loss, multihot_loss


def matrix(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def places(*pairs):
    rows, columns = zip(*pairs, strict=True)
    return torch.tensor(rows), torch.tensor(columns)


def diagonal(size):
    return torch.arange(size), torch.arange(size)


def test_the_diagonal_loss_is_the_formula_of_the_slides():
    """m_ij = cos(y_g_i, y_t_j) e^tau; L = (CE(M) + CE(M^T)) / 2, the diagonal as target."""
    graph, text, tau = matrix(5, 7, 1), matrix(5, 7, 2), math.log(1 / 0.07)
    m = torch.empty(5, 5, dtype=torch.float64)
    for i in range(5):
        for j in range(5):
            cosine = sum(graph[i] * text[j]) / math.sqrt(sum(graph[i] ** 2)) / math.sqrt(sum(text[j] ** 2))
            m[i, j] = cosine * math.exp(tau)
    rows = -sum(math.log(math.exp(m[i, i]) / sum(math.exp(m[i, j]) for j in range(5))) for i in range(5)) / 5
    columns = -sum(math.log(math.exp(m[j, j]) / sum(math.exp(m[i, j]) for i in range(5))) for j in range(5)) / 5
    loss = contrastive_loss(m, diagonal(5), diagonal(5))
    assert float(loss) == pytest.approx((rows + columns) / 2, abs=1e-12)
    assert float(contrastive_loss(m, diagonal(5), diagonal(5), column_loss=False)) == pytest.approx(rows, abs=1e-12)


def test_the_matrix_and_its_transpose_have_one_loss():
    m = matrix(6, 6) * 3
    excluded = places(*[(i, i) for i in range(6)], (0, 2), (2, 0), (4, 1), (1, 4))
    for masked in (diagonal(6), excluded):
        torch.testing.assert_close(contrastive_loss(m, diagonal(6), masked), contrastive_loss(m.T, diagonal(6), masked))


def test_gradients_equal_those_of_torch_cross_entropy():
    leaf = (matrix(6, 6) * 3).requires_grad_()
    contrastive_loss(leaf, diagonal(6), diagonal(6)).backward()
    other = leaf.detach().clone().requires_grad_()
    target = torch.arange(6)
    ((F.cross_entropy(other, target) + F.cross_entropy(other.T, target)) / 2).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


def test_what_is_excluded_is_no_negative_and_several_answers_do_not_compete():
    """Query 0 has the answers 1 and 3 of four texts; query 1 has the answer 1."""
    m = matrix(2, 4)
    positive = places((0, 1), (0, 3), (1, 1))
    e = m.exp()
    rows = [
        e[0, 1] / (e[0, 1] + e[0, 0] + e[0, 2]),
        e[0, 3] / (e[0, 3] + e[0, 0] + e[0, 2]),
        e[1, 1] / (e[1, 1] + e[1, 0] + e[1, 2] + e[1, 3]),
    ]
    # Text 1 answers both queries, so none is its negative; text 3 answers query 0 and not query 1.
    columns = [torch.tensor(1.0), e[0, 3] / (e[0, 3] + e[1, 3]), torch.tensor(1.0)]
    expected = [-sum(math.log(float(share)) for share in shares) / 3 for shares in (rows, columns)]
    assert float(contrastive_loss(m, positive, positive, column_loss=False)) == pytest.approx(expected[0])
    assert float(contrastive_loss(m, positive, positive)) == pytest.approx(sum(expected) / 2)


def test_a_row_without_a_negative_has_no_loss_and_a_finite_gradient():
    leaf = matrix(2, 2).requires_grad_()
    everything = places((0, 0), (0, 1), (1, 0), (1, 1))
    loss = contrastive_loss(leaf, diagonal(2), everything)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(leaf.grad, torch.zeros(2, 2, dtype=torch.float64))


@pytest.mark.parametrize("column_loss", [True, False])
@pytest.mark.parametrize("scale", [1.0, 10.0, 30.0])
def test_losses_and_gradients_equal_torchs_own(scale, column_loss):
    """With negatives left out, in rows and columns of which some have no others; in float32 up to scores of 40 and beyond."""
    leaf = (matrix(5, 9, 4) * scale).float().requires_grad_()
    positive = places((0, 1), (0, 3), (1, 1), (2, 8), (4, 0))
    excluded = places(
        (0, 1), (0, 3), (1, 1), (2, 8), (4, 0), (4, 5), *[(3, j) for j in range(9)], *[(i, 6) for i in range(3)]
    )
    contrastive_loss(leaf, positive, excluded, column_loss).backward()
    other = leaf.detach().double().requires_grad_()
    negative = torch.ones(5, 9, dtype=torch.bool).index_put(excluded, torch.tensor(False))
    expected = 0
    for row, column in zip(*positive, strict=True):
        right = other[row, column]
        in_row, in_column = other[row][negative[row]], other[:, column][negative[:, column]]
        loss = torch.logsumexp(torch.cat([in_row, right[None]]), 0) - right
        if column_loss:
            loss = (loss + torch.logsumexp(torch.cat([in_column, right[None]]), 0) - right) / 2
        expected = expected + loss / len(positive[0])
    expected.backward()
    found = contrastive_loss(leaf, positive, excluded, column_loss)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(leaf.grad.double(), other.grad, rtol=1e-4, atol=1e-7)


def test_multihot_is_the_released_codes_loss_and_its_fault():
    m = matrix(4, 4)
    right = places(*[(i, i) for i in range(4)], (0, 2), (3, 1), (1, 2))
    label = torch.zeros(4, 4, dtype=torch.float64)
    for i, j in zip(*(part.tolist() for part in right), strict=True):
        label[i, j] = 1

    def cross_entropy(scores, targets):
        return -sum(targets[i, j] * torch.log_softmax(scores[i], 0)[j] for i in range(4) for j in range(4)) / 4

    expected = {
        wanted: (cross_entropy(m, label) + cross_entropy(m.T, label.T if wanted else label)) / 2
        for wanted in (True, False)
    }
    for wanted, value in expected.items():
        torch.testing.assert_close(multihot_loss(m, right, wanted), value)
    assert not torch.allclose(expected[True], expected[False])

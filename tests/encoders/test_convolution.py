"""DKRL's convolutions against loops."""

from itertools import pairwise

import pytest
import torch

from kelbench.encoders.convolution import Convolution
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.words import WordTokenizer


@pytest.fixture
def encoder():
    made = Convolution(WordTokenizer.trained(["a b c d e f g h"]), 6, torch.Generator().manual_seed(5))
    with torch.no_grad():
        made.first_bias.normal_(generator=torch.Generator().manual_seed(6))
        made.second_bias.normal_(generator=torch.Generator().manual_seed(7))
    return made


def slow(encoder, ids):
    """One text: windows of 2 from the one before the first word to the one behind the last; pools of 4; windows of 1."""
    zero = torch.zeros(encoder.width)
    rows = [zero, *(encoder.words[number] for number in ids), zero]
    first = []
    for left, right in pairwise(rows):
        first.append(torch.tanh(encoder.first[:, :, 0] @ left + encoder.first[:, :, 1] @ right + encoder.first_bias))
    pooled = [torch.stack(first[begin : begin + 4]).amax(0) for begin in range(0, len(first), 4)]
    second = [torch.tanh(encoder.second[:, :, 0] @ state + encoder.second_bias) for state in pooled]
    return torch.stack(second).mean(0)


def test_a_text_equals_the_convolutions_written_out_whatever_it_is_padded_to(encoder):
    lists = [[0, 1, 2], [], [3], [4, 5, 6, 7, 0, 1, 2, 3, 4], [1, 1], [2, 3, 4, 5], [7] * 17]
    expected = torch.stack([slow(encoder, ids) for ids in lists])
    torch.testing.assert_close(encoder(Tokens.of(lists)), expected)
    for ids in lists:
        torch.testing.assert_close(encoder(Tokens.of([ids]))[0], slow(encoder, ids))


def test_the_gradients_equal_those_of_the_loops_and_padding_gets_none(encoder):
    lists = [[0, 1, 2], [], [4, 5, 6, 7, 0, 1]]
    encoder(Tokens.of(lists)).square().sum().backward()
    fast = {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}
    encoder.zero_grad()
    torch.stack([slow(encoder, ids) for ids in lists]).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(fast[name], parameter.grad, msg=name)
    assert not fast["words"][-1].any()


def test_unlike_a_bag_of_words_it_reads_in_order(encoder):
    one, other = encoder(Tokens.of([[0, 1, 2], [2, 1, 0]]))
    assert (one - other).abs().max() > 1e-3


def test_a_convolution_is_read_back_as_it_was_written(encoder, tmp_path):
    encoder.save(tmp_path)
    read = Convolution.load(tmp_path)
    tokens = read.tokenizer.tokens(["b c unknown d", "", "h g"])
    assert tokens.lengths.tolist() == [3, 0, 2]
    assert torch.equal(read(tokens), encoder(tokens))

"""Scores and losses against their formulas written out."""

import math

import numpy as np
import pytest
import torch

from kelbench.config.graph_decoders import ConvolutionSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.decoders import ConvE, make_decoder
from kelbench.methods.graph_decoders.model import GraphDecoder
from kelbench.methods.graph_decoders.training import GraphDecoderTraining
from kelbench.scoring import similarity_matrix
from kelbench.training import randomness
from kelbench.training.all_entities import binary_cross_entropy_over_entities, cross_entropy_over_entities

RELATIONS, WIDTH = 3, 8
KINDS = ("transe", "distmult", "rescal", "conve")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch_normalized(value, norm, channel):
    """Of use, not of training: by the running statistics."""
    mean, variance = norm.running_mean[channel].double(), norm.running_var[channel].double()
    scaled = (value - mean) / torch.sqrt(variance + norm.eps)
    return scaled * norm.weight[channel].double() + norm.bias[channel].double()


def conve_query(decoder, h, r):
    """Rows of the image hold h_1, r_1, h_2, r_2, ... one after the other."""
    options = decoder.settings
    alternating = [number for pair in zip(h, r, strict=True) for number in pair]
    image = torch.stack(alternating).view(2 * options.rows, options.columns)
    image = batch_normalized(image, decoder.of_image, 0)
    features = []
    for i in range(2 * options.rows - options.kernel + 1):
        for j in range(options.columns - options.kernel + 1):
            for number in range(options.filters):
                window = decoder.filters[number, 0].double()
                value = (image[i : i + options.kernel, j : j + options.kernel] * window).sum()
                features.append(batch_normalized(value, decoder.of_filters, number).clamp_min(0))
    flat = torch.stack(features)
    query = []
    for k in range(len(h)):
        value = (decoder.projection[k].double() * flat).sum() + decoder.projection_bias[k].double()
        query.append(batch_normalized(value, decoder.of_query, k).clamp_min(0))
    return query


def written_out(decoder, kind, h, r, relation, e):
    """The score of one triple, of float64 vectors."""
    width = range(len(h))
    if kind == "transe":
        return -sum(abs(h[i] + r[i] - e[i]) for i in width)
    if kind == "distmult":
        return sum(h[i] * r[i] * e[i] for i in width)
    if kind == "rescal":
        matrix = decoder.matrices[relation].double()
        return sum(h[i] * matrix[i, j] * e[j] for i in width for j in width)
    return sum(q * e[i] for i, q in enumerate(conve_query(decoder, h, r)))


@pytest.fixture
def dataset(small_graph):
    return PreparedDataset(small_graph)


@pytest.fixture
def trained(dataset, make_settings):
    """The function that gives a model after some steps, so that no bias or running mean is what it starts as."""

    def model(kind, **changes):
        model = GraphDecoder(make_settings(kind, **changes), dataset, seed=1)
        training = GraphDecoderTraining(model, np.asarray(dataset.triples("train")), RELATIONS, 1)
        for step, batch in enumerate(training.batches(dataset.triples("train"), 1)):
            training.step(batch, 1, step)
        return model.eval()

    return model


@pytest.mark.parametrize("mapping", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_both_sides_are_the_formulas(trained, kind, mapping):
    bias = kind != "transe"
    model = trained(kind, entity_bias=bias, mapping=mapping)
    tables = model.tables()
    with torch.no_grad():
        nodes, rho = model.graph(model.training_graph)
        if mapping:
            nodes = nodes @ model.mapping.weights[0] + model.mapping.biases[0]
        torch.testing.assert_close(tables.node, nodes)
        nodes, rho = nodes.double(), rho.double()
        given, relation = torch.tensor([4, 7, 4, 0]), torch.tensor([2, 0, 1, 2])
        for side, shift in (("tail", 0), ("head", RELATIONS)):
            queries = tables.queries(side, given, relation, torch.float64)
            answers = tables.candidates(torch.arange(24)).double()
            scores = similarity_matrix(tables.similarity, queries, answers)
            for row in range(len(given)):
                asked = int(relation[row]) + shift
                for e in (0, 7, 23):
                    expected = written_out(model.decoder, kind, nodes[given[row]], rho[asked], asked, nodes[e])
                    expected = expected + (float(model.bias[e].double()) if bias else 0.0)
                    assert float(scores[row, e]) == pytest.approx(float(expected), abs=1e-6), (kind, side, row, e)
        assert not bias or model.bias.abs().min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_float32_and_float64_queries_agree_and_do_not_depend_on_what_is_asked_beside_them(kind, monkeypatch):
    image = ConvolutionSettings(kernel=3, filters=4, rows=2, columns=4)
    decoder = make_decoder(kind, WIDTH, RELATIONS, image, generator()).eval()
    given, relations = torch.randn(9, WIDTH, generator=generator(1)), torch.randn(9, WIDTH, generator=generator(2))
    asked = torch.tensor([5, 0, 3, 0, 1, 5, 5, 2, 4])
    exact = decoder(given.double(), relations.double(), asked)
    torch.testing.assert_close(decoder(given, relations, asked), exact.float(), atol=1e-5, rtol=1e-4)
    monkeypatch.setattr("kelbench.encoders.decoders._IMAGES_AT_ONCE", 2)
    torch.testing.assert_close(decoder(given.double(), relations.double(), asked), exact)
    for row in range(9):
        alone = decoder(given[row : row + 1].double(), relations[row : row + 1].double(), asked[row : row + 1])
        torch.testing.assert_close(alone[0], exact[row])


def test_a_batch_of_one_query_can_be_learned_from():
    image = ConvolutionSettings(kernel=3, filters=4, rows=2, columns=4, feature_dropout=0.0, hidden_dropout=0.0)
    decoder = ConvE(WIDTH, image, generator()).train()
    row = torch.randn(1, WIDTH, generator=generator(1))
    decoder(row, row, torch.tensor([0])).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in decoder.parameters())


# Two queries: the first has the answers 1 and 3 of five entities, the second the answer 0.
OFFSETS, ANSWERS = torch.tensor([0, 2, 3]), torch.tensor([1, 3, 0])
RIGHT = {(0, 1), (0, 3), (1, 0)}


def binary(scores, smoothing):
    """(1 - e) y + 1 / n as target, the second summand with label smoothing alone."""
    total = 0.0
    for q in range(2):
        for e in range(5):
            target = (1 - smoothing) * ((q, e) in RIGHT) + (1 / 5 if smoothing else 0)
            chance = 1 / (1 + math.exp(-float(scores[q, e])))
            total -= target * math.log(chance) + (1 - target) * math.log(1 - chance)
    return total / 10


def categorical(scores):
    """Every answer of a query is a positive of its own, against all entities."""
    e = scores.exp()
    return -sum(math.log(float(e[q, a] / e[q].sum())) for q, a in RIGHT) / 3


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize("similarity", ["dot", "l1"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_and_their_gradients_are_the_formulas(similarity, smoothing, block_bytes):
    margin = 1.5
    rows = [torch.randn(n, 4, generator=generator(n), dtype=torch.float64).requires_grad_() for n in (2, 5)]
    scores = similarity_matrix(similarity, *rows)
    target = torch.zeros(2, 5, dtype=torch.float64)
    for place in RIGHT:
        target[place] = 1 - smoothing
    target = target + (1 / 5 if smoothing else 0)
    reference = torch.nn.functional.binary_cross_entropy_with_logits(scores + margin, target)
    expected = torch.autograd.grad(reference, rows)
    given = [row.detach() for row in rows]
    loss, *gradients = binary_cross_entropy_over_entities(
        similarity, *given, OFFSETS, ANSWERS, smoothing, margin, "float32", block_bytes
    )
    assert float(loss) == pytest.approx(binary(scores.detach() + margin, smoothing))
    torch.testing.assert_close(gradients, list(expected))
    loss, *gradients = cross_entropy_over_entities(similarity, *given, OFFSETS, ANSWERS, "float32", block_bytes)
    assert float(loss) == pytest.approx(categorical(scores.detach()))
    queries, answers = torch.tensor([0, 0, 1]), ANSWERS
    reference = -torch.log_softmax(similarity_matrix(similarity, *rows), dim=1)[queries, answers].mean()
    torch.testing.assert_close(gradients, list(torch.autograd.grad(reference, rows)))


@pytest.mark.parametrize("loss", ["binary", "categorical"])
@pytest.mark.parametrize("spread", [20.0, 1000.0])
def test_losses_of_distances_whose_exponentials_vanish(loss, spread):
    rows = [torch.randn(n, 4, generator=generator(n), dtype=torch.float64).mul(spread).requires_grad_() for n in (2, 5)]
    scores = similarity_matrix("l1", *rows)
    assert float(scores.detach().max(dim=1).values.min() - scores.detach().min()) > 60
    if loss == "binary":
        right = torch.zeros(2, 5, dtype=torch.float64)
        right[tuple(torch.tensor(sorted(RIGHT)).T)] = 1
        reference = torch.nn.functional.binary_cross_entropy_with_logits(scores, right)
        function = binary_cross_entropy_over_entities
    else:
        reference = -torch.log_softmax(scores, dim=1)[tuple(torch.tensor(sorted(RIGHT)).T)].mean()
        function = cross_entropy_over_entities
    found, *gradients = function("l1", *(row.detach() for row in rows), OFFSETS, ANSWERS, precision="float32")
    assert float(found) == pytest.approx(float(reference.detach()), rel=1e-12)
    torch.testing.assert_close(gradients, list(torch.autograd.grad(reference, rows)))


@pytest.mark.parametrize(
    "changes", [{"loss": "cross_entropy"}, {"loss": "binary_cross_entropy", "label_smoothing": 0.1}]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_has_the_loss_and_gradients_of_plain_autograd(dataset, make_settings, kind, changes):
    margin = 4.0 if kind == "transe" and changes["loss"] == "binary_cross_entropy" else None
    options = make_settings(kind, entity_bias=kind != "transe", margin=margin, **changes)
    triples = np.asarray(dataset.triples("train"))
    model = GraphDecoder(options, dataset, seed=1)
    training = GraphDecoderTraining(model, triples, RELATIONS, 1)
    batch = next(training.batches(triples, 1))
    loss = training.step(batch, 1, 0)
    stepped = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    fresh = GraphDecoder(options, dataset, seed=1).train()
    torch.manual_seed(randomness.generator(1, "dropout", 1, 0).initial_seed())
    nodes, relations = fresh.encode(fresh.training_graph)
    queries = fresh.queries(nodes, relations, batch.given, batch.relations)
    scores = similarity_matrix(fresh.decoder.similarity, queries, fresh.answers(nodes)) + (options.margin or 0)
    rows = torch.repeat_interleave(torch.arange(len(batch.given)), torch.diff(batch.offsets))
    if options.loss == "cross_entropy":
        expected = -torch.log_softmax(scores, 1)[rows, batch.answers].mean()
    else:
        target = torch.full_like(scores, 1 / 24)
        target[rows, batch.answers] += 0.9
        expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, target)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for name, parameter in fresh.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(stepped[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_at_first_no_entity_is_far_ahead_of_the_others(dataset, make_settings, kind):
    image = {"convolution": {"kernel": 3, "filters": 5, "rows": 10, "columns": 20}} if kind == "conve" else {}
    model = GraphDecoder(make_settings(kind, {"width": 200}, **image), dataset, seed=1)
    triples = np.asarray(dataset.triples("train"))
    training = GraphDecoderTraining(model, triples, RELATIONS, 1)
    loss = training.step(next(training.batches(triples, 1)), 1, 0)
    assert abs(float(loss) - math.log(24)) < 1.5


def test_batches_hold_every_answer_of_both_directions(dataset, make_settings):
    triples = np.asarray(dataset.triples("train"))
    model = GraphDecoder(make_settings(), dataset, seed=1)
    training = GraphDecoderTraining(model, triples, RELATIONS, 1)
    seen = []
    for batch in training.batches(triples, 3):
        rows = np.repeat(np.arange(len(batch.given)), np.diff(batch.offsets))
        asked = np.stack([batch.given[rows], batch.relations[rows], batch.answers], 1).tolist()
        seen += asked
    expected = [[h, r, t] for h, r, t in triples.tolist()] + [[t, r + RELATIONS, h] for h, r, t in triples.tolist()]
    assert sorted(seen) == sorted(expected)

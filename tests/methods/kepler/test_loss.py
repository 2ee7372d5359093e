"""The losses of the knowledge embedding against loops over triples, gradients included."""

import math

import numpy as np
import pytest
import torch

from kelbench.encoders.text_model import score_of
from kelbench.methods.kepler.batch import SIDES, Planner
from kelbench.methods.kepler.loss import kepler_loss, knowledge_embedding_loss, scores
from kelbench.methods.kepler.run import initial_model


def log_sigmoid(x):
    return -torch.log1p(torch.exp(-x))


class Case:
    """A model, a batch with repeated entities, and what each role's vector is, one text at a time."""

    def __init__(self, dataset, options, size=8):
        self.settings = options
        self.model, self.texts = initial_model(dataset, options, seed=5)
        with torch.no_grad():
            noise = torch.Generator().manual_seed(6)
            for parameter in self.model.parameters():
                if parameter.requires_grad and parameter is not self.model.log_scale:
                    parameter.add_(torch.randn(parameter.shape, generator=noise) / 4)  # the biases begin at 0
        self.triples = triples = np.asarray(dataset.triples("train"))
        self.known = {tuple(triple) for triple in triples.tolist()}
        self.batch = triples[:size].astype(np.int64)
        self.planner = Planner(options, self.texts, triples, 20, seed=5)
        self.plan = self.planner.plan(self.batch, 2, 3)
        self._encoded = {}
        self.drawn = {side: self.planner._negatives(side, self.batch, 2, 3) for side in SIDES}

    def fast(self):
        vectors = self.model.encode(self.texts.inputs(self.plan.codes))
        return knowledge_embedding_loss(self.model, self.plan, vectors)

    def encoded(self, codes):
        code = int(codes[0])
        if code not in self._encoded:
            self._encoded[code] = self.model.vectors(self.texts.inputs(codes))[0]
        return self._encoded[code]

    def entity(self, number):
        return self.encoded(self.texts.of_entities(np.array([number])))

    def query(self, number, relation, side):
        if not self.settings.conditioned:
            return self.entity(number)
        return self.encoded(self.texts.of_pairs(np.array([number]), np.array([relation]), side))

    def relation(self, number):
        if self.settings.relation == "text":
            return self.encoded(self.texts.of_relations(np.array([number])))
        return self.model.relation[number]

    def wrong(self, row, side):
        """The negatives of a triple that count."""
        h, r, t = self.batch[row].tolist()
        drawn = self.drawn[side] if self.drawn[side].ndim == 1 else self.drawn[side][row]
        made = {"tail": lambda e: (h, r, e), "head": lambda e: (e, r, t)}[side]
        return [entity for entity in drawn.tolist() if made(entity) not in self.known]


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(case, slow):
    fast = case.fast()
    torch.testing.assert_close(fast, slow)
    expected, found = gradients(case.model, slow), gradients(case.model, fast)
    assert found.keys() == expected.keys()
    assert any(gradient.any() for gradient in expected.values())
    for name, gradient in expected.items():
        assert found[name].isfinite().all()
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def slow_kepler(case):
    """Eq. 2 of Wang et al. 2021, a triple at a time; a side's negatives are averaged over those that count."""
    p = {"transe_l1": 1, "transe_l2": 2}[case.settings.score]

    def distance(x):
        return x.abs().pow(p).sum().pow(1 / p)

    total = 0.0
    for row, (h, r, t) in enumerate(case.batch.tolist()):
        tail_query = case.query(h, r, "tail") + case.relation(r)
        head_query = case.query(t, r, "head") - case.relation(r)
        right = (distance(tail_query - case.entity(t)) + distance(head_query - case.entity(h))) / 2
        total = total - log_sigmoid(case.settings.margin - right)
        for side, query in (("tail", tail_query), ("head", head_query)):
            wrong = case.wrong(row, side)
            for entity in wrong:
                term = log_sigmoid(distance(query - case.entity(entity)) - case.settings.margin)
                total = total - term / len(wrong) / 2
    return total / len(case.batch) / (2 if case.settings.halved else 1)


VARIANTS = {
    "base": {},
    "L1": {"score": "transe_l1"},
    "one negative": {"negatives": {"mode": "uniform", "per_positive": 1}},
    "halved": {"halved": True, "margin": 4.0},
    "many": {"negatives": {"mode": "uniform", "per_positive": 15}},
    "shared": {"negatives": {"mode": "uniform", "per_positive": 9, "shared": True}},
    "in batch": {"negatives": {"mode": "in_batch"}},
    "rel": {"relation": "text"},
    "cond": {"conditioned": True},
    "cond in batch": {"conditioned": True, "negatives": {"mode": "in_batch"}, "score": "transe_l1"},
    "no relation vector": {"conditioned": True, "relation": "none"},
}


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_loss_of_a_batch_is_equation_2_written_out(described, make_settings, variant):
    case = Case(described, make_settings("cnn", **VARIANTS[variant]))
    if variant in ("many", "in batch", "cond in batch"):
        assert any(case.plan.right[side].any() for side in SIDES)
    if variant == "no relation vector":
        assert not case.model.relation.any()
    assert_same(case, slow_kepler(case))


def test_with_one_negative_a_side_n_is_two():
    positive = {"tail": torch.tensor([-1.0]), "head": torch.tensor([-1.0])}
    negative = {"tail": torch.tensor([[-3.0]]), "head": torch.tensor([[-0.5]])}

    def minus_log_sigmoid(x):
        return math.log(1 + math.exp(-x))

    expected = minus_log_sigmoid(4 - 1) + (minus_log_sigmoid(3 - 4) + minus_log_sigmoid(0.5 - 4)) / 2
    assert kepler_loss(positive, negative, 4.0).item() == pytest.approx(expected)
    assert kepler_loss(positive, negative, 4.0, halved=True).item() == pytest.approx(expected / 2)


def test_masked_negatives_change_neither_the_loss_nor_any_gradient():
    inf = -math.inf
    free = torch.tensor([[-1.0, -2.0], [-4.0, -0.5]], requires_grad=True)
    masks = torch.tensor([[False, True, False], [True, False, False]])
    spread = torch.full((2, 3), inf).masked_scatter(~masks, free)
    positive = {side: torch.tensor([-1.0, -3.0]) for side in SIDES}
    plain = kepler_loss(positive, dict.fromkeys(SIDES, free), 2.0)
    masked = kepler_loss(positive, dict.fromkeys(SIDES, spread), 2.0)
    torch.testing.assert_close(masked, plain)
    expected, found = (torch.autograd.grad(loss, free)[0] for loss in (plain, masked))
    torch.testing.assert_close(found, expected)
    nothing = kepler_loss(positive, {side: torch.full((2, 3), inf) for side in SIDES}, 2.0)
    torch.testing.assert_close(nothing, -log_sigmoid(2.0 + positive["tail"]).mean())


def slow_cross_entropy(case):
    """Softmax over the answer, its score lowered by the margin, and the wrong entities of the batch; both sides."""

    def score(h_or_t, relation, answer, side):
        match case.settings.score:
            case "distmult":
                return (h_or_t * relation * answer).sum()
            case "complex":
                real, imaginary = h_or_t.tensor_split(2)
                a, b = torch.complex(real, imaginary), torch.complex(*answer.tensor_split(2))
                h, t = (a, b) if side == "tail" else (b, a)
                return (h * torch.complex(*relation.tensor_split(2)) * t.conj()).sum().real
        query = h_or_t + relation if side == "tail" else h_or_t - relation
        if case.settings.score == "cosine":
            return (query @ answer) / query.norm() / answer.norm()
        return query @ answer if case.settings.score == "dot" else -(query - answer).norm()

    scale = 1.0 if case.model.log_scale is None else case.model.log_scale.exp()
    ends = [end for h, _, t in case.triples.tolist() for end in (h, t)]
    correction = case.settings.negatives.frequency_correction

    def bias(entity):
        return correction * math.log(ends.count(entity) / (len(ends) / 20))

    entities = sorted(set(case.batch[:, [0, 2]].ravel().tolist()))
    total = 0.0
    for row, (h, r, t) in enumerate(case.batch.tolist()):
        for side, known, answer in (("tail", h, t), ("head", t, h)):
            assert case.wrong(row, side) == [
                e for e in entities if ((h, r, e) if side == "tail" else (e, r, t)) not in case.known
            ]
            query, relation = case.query(known, r, side), case.relation(r)
            right = (score(query, relation, case.entity(answer), side) - case.settings.margin) * scale
            right = right - bias(answer)
            wrong = [score(query, relation, case.entity(e), side) * scale - bias(e) for e in case.wrong(row, side)]
            together = torch.stack([right, *wrong])
            total = total - torch.log(torch.exp(right) / torch.exp(together).sum())
    return total / len(case.batch) / 2


@pytest.mark.parametrize("score", ["cosine", "dot", "distmult", "complex", "transe_l2"])
@pytest.mark.parametrize("variant", ["plain", "conditioned", "text", "corrected"])
def test_in_batch_cross_entropy_is_a_softmax_written_out(described, make_settings, score, variant):
    changes = {
        "plain": {},
        "conditioned": {"conditioned": True, "margin": 0.3, "temperature": 0.2},
        "text": {"relation": "text", "temperature": 0.5},
        "corrected": {"temperature": 0.5, "negatives": {"mode": "in_batch", "frequency_correction": 0.7}},
    }[variant]
    values = {"score": score, "loss": "cross_entropy", "margin": 0.0, "negatives": {"mode": "in_batch"}}
    case = Case(described, make_settings("cnn", **values | changes))
    assert any(case.plan.right[side].sum() > len(case.batch) for side in SIDES)  # more than the answers themselves
    assert_same(case, slow_cross_entropy(case))
    if "temperature" in changes:
        assert case.model.log_scale.grad.abs() > 1e-4


def test_a_correction_for_frequency_is_refused_where_it_means_nothing(make_settings):
    corrected = {"frequency_correction": 0.5}
    with pytest.raises(ValueError, match="frequency_correction goes with mode: in_batch"):
        make_settings(negatives={"mode": "uniform", "per_positive": 2} | corrected)
    with pytest.raises(ValueError, match="frequency_correction goes with loss: cross_entropy"):
        make_settings(negatives={"mode": "in_batch"} | corrected)


def test_a_query_is_compared_with_its_own_entity_unless_that_makes_a_training_triple(described, make_settings):
    options = make_settings(loss="cross_entropy", score="cosine", negatives={"mode": "in_batch"})
    case = Case(described, options, size=60)
    loops = 0
    for side, column in (("tail", 0), ("head", 2)):
        own = case.drawn[side][None, :] == case.batch[:, [column]]
        assert (own.sum(1) == 1).all()
        loop = np.array([(e, r, e) in case.known for e, r in case.batch[:, [column, 1]].tolist()])
        np.testing.assert_array_equal(case.plan.right[side][own], loop)
        loops += loop.sum()
    assert 0 < loops < 60


def test_without_a_relation_vector_the_query_is_left_to_the_encoder(described, make_settings):
    options = make_settings("tiny", conditioned=True, relation="none", score="dot", negatives={"mode": "in_batch"})
    case = Case(described, options)
    assert case.model.own_parameters() == []
    positive, _ = scores(case.model, case.plan, case.model.encode(case.texts.inputs(case.plan.codes)))
    h, r, t = case.batch[0].tolist()
    torch.testing.assert_close(positive["tail"][0], case.query(h, r, "tail") @ case.entity(t))
    torch.testing.assert_close(positive["head"][0], case.query(t, r, "head") @ case.entity(h))
    assert not torch.allclose(case.query(h, r, "tail"), case.query(h, r, "head"))


@pytest.mark.parametrize(
    ("score", "similarity"),
    [("transe_l1", "l1"), ("transe_l2", "l2"), ("dot", "dot"), ("cosine", "cosine"), ("rotate", "complex_modulus")],
)
def test_a_score_names_a_function_and_a_similarity(make_settings, score, similarity):
    function, found = score_of(make_settings(score=score))
    assert found == similarity
    assert function.name == ("rotate" if score == "rotate" else "transe")

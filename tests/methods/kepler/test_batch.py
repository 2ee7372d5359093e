"""What a step encodes and draws."""

import numpy as np
import pytest
import torch

from kelbench.encoders.bag_of_words import BagOfWords
from kelbench.methods.kepler.batch import SIDES, Planner, TrainingAnswers
from kelbench.methods.kepler.run import initial_model
from kelbench.methods.kepler.training import TextTraining
from kelbench.training.processes import Processes

NEGATIVES = {
    "per triple": {"mode": "uniform", "per_positive": 4},
    "shared": {"mode": "uniform", "per_positive": 12, "shared": True},
    "in batch": {"mode": "in_batch"},
}


def planner_of(dataset, options, seed=1):
    model, texts = initial_model(dataset, options, seed)
    return Planner(options, texts, dataset.triples("train"), 20, seed), texts, model


@pytest.mark.parametrize("encoder", ["bow", "tiny"])
@pytest.mark.parametrize("variant", [{}, {"conditioned": True}, {"relation": "text"}], ids=str)
def test_each_text_of_a_step_is_encoded_once(described, make_settings, monkeypatch, encoder, variant):
    options = make_settings(encoder, negatives=NEGATIVES["in batch"], batch_size=60, **variant)
    model, texts = initial_model(described, options, 1)
    training = TextTraining(model, texts, described.triples("train"), 20, None, 1, Processes())
    seen = []
    original = type(model.encoder).forward
    monkeypatch.setattr(type(model.encoder), "forward", lambda self, t: (seen.append(t), original(self, t))[1])
    batch = next(training.batches(described.triples("train"), 1))
    training.step(batch, 1, 0)
    encoded = sum(len(part) for part in seen)
    entity_texts = set(texts.text_of_entity[batch[:, [0, 2]]].ravel().tolist())
    pairs = {(texts.text_of_entity[e], r) for h, r, t in batch.tolist() for e in (h, t)}
    extra = {"conditioned": len(pairs), "relation": len(set(batch[:, 1].tolist()))}
    assert encoded == len(entity_texts) + sum(extra[key] for key in variant)
    assert {1, 2} <= set(batch[:, [0, 2]].ravel().tolist())  # who share a text


@pytest.mark.parametrize("mode", NEGATIVES)
def test_negatives_are_of_the_training_graph_and_all_of_it(described, make_settings, mode):
    planner, texts, _ = planner_of(described, make_settings(negatives=NEGATIVES[mode]))
    triples = np.asarray(described.triples("train"), dtype=np.int64)
    of_inference_graph = set(texts.of_entities(np.arange(20, 26)).tolist())
    for side in SIDES:
        drawn = np.concatenate([planner._negatives(side, triples, epoch, 0).ravel() for epoch in range(1, 30)])
        assert set(drawn.tolist()) == set(range(20))
        plan = planner.plan(triples, 1, 0)
        assert not of_inference_graph & set(plan.codes.tolist())


@pytest.mark.parametrize("mode", ["per triple", "shared"])
def test_draws_are_keyed_by_seed_epoch_and_step(described, make_settings, mode):
    options = make_settings(negatives=NEGATIVES[mode])
    batch = np.asarray(described.triples("train")[:9], dtype=np.int64)
    draws = {}
    for seed, epoch, step in [(1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 1), (1, 1, 0)]:
        planner, _, _ = planner_of(described, options, seed)
        drawn = {side: planner._negatives(side, batch, epoch, step) for side in SIDES}
        again = draws.setdefault((seed, epoch, step), drawn)
        for side in SIDES:
            np.testing.assert_array_equal(drawn[side], again[side])
        assert not np.array_equal(drawn["head"], drawn["tail"])
    for side in SIDES:
        assert len({draw[side].tobytes() for draw in draws.values()}) == 4


def test_the_places_of_a_plan_are_those_of_its_texts(described, make_settings):
    options = make_settings(conditioned=True, relation="text", negatives=NEGATIVES["per triple"])
    planner, texts, _ = planner_of(described, options)
    batch = np.asarray(described.triples("train")[:9], dtype=np.int64)
    plan = planner.plan(batch, 1, 0)
    assert len(np.unique(plan.codes)) == len(plan.codes)
    np.testing.assert_array_equal(plan.codes[plan.head], texts.of_entities(batch[:, 0]))
    np.testing.assert_array_equal(plan.codes[plan.tail], texts.of_entities(batch[:, 2]))
    np.testing.assert_array_equal(plan.codes[plan.relation], texts.of_relations(batch[:, 1]))
    for side, column in (("tail", 0), ("head", 2)):
        expected = texts.of_pairs(batch[:, column], batch[:, 1], side)
        np.testing.assert_array_equal(plan.codes[plan.query[side]], expected)
        drawn = planner._negatives(side, batch, 1, 0)
        np.testing.assert_array_equal(plan.codes[plan.negatives[side]], texts.of_entities(drawn))
    used = np.concatenate([p.ravel() for p in (plan.head, plan.tail, plan.relation, *plan.query.values())])
    used = np.concatenate([used, *(p.ravel() for p in plan.negatives.values())])
    assert set(used.tolist()) == set(range(len(plan.codes)))


def test_right_answers_are_found_by_query_and_by_pool(described):
    triples = np.asarray(described.triples("train"), dtype=np.int64)
    answers = TrainingAnswers(triples, 20, 3)
    known = {tuple(triple) for triple in triples.tolist()}
    rng = np.random.default_rng(3)
    entities, relations = rng.integers(20, size=200), rng.integers(3, size=200)
    pool = np.array([0, 3, 4, 9, 17, 19])
    count = 0
    for side in SIDES:
        expected = np.array(
            [
                [(e, r, a) in known if side == "tail" else (a, r, e) in known for a in pool.tolist()]
                for e, r in zip(entities.tolist(), relations.tolist(), strict=True)
            ]
        )
        np.testing.assert_array_equal(answers.in_pool(side, entities, relations, pool), expected)
        own = np.broadcast_to(pool, (200, 6))
        np.testing.assert_array_equal(answers.holds(side, entities, relations, own), expected)
        count += expected.sum()
    assert count > 20


def test_an_epoch_holds_every_triple_once_in_an_order_of_its_own(described, make_settings):
    model, texts = initial_model(described, make_settings(), 1)
    triples = described.triples("train")
    training = TextTraining(model, texts, triples, 20, None, 1, Processes())
    first, again, second = (np.concatenate(list(training.batches(triples, epoch))) for epoch in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    assert sorted(map(tuple, second.tolist())) == sorted(map(tuple, triples.tolist()))
    short, texts = initial_model(described, make_settings(steps_per_epoch=2), 1)
    training = TextTraining(short, texts, triples, 20, None, 1, Processes())
    assert training.steps_per_epoch == 2
    np.testing.assert_array_equal(np.concatenate(list(training.batches(triples, 1))), first[:32])


def test_the_rate_rises_and_falls_to_almost_nothing(described, make_settings):
    options = make_settings(epochs=5, warmup=0.25)  # 4 steps an epoch
    model, texts = initial_model(described, options, 1)
    triples = described.triples("train")
    training = TextTraining(model, texts, triples, 20, None, 1, Processes())
    rates = []
    for number in range(20):
        epoch, step = divmod(number, 4)
        training.step(triples[:16].astype(np.int64), epoch + 1, step)
        rates.append([group["lr"] for group in training._optimizer.param_groups])
    of_encoder, of_relations = np.array(rates).T
    np.testing.assert_allclose(of_encoder[:5], 0.01 * np.arange(1, 6) / 5)
    np.testing.assert_allclose(of_encoder[5:], 0.01 * np.arange(15, 0, -1) / 15)
    np.testing.assert_allclose(of_relations, 2 * of_encoder)


def test_what_a_step_learns_are_words_and_relations(described, make_settings):
    model, texts = initial_model(described, make_settings(), 1)
    assert isinstance(model.encoder, BagOfWords)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    triples = described.triples("train")
    training = TextTraining(model, texts, triples, 20, None, 1, Processes())
    training.step(next(training.batches(triples, 1)), 1, 0)
    assert set(before) == {"encoder.words", "relation"} == set(training.weights())
    assert all(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())

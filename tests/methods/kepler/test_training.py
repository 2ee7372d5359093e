"""Training: passes, seeds, resumption, both losses, no look at the test files; and it learns."""

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_file
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders import text_encoder, text_model
from kelbench.encoders.subwords import SubwordTokenizer
from kelbench.encoders.transformer import Transformer
from kelbench.methods.kepler import train
from kelbench.methods.kepler.masking import corpus_of
from kelbench.methods.kepler.run import initial_model
from kelbench.methods.kepler.training import TextTraining
from kelbench.tasks.link_prediction import SplitRanker
from kelbench.training import loop
from kelbench.training.processes import Processes

IN_BATCH = {"loss": "cross_entropy", "temperature": 0.2, "score": "cosine", "negatives": {"mode": "in_batch"}}
LANGUAGE = {"masked_language_modelling": {"corpus": "descriptions", "batch_size": 10}}
DROPOUT = {
    "kind": "tiny",
    "width": 16,
    "layers": 1,
    "heads": 2,
    "vocabulary": 60,
    "max_tokens": 12,
    "dropout": 0.1,
}


def training_of(dataset, options, seed=1):
    model, texts = initial_model(dataset, options, seed)
    corpus, modelling = None, options.masked_language_modelling
    if modelling is not None:
        corpus = corpus_of(modelling, model.encoder.tokenizer, texts, np.arange(20), options.encoder.max_tokens)
    return TextTraining(model, texts, dataset.triples("train"), 20, corpus, seed, Processes())


def first_step(dataset, options):
    """Loss and gradients of the first step."""
    loss, model = after_one_step(dataset, options)
    return loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def after_one_step(dataset, options):
    """Loss of the first step, and the model as it left it."""
    training = training_of(dataset, options)
    return training.step(next(training.batches(dataset.triples("train"), 1)), 1, 0), training.model


def assert_same_step(one, other):
    torch.testing.assert_close(one[0], other[0])
    assert one[1].keys() == other[1].keys()
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, other[1][name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("encoder", ["bow", "tiny"])
@pytest.mark.parametrize("changes", [{}, IN_BATCH, {"conditioned": True}, {"relation": "text"}], ids=str)
def test_the_gradient_does_not_depend_on_the_passes(described, make_settings, encoder, changes):
    if encoder == "tiny":
        changes = changes | LANGUAGE
    whole = first_step(described, make_settings(encoder, **changes))
    parts = first_step(described, make_settings(encoder, texts_per_pass=5, **changes))
    assert_same_step(whole, parts)
    assert all(gradient.any() for name, gradient in whole[1].items() if "key.bias" not in name)


@pytest.mark.parametrize("changes", [{}, {"loss": None}], ids=str)
def test_the_loss_of_language_is_a_mean_over_tokens_whatever_the_buckets(
    described, make_settings, monkeypatch, changes
):
    options = make_settings("tiny", **LANGUAGE, **changes)
    whole = first_step(described, options)
    sizes = []
    original = Transformer.masked_loss
    monkeypatch.setattr(
        Transformer, "masked_loss", lambda self, t, wanted: (sizes.append(len(t)), original(self, t, wanted))[1]
    )
    monkeypatch.setattr(text_encoder.buckets, "__defaults__", (20,))
    assert_same_step(whole, first_step(described, options))
    assert len(set(sizes)) > 1  # unequal buckets


def test_a_step_with_both_losses_is_the_sum_of_steps_with_one(described, make_settings):
    changes = {"weight": 0.5}
    modelling = {"masked_language_modelling": LANGUAGE["masked_language_modelling"] | changes}
    both = first_step(described, make_settings("tiny", **modelling))
    triples = first_step(described, make_settings("tiny"))
    language = first_step(described, make_settings("tiny", loss=None, **LANGUAGE))
    torch.testing.assert_close(both[0], triples[0] + language[0] / 2)
    for name, gradient in both[1].items():
        expected = language[1].get(name, 0) / 2 + triples[1].get(name, 0)
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-4, msg=name)


def test_both_encodings_of_a_pass_draw_the_same_dropout(described, make_settings):
    training = training_of(described, make_settings(DROPOUT, texts_per_pass=5))
    seen = {True: [], False: []}
    original = training.model.encode

    def encode(inputs, before):
        vectors = original(inputs, before)
        seen[torch.is_grad_enabled()].append(vectors.detach().clone())
        return vectors

    training.model.encode = encode
    training.step(next(training.batches(described.triples("train"), 1)), 1, 0)
    assert len(seen[True]) == len(seen[False]) > 2
    for with_gradient, without in zip(seen[True], seen[False], strict=True):
        torch.testing.assert_close(with_gradient, without, atol=1e-6, rtol=1e-5)
    plain = training_of(described, make_settings("tiny", texts_per_pass=5))
    seen[True].clear()
    original, plain.model.encode = plain.model.encode, encode
    plain.step(next(plain.batches(described.triples("train"), 1)), 1, 0)
    assert not torch.allclose(seen[True][0], seen[False][0], atol=1e-2)


@pytest.mark.parametrize(
    ("encoder", "changes"),
    [("bow", {}), ("cnn", IN_BATCH), (DROPOUT, LANGUAGE | {"conditioned": True}), (DROPOUT, {"relation": "text"})],
    ids=["bow", "cnn", "tiny", "tiny text"],
)
def test_training_repeats_bit_by_bit_and_another_seed_differs(
    described, make_settings, make_job, digest, encoder, changes
):
    options = make_settings(encoder, epochs=2, **changes)
    jobs = [make_job(described, options, seed, f"work{n}") for n, seed in enumerate((1, 1, 2))]
    trained = []
    for job in jobs:
        torch.rand(len(trained))  # the global state is not what decides
        trained.append(train(job))
    one, same, other = (digest(job, model) for job, model in zip(jobs, trained, strict=True))
    assert one == same != other
    assert trained[0].curve == trained[1].curve
    assert len(trained[0].curve) == 2


def test_language_of_weight_0_leaves_the_bits_of_kepler_ke(described, make_settings, make_job):
    weightless = {"masked_language_modelling": LANGUAGE["masked_language_modelling"] | {"weight": 0.0}}
    models = {}
    for name, changes in {"ke": {}, "weight 0": weightless, "weight 1": LANGUAGE}.items():
        job = make_job(described, make_settings(DROPOUT, **changes), folder=name)
        models[name] = train(job).tables
    assert torch.equal(models["ke"].entity, models["weight 0"].entity)
    assert torch.equal(models["ke"].relation, models["weight 0"].relation)
    assert not torch.equal(models["ke"].entity, models["weight 1"].entity)


class Killed(Exception):
    pass


def kill_at(monkeypatch, epoch, step):
    """Let training end before one step; returns the steps that are begun."""
    original, begun = TextTraining.step, []

    def until(self, batch, *place):
        begun.append(place)
        if place == (epoch, step):
            raise Killed
        return original(self, batch, *place)

    monkeypatch.setattr(TextTraining, "step", until)
    return begun


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (2, 0), (3, 3)])
@pytest.mark.parametrize("name", ["bow", "tiny"])
def test_a_resumed_run_ends_with_the_same_bits(
    described, make_settings, make_job, digest, monkeypatch, name, epoch, step
):
    changes = LANGUAGE | {"texts_per_pass": 7} if name == "tiny" else IN_BATCH
    options = make_settings(DROPOUT if name == "tiny" else name, early_stopping={"every": 2, "patience": 9}, **changes)
    quiet = make_job(described, options, folder="quiet")
    undisturbed = train(quiet)
    job = make_job(described, options)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        kill_at(patch, epoch, step)
        with pytest.raises(Killed):
            train(job)
        assert (job.folder / "checkpoint.pt").is_file()
    begun = kill_at(monkeypatch, 0, 0)
    resumed = train(job)
    assert begun[0] == (epoch, step)
    assert digest(job, resumed) == digest(quiet, undisturbed)
    assert resumed.curve == undisturbed.curve
    assert resumed.facts == undisturbed.facts
    assert list(job.folder.glob("*.pt*")) == []


def test_no_file_of_the_test_split_reaches_training(described, make_settings, make_job, digest):
    options = make_settings("tiny", epochs=2, **LANGUAGE)

    def trained(folder):
        job = make_job(PreparedDataset(described.folder), options, folder=folder)
        return digest(job, train(job))

    before = trained("a")
    file = described.folder / "test" / "triples.npy"
    triples = np.load(file)
    np.save(file, triples[::-1])
    np.save(file.with_name("known.npy"), triples)
    assert trained("b") == before
    np.save(file, triples[:0])
    np.save(file.with_name("known.npy"), triples[:0])
    assert trained("c") == before
    file.unlink()
    file.with_name("known.npy").unlink()
    file.with_name("support.npy").unlink()
    assert trained("d") == before


def test_only_the_matrices_of_the_encoder_decay(described, make_settings):
    changes = IN_BATCH | LANGUAGE | {"encoder": DROPOUT | {"dropout": 0.0, "projection": 8}, "warmup": 0.0}
    before = state(initial_model(described, make_settings(**changes), 1)[0])
    without, decayed = (
        state(after_one_step(described, make_settings(weight_decay=decay, **changes))[1]) for decay in (0.0, 0.5)
    )
    smaller = {name for name in before if not torch.equal(without[name], decayed[name])}
    matrices = {name for name, value in before.items() if name.startswith("encoder.") and value.dim() > 1}
    assert smaller == {name for name in matrices if "pooler" not in name}
    for name in smaller:
        torch.testing.assert_close(without[name] - decayed[name], 0.01 * 0.5 * before[name], atol=1e-6, rtol=1e-3)


def test_gradients_are_scaled_down_to_the_norm_that_is_asked_for(described, make_settings):
    for limit in (None, 0.01):
        _, gradients = first_step(described, make_settings("tiny", gradient_norm=limit))
        norm = torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in gradients.values()]))
        assert norm > 0.02 if limit is None else norm == pytest.approx(limit, rel=1e-3)


def test_the_texts_of_inference_entities_change_no_weight(described, make_settings, make_job):
    options = make_settings("tiny", epochs=2, **LANGUAGE)
    jobs = [make_job(described, options, folder=folder) for folder in ("a", "b")]
    before = train(jobs[0]).tables
    file = described.folder / "test" / "entities.tsv"
    file.write_text(file.read_text().replace("strange", "unheard of"))
    after = train(jobs[1]).tables
    for name in ("model.safetensors", "ke_head.safetensors", "tokenizer.json"):
        one, other = ((job.folder / "encoder" / name).read_bytes() for job in jobs)
        assert one == other
    torch.testing.assert_close(after.entity[:20], before.entity[:20])
    assert not torch.allclose(after.entity[20:], before.entity[20:])


def test_language_alone_leaves_relation_vectors_as_they_were_made(described, make_settings, make_job):
    options = make_settings("tiny", loss=None, score="cosine", **LANGUAGE)
    start, _ = initial_model(described, options, 1)
    trained = train(make_job(described, options, method="kepler_mlm_only"))
    assert torch.equal(trained.tables.relation, start.relation.detach())
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"]


@pytest.fixture
def without_output_layer(described, tmp_path):
    """Settings of an encoder whose checkpoint came without an output layer."""
    texts = described.entity_texts("description")
    tokenizer = SubwordTokenizer.trained(texts, 60)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=12,
        pad_token_id=tokenizer.special.padding,
    )
    BertModel(config).save_pretrained(tmp_path / "checkpoint")
    tokenizer.save(tmp_path / "checkpoint")
    digest = sha256_file(tmp_path / "checkpoint/model.safetensors")
    return {"kind": f"hf:{tmp_path / 'checkpoint'}@{digest}", "max_tokens": 12}


def state(module):
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def test_a_new_output_layer_is_warmed_up_and_the_encoder_left_as_it_is(described, make_settings, without_output_layer):
    warmup = {"masked_language_modelling": LANGUAGE["masked_language_modelling"] | {"head_warmup_steps": 30}}
    options = make_settings(without_output_layer, relation_learning_rate=0.05, **warmup)
    training = training_of(described, options)
    before = state(training.model)
    training._warm_up_head()
    after = state(training.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("encoder.masked.cls.") for name in changed)
    assert len(training.warmup_losses) == 30
    assert np.mean(training.warmup_losses[-5:]) < np.mean(training.warmup_losses[:5]) - 0.2


def test_frozen_layers_stay_as_they_were(described, make_settings, without_output_layer):
    options = make_settings(without_output_layer | {"trained_layers": 1}, **LANGUAGE)
    training = training_of(described, options)
    before = state(training.model)
    for step, batch in enumerate(training.batches(described.triples("train"), 1)):
        training.step(batch, 1, step)
    changed = {name for name, tensor in state(training.model).items() if not torch.equal(before[name], tensor)}
    last = {name for name in before if ".encoder.layer.1." in name}
    assert last - {"encoder.masked.bert.encoder.layer.1.attention.self.key.bias"} <= changed
    rest = changed - last
    assert "relation" in rest
    assert all(name == "relation" or name.startswith("encoder.masked.cls.") for name in rest)
    assert all(p.grad is None for n, p in training.model.named_parameters() if n not in training.weights())


def test_the_facts_of_a_warm_up_survive_resumption(
    described, make_settings, make_job, without_output_layer, monkeypatch
):
    warmup = {"masked_language_modelling": LANGUAGE["masked_language_modelling"] | {"head_warmup_steps": 3}}
    options = make_settings(without_output_layer, epochs=2, **warmup)
    undisturbed = train(make_job(described, options, folder="quiet"))
    assert "trained alone for 3 steps: loss" in undisturbed.facts["output_layer"]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        kill_at(patch, 2, 1)
        with pytest.raises(Killed):
            train(make_job(described, options))
    assert train(make_job(described, options)).facts == undisturbed.facts


def test_a_projection_narrows_the_vectors(described, make_settings, make_job):
    encoder = {"kind": "bow", "width": 8, "max_tokens": 12, "projection": 3}
    options = make_settings(encoder)
    trained = train(make_job(described, options))
    assert trained.tables.entity.shape == (26, 3)
    start, _ = initial_model(described, options, 1)
    training = training_of(described, options)
    training.step(next(training.batches(described.triples("train"), 1)), 1, 0)
    assert not torch.equal(training.model.projection, start.projection)


def test_vectors_on_disk_are_those_in_memory(described, make_settings, make_job, monkeypatch):
    options = make_settings()
    in_memory = train(make_job(described, options, folder="memory")).tables
    monkeypatch.setattr(text_model, "_IN_MEMORY_BYTES", 0)
    job = make_job(described, options, folder="disk")
    on_disk = train(job).tables
    assert (job.folder / "vectors.npy").is_file()
    assert torch.equal(on_disk.entity, in_memory.entity)
    assert torch.equal(on_disk.entity[1], on_disk.entity[2])


COLOURS = ("red", "blue", "green", "yellow")


@pytest.fixture
def coloured(tmp_path, make_prepared):
    """Things whose texts say their colours, and colours that say their names; 8 more things in an inference graph."""
    rng = np.random.default_rng(2)
    words = ["car", "house", "boat", "chair", "lamp", "door"]
    things = [f"a {rng.choice(words)} that is {COLOURS[number % 4]} and {rng.choice(words)}" for number in range(48)]
    texts = [f"the colour {colour}" for colour in COLOURS] + things
    triples = rng.permutation([[number, 0, (number - 4) % 4] for number in range(4, 44)])
    splits = {"train": triples[:28], "valid": triples[28:], "test": [[n, 0, (n - 4) % 4] for n in range(44, 52)]}
    folder = make_prepared(tmp_path / "coloured", splits, 52, 1)
    rows = [f"{number}\te{number}\t{text}\n" for number, text in enumerate(texts)]
    (folder / "train/entities.tsv").write_text("".join(rows[:44]))
    (folder / "test/entities.tsv").write_text("".join(rows[44:]))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["text_sources"] = ["description"]
    manifest["entity_spaces"]["train"]["stop"] = 44
    manifest["entity_spaces"]["test"] = {"start": 44, "stop": 52, "file": "test/entities.tsv"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return PreparedDataset(folder)


@pytest.mark.parametrize("loss", ["kepler", "cross_entropy"])
def test_texts_that_carry_the_facts_are_learned_from_and_carry_over_to_new_entities(
    coloured, make_settings, make_job, loss
):
    changes = IN_BATCH if loss == "cross_entropy" else {"score": "transe_l1", "margin": 2.0}
    options = make_settings(
        {"kind": "bow", "width": 16, "max_tokens": 12},
        **changes,
        learning_rate=0.03,
        epochs=30,
        early_stopping={"every": 3, "patience": 9},
    )
    untrained = train(make_job(coloured, options.model_copy(update={"learning_rate": 1e-9, "epochs": 1})))
    trained = train(make_job(coloured, options, folder="trained"))
    ranker = SplitRanker(coloured, "valid", coloured.protocols("valid")[0])
    tables = trained.tables
    queries = tables.queries("tail", torch.arange(44, 52), torch.zeros(8, dtype=torch.int64))
    distances = torch.cdist(queries, tables.entity[:44], p=1)
    if loss == "cross_entropy":
        distances = -torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(tables.entity[:44]).T
    assert ranker.mrr(tables) == pytest.approx(trained.facts["best_validation_mrr"])
    assert ranker.mrr(tables) > ranker.mrr(untrained.tables) + 0.2
    answers = distances[:, :4].argmin(1)
    assert (answers == torch.arange(8) % 4).float().mean() >= 7 / 8


def test_entities_without_any_text_are_refused(described, make_settings, monkeypatch):
    monkeypatch.setattr(PreparedDataset, "entity_texts", lambda dataset, source: [" "] * dataset.num_entities)
    with pytest.raises(UserError, match="described: no entity of the training graph has a text"):
        initial_model(described, make_settings("bow"), 1)


def test_words_of_relations_count_where_queries_are_made_of_them(described, make_settings):
    texts = {
        name: initial_model(described, make_settings("bow", **options), 1)[0].encoder.tokenizer.vocabulary
        for name, options in {"table": {}, "none": {"relation": "none", "conditioned": True}}.items()
    }
    assert "inverse" in texts["none"]
    assert "inverse" not in texts["table"]

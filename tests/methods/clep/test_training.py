"""Contrastive pre-training: seeds, passes, resumption, switches, no look at the test files; and it learns."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kelbench.base.errors import UserError
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.bag_of_words import BagOfWords
from kelbench.encoders.load import load_model
from kelbench.methods.clep import train
from kelbench.methods.clep.descriptions import Descriptions
from kelbench.methods.clep.model import ContrastiveModel
from kelbench.methods.clep.training import ContrastiveTraining
from kelbench.scoring import similarity_matrix
from kelbench.tasks.aligned_space import AlignedSpace
from kelbench.tasks.link_prediction import SplitRanker, evaluate
from kelbench.training import loop
from kelbench.training.processes import Processes

TINY = {"kind": "tiny", "width": 16, "layers": 1, "heads": 2, "vocabulary": 60, "max_tokens": 12, "dropout": 0.1}
VARIANTS = {
    "all": {"loss": "all"},
    "all, rows": {"loss": "all", "column_loss": False, "head": "mlp", "text_dropout": 0.2},
    "diagonal": {"loss": "diagonal", "gradient_norm": 1.0},
    "multihot": {"loss": "multihot", "faults": ["label_not_transposed", "edges_interleaved", "relations_weighted"]},
    "product": {"loss": "all", "query": "product", "head": "mlp"},
    "own": {"target": "own_description"},
    "shuffled": {"shuffled_texts": True},
    "r-gcn": {"graph": {"kind": "rgcn", "composition": None, "bases": 3}},
    "both": {"loss": "all", "graph": {"features": "both", "composition": "corr"}},
    "text": {"graph": {"features": "text", "drop_batch_edges": True, "composition": "mult"}},
    "no edges": {"graph": {"adjacency": "none"}},
    "random edges": {"graph": {"adjacency": "random"}},
    "transformer": {"encoder": TINY, "graph": {"features": "text"}, "texts_per_pass": 5},
    "bfloat16": {"loss": "all", "graph": {"features": "both"}, "precision": "bfloat16"},
}


def training_of(dataset, options, seed=1):
    model = ContrastiveModel(options, dataset, seed)
    return ContrastiveTraining(model, dataset.triples("train"), dataset.num_relations, seed, Processes())


def first_step(dataset, options):
    training = training_of(dataset, options)
    loss = training.step(next(training.batches(dataset.triples("train"), 1)), 1, 0)
    return loss, {name: p.grad.clone() for name, p in training.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "graph": {"kind": "rgcn", "composition": None, "bases": 3},
                "loss": "multihot",
                "faults": ["edges_interleaved"],
            },
            "R-GCN knows no direction",
        ),
        (
            {"graph": {"composition": "mult"}, "faults": ["relations_weighted"]},
            "goes with graph: {kind: compgcn, composition: sub}",
        ),
        ({"target": "own_description", "graph": {"drop_batch_edges": True}}, "a batch of nodes has no triples"),
        ({"target": "own_description", "query": "product"}, "a node alone has no relation"),
        ({"temperature": 0.001}, "greater than or equal to 0.01"),
    ],
)
def test_what_would_change_nothing_or_not_hold_is_refused(make_settings, changes, message):
    with pytest.raises(ValidationError, match=message):
        make_settings(**changes)


@pytest.mark.parametrize(
    "graph",
    [
        {"composition": "sub"},
        {"composition": "mult", "drop_batch_edges": True},
        {"composition": "corr", "adjacency": "random"},
        {"adjacency": "none"},
        {"kind": "rgcn", "composition": None, "bases": 3},
    ],
)
def test_bfloat16_rounds_products_and_nothing_else(closed, make_settings, graph):
    quiet = graph | {"features": "both", "dropout": 0.0, "layer_dropout": 0.0}
    settings = {"loss": "all", "head": "mlp", "query": "product", "graph": quiet}
    (exact, gradients), (rounded, others) = (
        first_step(closed, make_settings(**settings, precision=precision)) for precision in ("float32", "bfloat16")
    )
    assert rounded.dtype == torch.float32
    assert rounded != exact and rounded.item() == pytest.approx(exact.item(), rel=0.01)
    for name, gradient in gradients.items():
        assert others[name].dtype == torch.float32
        if gradient.norm() > 1e-4:
            assert torch.cosine_similarity(gradient.flatten(), others[name].flatten(), 0) > 0.98, name


@pytest.mark.parametrize(("precision", "rows"), [("bfloat16", {128}), ("float32", {20, 40})])
def test_in_bfloat16_few_sizes_of_products_occur(closed, make_settings, precision, rows):
    # 20 and 40 queries a step; torch would keep a compiled product for each number of them.
    heard = set()
    for size in (20, 40):
        training = training_of(closed, make_settings(loss="diagonal", batch_size=size, precision=precision))
        training.model.query_head.register_forward_pre_hook(lambda _, inputs: heard.add(len(inputs[0])))
        training.step(next(training.batches(closed.triples("train"), 1)), 1, 0)
    assert heard == rows


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_repeats_bit_by_bit_learns_and_is_ranked_from_its_file(closed, make_settings, make_job, digest, name):
    options = make_settings(**VARIANTS[name])
    digests = []
    for seed, folder in ((1, "one"), (1, "same"), (2, "other")):
        torch.rand(seed)  # the global state is not what decides
        job = make_job(closed, options, seed, folder)
        trained = train(job)
        digests.append(digest(job, trained))
    assert digests[0] == digests[1] != digests[2]
    losses = [record["loss"] for record in trained.curve]
    assert losses[-1] < losses[0]
    loaded = load_model(job.folder / "model.safetensors", closed)
    entities, relations = torch.tensor([3, 4, 5]), torch.tensor([0, 1, 2])
    for side in ("head", "tail"):
        one, other = (table.queries(side, entities, relations, torch.float64) for table in (trained.tables, loaded))
        assert torch.equal(one, other)
    evaluate(loaded, closed, job.folder)
    assert (job.folder / "ranks.test.npz").is_file()


def test_scores_are_the_slides_cosine_across_spaces(closed, make_settings, make_job):
    options = make_settings(head="mlp")
    trained = train(make_job(closed, options))
    tables, weights = trained.tables, trained.tables.head.state_dict()
    hidden = torch.relu((tables.node[4] + tables.relation[1 + 3]) @ weights["weights.0"] + weights["biases.0"])
    query = hidden @ weights["weights.1"] + weights["biases.1"]
    queries = tables.queries("head", torch.tensor([4]), torch.tensor([1]))
    torch.testing.assert_close(queries[0], query)
    scores = similarity_matrix("cosine", queries, tables.candidates(torch.arange(20)))
    expected = torch.nn.functional.cosine_similarity(query[None], tables.text[tables.text_of_entity[:20]])
    torch.testing.assert_close(scores[0], expected)
    # Entities 1 and 2 share a text, so they tie exactly.
    assert scores[0, 1] == scores[0, 2]


def test_a_product_is_added_to_the_head_of_the_sum(closed, make_settings, make_job):
    trained = train(make_job(closed, make_settings(query="product")))
    tables, weights = trained.tables, trained.tables.head.state_dict()
    node, relation = tables.node[4], tables.relation[1 + 3]
    expected = (node + relation) @ weights["weights.0"] + weights["biases.0"]
    expected += (node @ weights["product.0"]) * (relation @ weights["product.1"])
    torch.testing.assert_close(tables.queries("head", torch.tensor([4]), torch.tensor([1]))[0], expected)
    assert len(ContrastiveModel(make_settings(), closed, 1).query_head.product) == 0


def test_numbers_of_answers_are_dropped_before_the_head_in_training_alone(closed, make_settings):
    model = ContrastiveModel(make_settings(head="mlp", text_dropout=0.5), closed, 1)
    queries, answers = torch.randn(3, 8), torch.ones(200, model.descriptions.width)
    heard = []
    model.text_head.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    model.train().scores(queries, None, answers)
    model.eval().scores(queries, None, answers)
    assert set(heard[0].unique().tolist()) == {0.0, 2.0}
    assert heard[0].mean().item() == pytest.approx(1, abs=0.1)
    assert torch.equal(heard[1], answers)


def test_masked_with_nothing_to_mask_is_diagonal(closed, make_settings):
    steps = [first_step(closed, make_settings(loss=loss, batch_size=2)) for loss in ("diagonal", "masked")]
    assert torch.equal(steps[0][0], steps[1][0])
    differing = [first_step(closed, make_settings(loss=loss, batch_size=60))[0] for loss in ("diagonal", "masked")]
    assert not torch.equal(*differing)


def test_the_gradient_does_not_depend_on_the_passes(closed, make_settings):
    encoder = TINY | {"dropout": 0.0}
    whole = first_step(closed, make_settings(encoder=encoder))
    parts = first_step(closed, make_settings(encoder=encoder, texts_per_pass=4))
    torch.testing.assert_close(whole[0], parts[0])
    for name, gradient in whole[1].items():
        torch.testing.assert_close(gradient, parts[1][name], atol=1e-6, rtol=1e-4, msg=name)


def test_a_frozen_encoder_stays_and_its_vectors_are_kept(closed, make_settings, make_job, tiny_checkpoint, monkeypatch):
    options = make_settings(
        loss="all", encoder=tiny_checkpoint, frozen=True, text_learning_rate=None, graph={"features": "both"}
    )
    training = training_of(closed, options)
    before = {name: tensor.clone() for name, tensor in training.model.text_encoder.state_dict().items()}
    training.step(next(training.batches(closed.triples("train"), 1)), 1, 0)
    for name, tensor in training.model.text_encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    first = training.model.descriptions.all()
    monkeypatch.setattr("kelbench.encoders.description_vectors._encoded", None)  # read from the file, not encoded anew
    assert torch.equal(training_of(closed, options).model.descriptions.all(), first)
    trained = train(make_job(closed, options))
    assert not (make_job(closed, options).folder / "encoder").exists()
    learned = [parameter for parameter in training.model.parameters() if parameter.requires_grad]
    assert trained.facts["parameters"] == sum(parameter.numel() for parameter in learned)


def test_words_stand_beside_a_frozen_encoder_and_are_learned(closed, make_settings, make_job, tiny_checkpoint):
    frozen = {"loss": "all", "encoder": tiny_checkpoint, "frozen": True, "text_learning_rate": None}
    options = make_settings(words=5, graph={"features": "both"}, **frozen)
    training = training_of(closed, options)
    descriptions, alone = training.model.descriptions, training_of(closed, make_settings(**frozen)).model.descriptions
    assert descriptions.width == alone.width + 5
    begun = descriptions.all()
    assert torch.equal(begun[:, :-5], alone.all())
    torch.testing.assert_close(descriptions.of_training(), begun[: descriptions.in_training])
    training.step(next(training.batches(closed.triples("train"), 1)), 1, 0)
    assert torch.equal(descriptions.all()[:, :-5], begun[:, :-5])
    assert (descriptions.all()[:, -5:] != begun[:, -5:]).any(dim=1).sum() > 10
    trained = train(make_job(closed, options))
    words = BagOfWords.load(make_job(closed, options).folder / "words")
    assert words.words.shape[1] == 5
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"]
    with pytest.raises(ValidationError, match="the key words goes with frozen: true"):
        make_settings(words=5)


class Killed(Exception):
    pass


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (2, 0)])
@pytest.mark.parametrize("name", ["all", "transformer"])
def test_a_resumed_run_ends_with_the_same_bits(closed, make_settings, make_job, digest, monkeypatch, name, epoch, step):
    options = make_settings(**VARIANTS[name] | {"early_stopping": {"every": 2, "patience": 9}})
    quiet = make_job(closed, options, folder="quiet")
    undisturbed = train(quiet)
    job, original = make_job(closed, options), ContrastiveTraining.step

    def until(self, batch, *place):
        if place == (epoch, step):
            raise Killed
        return original(self, batch, *place)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr(ContrastiveTraining, "step", until)
        with pytest.raises(Killed):
            train(job)
        assert (job.folder / "checkpoint.pt").is_file()
    begun = []
    monkeypatch.setattr(ContrastiveTraining, "step", lambda *a: (begun.append(a[2:]), original(*a))[1])
    resumed = train(job)
    assert begun[0] == (epoch, step)
    assert digest(job, resumed) == digest(quiet, undisturbed)
    assert resumed.curve == undisturbed.curve
    assert resumed.facts["aligned_space"] == undisturbed.facts["aligned_space"]


def test_new_entities_are_read_by_their_texts_and_refused_without(described, make_settings, make_job):
    trained = train(make_job(described, make_settings(graph={"features": "text"}, loss="all")))
    assert len(trained.tables.node) == 26
    ranker = SplitRanker(described, "test", described.protocols("test")[0])
    assert 0 < ranker.mrr(trained.tables) <= 1
    with pytest.raises(UserError, match=r"learns a vector for each entity of training.*; set graph: {features: text}"):
        train(make_job(described, make_settings()))


def test_no_file_of_the_test_split_reaches_training(described, make_settings, make_job):
    options = make_settings(graph={"features": "text"}, loss="all", epochs=2)
    weights = []
    for folder in ("before", "after"):
        trained = train(make_job(PreparedDataset(described.folder), options, folder=folder))
        weights.append(trained.tables.weights | {"curve": trained.curve})
        np.save(described.folder / "test/triples.npy", np.array([[21, 2, 20]], dtype=np.int32))
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert np.array_equal(tensor, weights[1][name]), name


def test_the_scale_of_cosines_stops_at_a_hundred_and_can_come_back(closed, make_settings):
    training = training_of(closed, make_settings(temperature=0.0101, learning_rate=0.1, warmup=0.0))
    batch = next(training.batches(closed.triples("train"), 1))
    highest = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            training.model.log_scale.add_(sign)
        training.step(batch, 1, 0)
        highest.append(training.model.log_scale.exp().item())
    assert highest[0] == pytest.approx(100.0)
    assert highest[1] < 50.0


def test_an_inference_graph_leaves_the_random_edges_of_training_as_they_were(described, make_settings):
    np.save(described.folder / "test/support.npy", np.array([[20, 0, 22], [23, 1, 21], [25, 2, 24]], dtype=np.int32))
    dataset = PreparedDataset(described.folder)
    random, plain = (
        ContrastiveModel(make_settings(graph={"features": "text", "adjacency": kind}), dataset, 1)
        for kind in ("random", "graph")
    )
    count = len(dataset.triples("train"))
    graphs = (random._known_graph, random.training_graph, plain.training_graph)
    whole, training, unpermuted = (graph.edges.destination.reshape(2, -1) for graph in graphs)
    assert whole.shape[1] > count
    assert np.array_equal(whole[:, :count], training)
    assert not np.array_equal(training, unpermuted)


def test_shuffled_texts_are_the_same_texts_at_other_entities(described, make_settings):
    plain, shuffled, same, other = (
        Descriptions(described, make_settings(**options), seed, "cpu")
        for options, seed in (
            ({}, 1),
            ({"shuffled_texts": True}, 1),
            ({"shuffled_texts": True}, 1),
            ({"shuffled_texts": True}, 2),
        )
    )
    start, stop = described.spaces["train"]
    texts = [
        [tuple(descriptions.inputs(np.array([number])).ids) for number in descriptions.of_entity]
        for descriptions in (plain, shuffled, same, other)
    ]
    assert texts[0][start:stop] != texts[1][start:stop] == texts[2][start:stop] != texts[3][start:stop]
    assert sorted(texts[0][start:stop]) == sorted(texts[1][start:stop])
    assert stop < len(texts[0])
    assert texts[0][stop:] == texts[1][stop:]


def test_texts_must_be_there(closed, make_settings, make_job):
    manifest = json.loads((closed.folder / "manifest.json").read_text())
    manifest.pop("text_sources")
    (closed.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="needs texts of the entities"):
        train(make_job(PreparedDataset(closed.folder), make_settings()))


def test_a_memorable_graph_is_learned(closed, make_settings, make_job):
    changes = {"loss": "all", "width": 16, "encoder": {"kind": "bow", "width": 16, "max_tokens": 12}}
    graph = {"width": 16, "dropout": 0.0, "layer_dropout": 0.0}
    rates = {"learning_rate": 0.03, "text_learning_rate": 0.03, "epochs": 60}
    options = make_settings(graph, **changes, **rates, early_stopping={"every": 60, "patience": 9})
    tables = train(make_job(closed, options)).tables
    triples = torch.from_numpy(np.array(closed.triples("train"))).long()
    scores = similarity_matrix("cosine", tables.queries("tail", triples[:, 0], triples[:, 1]), tables.text)
    right = scores.gather(1, tables.text_of_entity[triples[:, 2]][:, None])
    # A query has up to five answers in this graph, and 19 texts may come first.
    assert ((scores > right).sum(1) < 5).float().mean() > 0.8


def test_the_space_is_measured_before_and_after(closed, make_settings, make_job):
    rates = {"learning_rate": 0.03, "text_learning_rate": 0.03, "epochs": 40}
    # Whatever numbers are dropped: of twenty nodes, seeds would decide what is reached.
    kept = {"dropout": 0.0, "layer_dropout": 0.0}
    options = make_settings(kept, target="own_description", **rates, early_stopping={"every": 40, "patience": 9})
    trained = train(make_job(closed, options))
    before, after = (trained.facts["aligned_space"][moment] for moment in ("before", "after"))
    assert before["own_descriptions"]["auc"] < 0.8
    assert after["own_descriptions"]["auc"] > 0.9
    assert after["own_descriptions"]["mean_correct"] < before["own_descriptions"]["mean_correct"]
    # Entities 1 and 2 share a text, and two more have the word "blue" alone.
    assert (after["candidates"], after["sharing"]) == (20, 4)
    space = AlignedSpace(closed, own_descriptions=True)
    assert space.describe(trained.tables) == after
    assert space.describe(ContrastiveModel(options, closed, 1).tables()) == before

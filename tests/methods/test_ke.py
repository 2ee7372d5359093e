"""Training: gradients, resumption, determinism, no look at the test file; and it learns."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from kelbench.config.methods import KnowledgeEmbeddingSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.methods import ke
from kelbench.scoring import similarity_of_pairs
from kelbench.tasks.link_prediction import SplitRanker
from kelbench.training import loop, losses
from kelbench.training.all_entities import cross_entropy_over_entities
from kelbench.training.job import TrainingJob

METHODS = ("transe", "distmult", "complex", "rotate", "simple")
ONE_VS_ALL = {"training": "1vsall", "loss": "cross_entropy"}
SAMPLED = {
    "per triple": {"training": "negative_sampling", "negatives": {"per_positive": 5}, "loss": "margin", "margin": 2.0},
    "shared": {
        "training": "negative_sampling",
        "negatives": {"per_positive": 7, "shared": True},
        "loss": "self_adversarial",
        "margin": 3.0,
        "adversarial_temperature": 1.0,
    },
}
WAYS = {"1vsall": ONE_VS_ALL, **SAMPLED}


def settings(method, way=ONE_VS_ALL, **changes):
    values = {
        "dimension": 8,
        "distance": "l2" if method == "transe" else None,
        "reciprocal": True,
        "regularizer": {"kind": "n3", "weight": 0.01},
        "optimizer": "adagrad",
        "learning_rate": 0.1,
        "batch_size": 32,
        "epochs": 6,
        "initial_scale": 0.1,
        "early_stopping": {"every": 2, "patience": 3},
        **way,
        **changes,
    }
    return KnowledgeEmbeddingSettings(**values)


def job(folder, method, options, seed=1):
    return TrainingJob(PreparedDataset(folder), method, options, seed, 1, folder.parent / "work")


def digest(model):
    return hashlib.sha256(model.tables.entity.numpy().tobytes() + model.tables.relation.numpy().tobytes()).hexdigest()


BATCH = np.array([[0, 0, 1], [2, 1, 0], [0, 0, 4], [3, 0, 4]], dtype=np.int32)


def slow_penalty(tables, sides, options):
    """The mean over the triples of the cubes of heads, tails and relations; `sides` are the directions trained."""
    total = 0.0
    is_complex = tables.score_function.name in ("complex", "rotate")
    for h, r, t in BATCH.tolist():
        relations = [tables.relation[r + (2 if side == "head" and tables.reciprocal else 0)] for side in sides]
        parts = [tables.entity[h], tables.entity[t]]
        if tables.score_function.name != "rotate":
            parts += [torch.stack(relations)]
        for part in parts:
            rows = part.reshape(-1, part.shape[-1])
            sizes = torch.complex(*rows.tensor_split(2, dim=-1)).abs() if is_complex else rows.abs()
            total = total + (sizes**3).sum() / len(rows)
    return options.regularizer.weight * total / len(BATCH)


def slow_loss(tables, negatives, options, sides):
    """The loss written out a triple at a time, over whole tables."""
    function, similarity = tables.score_function, tables.similarity
    total = 0.0
    for side in sides:
        for number, (h, r, t) in enumerate(BATCH.tolist()):
            given, answer = (h, t) if side == "tail" else (t, h)
            query = tables.queries(side, torch.tensor([given]), torch.tensor([r]))
            scores = similarity_of_pairs(similarity, query, function.candidate(tables.entity))
            if negatives is None:
                total = total + torch.nn.functional.cross_entropy(scores[None], torch.tensor([answer]))
                continue
            drawn = negatives[side] if negatives[side].dim() == 1 else negatives[side][number]
            positive, negative = scores[[answer]], scores[None, drawn[drawn != answer]]
            if options.loss == "margin":
                # The mean is over all pairs, those that do not count included.
                term = losses.margin_loss(positive, negative, options.margin) * negative.shape[1] / len(drawn)
            else:
                term = losses.self_adversarial_loss(positive, negative, options.margin, options.adversarial_temperature)
            total = total + term
    return total / len(BATCH) / len(sides) + slow_penalty(tables, sides, options)


@pytest.mark.parametrize("reciprocal", [True, False])
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_equals_the_loss_written_out_and_an_optimizer_over_whole_tables(method, way, reciprocal):
    options = settings(method, WAYS[way], reciprocal=reciprocal)
    start = ke.initial_tables(method, options, 12, 2, seed=1)
    tables = replace(start, entity=start.entity.double(), relation=start.relation.double())
    whole = [start.entity.double().requires_grad_(), start.relation.double().requires_grad_()]
    optimizer = torch.optim.Adagrad(whole, lr=0.1)
    embedding = ke.KnowledgeEmbedding(tables, options, seed=1)
    batches = list(embedding.batches(BATCH, 1))
    assert [len(batch) for batch in batches] == ([4, 4] if way == "1vsall" else [4])
    for number, batch in enumerate(batches):
        slow = replace(tables, entity=whole[0], relation=whole[1])
        if way == "1vsall":
            expected = slow_loss(slow, None, options, [batch.side])
        else:
            ordered = torch.from_numpy(BATCH).long()
            place = [(batch == triple).all(dim=1).nonzero().item() for triple in ordered]
            negatives = embedding._way.draw(batch, 1, number)
            negatives = {side: ids if ids.dim() == 1 else ids[place] for side, ids in negatives.items()}
            expected = slow_loss(slow, negatives, options, ["tail", "head"])
        loss = embedding.step(batch, 1, number)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(tables.entity, whole[0].detach())
        torch.testing.assert_close(tables.relation, whole[1].detach())


def test_1vsall_batches_hold_every_answer_once_a_side(small_graph):
    triples = PreparedDataset(small_graph).triples("train")
    options = settings("complex", batch_size=10)
    embedding = ke.KnowledgeEmbedding(ke.initial_tables("complex", options, 50, 20, seed=1), options, seed=1)
    seen = {"tail": [], "head": []}
    for batch in embedding.batches(triples, 3):
        lengths = torch.diff(batch.offsets)
        given, relations = batch.given.repeat_interleave(lengths), batch.relations.repeat_interleave(lengths)
        parts = (given, relations, batch.answers) if batch.side == "tail" else (batch.answers, relations, given)
        seen[batch.side] += zip(*(part.tolist() for part in parts), strict=True)
        queries = list(zip(batch.given.tolist(), batch.relations.tolist(), strict=True))
        assert len(set(queries)) == len(queries)
    expected = sorted(map(tuple, triples.tolist()))
    assert sorted(seen["tail"]) == expected
    assert sorted(seen["head"]) == expected
    first, second = (list(embedding.batches(triples, epoch)) for epoch in (3, 4))
    again = list(embedding.batches(triples, 3))
    assert all(torch.equal(a.answers, b.answers) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a.given, b.given) for a, b in zip(first, second, strict=False))


@pytest.mark.parametrize("similarity", ["dot", "l1", "complex_modulus"])
def test_all_entities_in_small_blocks_and_in_bfloat16(similarity):
    generator = torch.Generator().manual_seed(4)
    queries, candidates = (torch.randn(n, 32, generator=generator) / 4 for n in (9, 40))
    counts = torch.randint(1, 4, (9,), generator=generator)
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    answers = torch.cat([torch.randperm(40, generator=generator)[: int(n)] for n in counts])
    whole = cross_entropy_over_entities(similarity, queries, candidates, offsets, answers, "float32")
    parts = cross_entropy_over_entities(similarity, queries, candidates, offsets, answers, "float32", 2 * 40 * 4)
    low = cross_entropy_over_entities(similarity, queries, candidates, offsets, answers, "bfloat16")
    for found, block, rounded in zip(whole, parts, low, strict=True):
        torch.testing.assert_close(found, block)
        # 8 bits: an error of 1 / 256 of the largest number.
        assert (found - rounded).abs().max() <= found.abs().max() / 64
        assert similarity != "dot" or not torch.equal(found, rounded)


@pytest.mark.parametrize(
    ("precision", "fit", "rows"),
    [("bfloat16", 1000, {64, 128}), ("float32", 1000, {7, 90}), ("bfloat16", 3, {3}), ("bfloat16", 1, {1})],
)
def test_in_bfloat16_few_sizes_of_products_occur_and_none_beyond_a_block(monkeypatch, precision, fit, rows):
    # torch would keep a compiled product, with megabytes of its own, for each number of queries.
    heard, multiply = set(), torch.mm
    monkeypatch.setattr(torch, "mm", lambda left, right: (heard.update(left.shape), multiply(left, right))[1])
    for number in (7, 90):
        queries, answers = torch.randn(number, 16), torch.arange(number) % 40
        asked = torch.arange(number + 1), answers
        cross_entropy_over_entities("dot", queries, torch.randn(40, 16), *asked, precision, fit * 40 * 4)
    assert heard - {16, 40} == rows


def test_bfloat16_costs_little_quality(prepared_folder):
    dataset = PreparedDataset(prepared_folder / "kinships")
    ranker = SplitRanker(dataset, "test", dataset.protocols("test")[0])
    mrr = []
    for precision in ("float32", "bfloat16"):
        options = settings("complex", dimension=64, batch_size=256, epochs=15, precision=precision)
        model = ke.train(TrainingJob(dataset, "complex", options, 1, 1, prepared_folder / "work"))
        mrr.append(ranker.mrr(model.tables))
    assert mrr[0] > 0.5
    assert mrr[1] == pytest.approx(mrr[0], abs=0.02)
    assert mrr[1] != mrr[0]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_training_learns_and_repeats_bit_by_bit(small_graph, method, way):
    options = settings(method, WAYS[way], epochs=20, early_stopping={"every": 5, "patience": 9})
    first = ke.train(job(small_graph, method, options))
    second = ke.train(job(small_graph, method, options))
    assert digest(first) == digest(second)
    assert first.curve == second.curve
    assert digest(ke.train(job(small_graph, method, options, seed=2))) != digest(first)
    losses = [record["loss"] for record in first.curve]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_a_resumed_run_ends_with_the_same_bits(small_graph, monkeypatch, optimizer):
    options = settings("complex", SAMPLED["per triple"], epochs=10, optimizer=optimizer)
    undisturbed = ke.train(job(small_graph, "complex", options))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    class Killed(Exception):
        pass

    original = ke.KnowledgeEmbedding.step

    def step(self, batch, epoch, number):
        if epoch == 7 and number == 2:
            raise Killed
        return original(self, batch, epoch, number)

    monkeypatch.setattr(ke.KnowledgeEmbedding, "step", step)
    with pytest.raises(Killed):
        ke.train(job(small_graph, "complex", options))
    checkpoint = small_graph.parent / "work" / "checkpoint.pt"
    assert checkpoint.is_file()
    seen = []
    monkeypatch.setattr(
        ke.KnowledgeEmbedding, "step", lambda self, *a: (seen.append(a[1]), original(self, *a))[1]
    )  # fmt: skip
    resumed = ke.train(job(small_graph, "complex", options))
    assert min(seen) == 7
    assert digest(resumed) == digest(undisturbed)
    assert resumed.curve == undisturbed.curve
    assert [path.name for path in checkpoint.parent.iterdir() if path.suffix in (".pt", ".sha256")] == []


def test_a_resumed_run_needs_the_best_weights(small_graph, monkeypatch):
    options = settings("complex", epochs=10)
    undisturbed = ke.train(job(small_graph, "complex", options))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    original, seen = ke.KnowledgeEmbedding.step, []

    def step(self, batch, epoch, number):
        seen.append(epoch)
        if epoch == 9 and len(seen) > 1 and seen[0] == 1:
            raise KeyboardInterrupt
        return original(self, batch, epoch, number)

    monkeypatch.setattr(ke.KnowledgeEmbedding, "step", step)
    with pytest.raises(KeyboardInterrupt):
        ke.train(job(small_graph, "complex", options))
    (best,) = (small_graph.parent / "work").glob("best-*.pt")
    best.write_bytes(best.read_bytes()[:-7])
    seen.clear()
    seen.append(0)
    assert digest(ke.train(job(small_graph, "complex", options))) == digest(undisturbed)
    assert 1 in seen


def test_a_damaged_or_foreign_checkpoint_is_not_used(small_graph, monkeypatch):
    from kelbench.training.checkpoints import load_checkpoint, save_checkpoint

    path = small_graph.parent / "checkpoint.pt"
    save_checkpoint(path, "mine", {"epoch": 3})
    assert load_checkpoint(path, "mine") == {"epoch": 3}
    assert load_checkpoint(path, "other") is None
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert load_checkpoint(path, "mine") is None


def test_no_test_triple_reaches_training(small_graph):
    options = settings("complex")
    before = digest(ke.train(job(small_graph, "complex", options)))
    triples = np.load(small_graph / "test" / "triples.npy")
    np.save(small_graph / "test" / "triples.npy", triples[::-1])
    assert digest(ke.train(job(small_graph, "complex", options))) == before
    np.save(small_graph / "test" / "triples.npy", triples[:0])
    assert digest(ke.train(job(small_graph, "complex", options))) == before
    (small_graph / "test" / "triples.npy").unlink()
    assert digest(ke.train(job(small_graph, "complex", options))) == before


def test_the_weights_kept_are_those_of_the_best_validation(small_graph):
    options = settings("complex", epochs=40, early_stopping={"every": 1, "patience": 4})
    model = ke.train(job(small_graph, "complex", options))
    dataset = PreparedDataset(small_graph)
    mrr = SplitRanker(dataset, "valid", dataset.protocols("valid")[0]).mrr(model.tables)
    assert mrr == model.facts["best_validation_mrr"] == max(record["validation_mrr"] for record in model.curve)
    assert model.facts["ended_by"] == "patience"
    assert model.facts["epochs"] < 40


def test_the_clock_ends_training_and_says_so(small_graph):
    options = settings("complex", epochs=10**6, max_minutes=1e-4, early_stopping={"every": 10**5, "patience": 9})
    model = ke.train(job(small_graph, "complex", options))
    assert model.facts["ended_by"] == "time"
    assert model.facts["converged"] is False

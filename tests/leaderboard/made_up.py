"""A made-up experiment on disk: registry, prepared datasets, and results whose ranks and metrics agree."""

import json
from pathlib import Path

import numpy as np
import yaml

from kelbench.base.files import write_arrays, write_json
from kelbench.config.experiment import Experiment

TRIPLES = {"valid": 30, "test": 40}
CANDIDATES = 50
HOSTILE = "</script><script>window.PWN=1</script>"
RELATIONS = [HOSTILE, '"><img onerror=alert(1) src=x>', "{{7*7}}", "safe\u202egnp.exe", "plain"]

SETTINGS = {
    "dimension": 8,
    "reciprocal": True,
    "training": "1vsall",
    "loss": "cross_entropy",
    "optimizer": "adagrad",
    "learning_rate": 0.1,
    "batch_size": 10,
    "epochs": 5,
    "initial_scale": 0.1,
    "early_stopping": {"every": 1, "patience": 2},
}
PYKEEN = {
    "dimension": 8,
    "training": "lcwa",
    "loss": "cross_entropy",
    "optimizer": "adam",
    "learning_rate": 0.1,
    "batch_size": 10,
    "epochs": 5,
    "early_stopping": {"every": 1, "patience": 2},
}
METHODS = {
    "complex": ("ComplEx", "knowledge embedding", {"native": SETTINGS, "pykeen": PYKEEN}),
    "transe": ("TransE", "knowledge embedding", {"native": {**SETTINGS, "distance": "l1"}}),
    "simple": ("SimplE", "knowledge embedding", {"native": SETTINGS, "pykeen": PYKEEN}),
    "random": ("Random scorer", "control", {"native": {}}),
}
RUNS = {
    "complex": {"method": "complex", "preset": "code", "datasets": ["wn18rr", "tiny"]},
    "complex-pykeen": {"method": "complex", "engine": "pykeen", "preset": "ours", "datasets": ["tiny"]},
    "simple": {"method": "simple", "preset": "ours", "datasets": ["tiny"]},
    "simple-pykeen": {"method": "simple", "engine": "pykeen", "preset": "ours", "datasets": ["tiny"]},
    "transe": {"method": "transe", "preset": "ours", "datasets": ["wn18rr", "tiny"]},
    "random": {"method": "random", "preset": "ours", "datasets": ["wn18rr", "tiny"]},
}
# Skill of a run: how far its ranks lie in front.
SKILL = {"complex": 3.0, "complex-pykeen": 2.9, "simple": 2.8, "simple-pykeen": 1.5, "transe": 1.0, "random": 0.0}

# Runs of text methods, for tests that ask for them, on a stand-in and on the dataset of a paper.
STAND_IN, PAPERS_OWN = "atlas", "wikidata5m-transductive"
TINY = {"kind": "tiny", "width": 8, "layers": 1, "heads": 2, "vocabulary": 300, "max_tokens": 8}
BAG = {"kind": "bow", "width": 8, "max_tokens": 8}
TEXT_METHODS = {"kepler_wiki": "KEPLER-Wiki", "kepler_ke": "KEPLER-KE", "kepler_cond": "KEPLER-Cond"}
TEXT_SETTINGS = {
    "relation": "table",
    "score": "transe_l1",
    "loss": "cross_entropy",
    "negatives": {"mode": "in_batch"},
    "learning_rate": 0.01,
    "relation_learning_rate": 0.01,
    "batch_size": 10,
    "epochs": 5,
    "early_stopping": {"every": 1, "patience": 2},
}
TEXT_RUNS = {
    "wiki": {"method": "kepler_wiki", "datasets": [STAND_IN], "settings": {"encoder": TINY}},
    "wiki-paper": {"method": "kepler_wiki", "preset": "paper", "datasets": [PAPERS_OWN], "settings": {"encoder": TINY}},
    "ke": {"method": "kepler_ke", "datasets": [STAND_IN], "settings": {"encoder": TINY}},
    "bag": {"method": "kepler_ke", "datasets": [STAND_IN], "settings": {"encoder": BAG}},
    "cond": {"method": "kepler_cond", "datasets": [STAND_IN], "settings": {"encoder": TINY, "conditioned": True}},
}
TEXT_SKILL = {"wiki": 0.9, "wiki-paper": 0.9, "ke": 3.0, "bag": 3.5, "cond": 3.4}

# Runs of CLEP and of graph encoders with a decoder, for tests that ask for them.
GRAPH = {"kind": "compgcn", "composition": "sub", "layers": 1, "width": 8, "features": "free"}
CLEP = {
    "graph": GRAPH,
    "encoder": BAG | {"texts": "name"},
    "frozen": False,
    "head": "linear",
    "width": 8,
    "target": "tail_description",
    "loss": "all",
    "learning_rate": 0.01,
    "text_learning_rate": 0.01,
    "batch_size": 10,
    "epochs": 5,
    "early_stopping": {"every": 1, "patience": 2},
}
DISTMULT = {
    "graph": GRAPH,
    "decoder": "distmult",
    "loss": "cross_entropy",
    "learning_rate": 0.01,
    "batch_size": 10,
    "epochs": 5,
    "early_stopping": {"every": 1, "patience": 2},
}
CLEP_METHODS = {
    "clep": ("CLEP", "text", {"native": CLEP}),
    "compgcn_distmult": ("CompGCN DistMult", "knowledge embedding", {"native": DISTMULT}),
    "clep_distmult": ("CLEP fine-tuned DistMult", "text", {"native": DISTMULT}),
    "warm_distmult": ("Warm-started DistMult", "knowledge embedding", {"native": DISTMULT}),
}
ON = {"datasets": ["fb15k-237"]}
CLEP_RUNS = {
    "clep": {"method": "clep", "preset": "paper", **ON},
    "clep-shuffled": {"method": "clep", "preset": "paper", "settings": {"shuffled_texts": True}, **ON},
    "clep-diagonal": {"method": "clep", "settings": {"loss": "diagonal", "encoder": BAG}, **ON},
    "gcn": {"method": "compgcn_distmult", "preset": "paper", **ON},
    "tuned": {"method": "clep_distmult", "settings": {"start": "clep", "learning_rate": 0.05}, **ON},
    "warm": {"method": "warm_distmult", "settings": {"start": "gcn"}, **ON},
}
CLEP_SKILL = {"clep": 0.9, "clep-diagonal": 0.4, "gcn": 2.0, "tuned": 2.2, "warm": 1.0}


def build(
    root: Path,
    seeds: tuple[int, ...] = (1, 2, 3),
    claims: dict | None = None,
    texts: dict | None = None,
    clep: dict | None = None,
    **keys,
) -> Experiment:
    """Write everything below `root`, which must be the working directory, and open the experiment.

    Args:
        root: where to write.
        seeds: of every run.
        claims: claim files, by name.
        texts: text runs (of TEXT_RUNS) to add, with their skill.
        clep: runs of CLEP_RUNS to add, with their skill.
        keys: further keys of the experiment file.
    """
    methods, runs, skill = dict(METHODS), dict(RUNS), SKILL | (texts or {}) | (clep or {})
    for name in texts or {}:
        runs[name] = TEXT_RUNS[name]
        method = TEXT_RUNS[name]["method"]
        corpus = {"corpus": "file", "file": "prose.txt"}
        modelling = {} if method == "kepler_ke" else corpus | {"batch_size": 4}
        settings = TEXT_SETTINGS | ({"masked_language_modelling": modelling} if modelling else {})
        methods[method] = (TEXT_METHODS[method], "text", {"native": settings})
    for name in clep or {}:
        runs[name] = CLEP_RUNS[name]
        methods[CLEP_RUNS[name]["method"]] = CLEP_METHODS[CLEP_RUNS[name]["method"]]
    for name in sorted({name for run in runs.values() for name in run["datasets"]}):
        _dataset(root, name)
    for name, (label, kind, settings) in methods.items():
        entry = {"name": name, "label": label, "kind": kind, "summary": f"{label} in a line", "settings": settings}
        if kind != "control":
            entry["paper"] = {"title": "A & B <i>", "authors": "X", "year": 2016, "url": "https://example.org/paper"}
        _yaml(root / f"config/methods/{name}.yaml", entry)
    for name, content in (claims or {}).items():
        _yaml(root / f"config/claims/{name}.yaml", content)
    path = root / "config/made-up.yaml"
    title = "Made-up <b>runs</b>"
    _yaml(path, {"experiment": "made-up", "title": title, "seeds": list(seeds), "runs": runs, **keys})
    experiment = Experiment(Path("config/made-up.yaml"))
    for (dataset, name), run in experiment.runs.items():
        for seed in run.seeds:
            _seed(root / f"results/made-up/{dataset}/{name}/seed-{seed}", dataset, name, seed, skill[name])
    return experiment


def _yaml(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def _dataset(root: Path, name: str) -> None:
    file = {"name": f"{name}.tsv", "urls": ["https://example.org/x"], "bytes": 1, "sha256": "0" * 64, "licence": "CC0"}
    _yaml(
        root / f"config/datasets/{name}.yaml",
        {
            "name": name,
            "title": name.upper(),
            "version": "first",
            "layout": "transductive",
            "source": "Nobody (2020)",
            "files": [file],
            "triples": {split: {"file": f"{name}.tsv"} for split in ("train", "valid", "test")},
            "entity_texts": {"name": {"file": f"{name}.tsv", "format": "tsv"}},
        },
    )
    folder = root / f"data/prepared/{name}"
    splits = {
        "train": {"space": "train", "num_triples": 200},
        **{
            split: {
                "space": "train",
                "num_triples": count,
                "num_support": 0,
                "num_known": 0,
                "protocols": [{"candidates": "all", "spaces": ["train"], "filter": ["train/triples.npy"]}],
            }
            for split, count in TRIPLES.items()
        },
    }
    manifest = {
        "format": 1,
        "dataset": name,
        "title": name.upper(),
        "version": "first",
        "layout": "transductive",
        "source": "Nobody (2020)",
        "licences": ["CC0"],
        "num_relations": len(RELATIONS),
        "entity_spaces": {"train": {"start": 0, "stop": CANDIDATES, "file": "train/entities.tsv"}},
        "splits": splits,
        "selection_split": "valid",
        "input_files": {f"{name}.tsv": "0" * 64},
        "files": {},
        "normalised": {f"{name}.tsv": {"bom": 1, "crlf_lines": 3}},
        "texts": {"entities": 0, "relations": 0},
        "notes": "",
    }
    write_json(folder / "manifest.json", manifest)
    check = {"check": "duplicates", "split": "test", "count": 2, "of": 40, "severity": "warning"}
    pair = {"kind": "inverse", "relation": HOSTILE, "other": "plain", "share": 0.9, "other_share": 0.95}
    checks = [{**check, "explanation": f"twice: {HOSTILE}"}]
    write_json(folder / "audit.json", {"dataset": name, "checks": checks, "relation_pairs": [pair]})


def _seed(folder: Path, dataset: str, run: str, seed: int, skill: float) -> None:
    generator = np.random.default_rng([seed, *map(ord, dataset)])
    records = []
    for split, count in TRIPLES.items():
        policies = (0, 1) if dataset == "wn18rr" else (0,)
        parts = [_ranks(generator, count, policy, skill) for policy in policies]
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        write_arrays(folder / f"ranks.{split}.npz", **table)
        for policy in policies:
            records += _records(split, policy, {name: a[table["unseen"] == policy] for name, a in table.items()})
    write_json(folder / "metrics.json", records)
    curve = [{"epoch": e, "loss": 2.0 / e, "validation_mrr": 0.5 - 0.3 / e if e % 2 else None} for e in range(1, 12)]
    # The fine-tuned run learns sooner than the one from random weights, and is caught up with in epoch 5.
    if run == "tuned":
        curve = [line | {"validation_mrr": 0.42 if line["epoch"] < 5 else 0.44} for line in curve]
    (folder / "curve.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curve))
    (folder / "timing.jsonl").write_text('{"epoch": 1, "seconds": 0.5}\n{"epoch": 11, "seconds": 4.5}\n')
    facts = {"parameters": 1200, "converged": run != "transe", "epochs": 11, "best_epoch": 9}
    if run.endswith("-pykeen"):
        facts["computes"] = "two symmetric DistMults"
        facts["same_vectors"] = {
            "score_max_difference": 1e-7,
            "loss_ours": 1.25,
            "loss_pykeen": 1.2500001,
            "gradient_max_relative_difference": 2e-6,
        }
    if run.startswith("clep"):
        facts["aligned_space"] = {"before": _space(0.5, seed), "after": _space(0.9, seed)}
    record = {
        "command": ["kelbench", "train", "--run", run],
        "commit": "abc123",
        "cpu": "A processor",
        "cpu_count": 2,
        "finished": "2030-01-01T00:00:00+00:00",
        "peak_memory_mib": 512,
        "platform": "Linux",
        "versions": {"python": "3.11", "torch": "2.13.0"},
        "run": run,
        "facts": facts,
        "seconds": 4.5,
        "settings_digest": "0" * 64,
    }
    write_json(folder / "provenance.json", record)


def _space(auc: float, seed: int) -> dict:
    """Made-up facts of the aligned space: right pairs around .5, others around 1.5."""
    correct, incorrect = [0] * 100, [0] * 100
    correct[25], incorrect[75] = 10 * seed, 40 * seed
    both = {"auc": auc, "auc_interval": [auc - 0.01, auc + 0.02], "overlap": 1 - auc}
    both["overlap_interval"] = [1 - auc - 0.01, 1 - auc + 0.01]
    lost = {"auc_lost": 0.0123, "auc_lost_interval": [0.01, 0.02]}
    counts = {"queries": 60, "entities": 20, "wrong_pairs": 1200, "equal_pairs": 7}
    means = {"mean_correct": 0.5, "mean_incorrect": 1.5}
    answers = both | counts | means | lost | {"correct": correct, "incorrect": incorrect}
    return {"candidates": 50, "sharing": 12, "answers": answers | {"with_equal_texts": both | {"auc": auc - 0.0123}}}


def _ranks(generator: np.random.Generator, count: int, policy: int, skill: float) -> dict[str, np.ndarray]:
    triples = np.arange(count)[: count - 4 * policy]
    candidates = CANDIDATES - 5 * policy
    optimistic = np.minimum(generator.geometric(np.clip(0.02 + 0.2 * skill, 0, 1), 2 * len(triples)), candidates)
    tied = generator.random(len(optimistic)) < (0.1 if skill == SKILL["transe"] else 0.0)
    return {
        "triple": np.tile(triples, 2).astype(np.int32),
        "side": np.repeat([0, 1], len(triples)).astype(np.uint8),
        "protocol": np.zeros(2 * len(triples), dtype=np.uint8),
        "unseen": np.full(2 * len(triples), policy, dtype=np.uint8),
        "optimistic": optimistic.astype(np.int32),
        "pessimistic": np.minimum(optimistic + tied, candidates).astype(np.int32),
        "candidates": np.full(2 * len(triples), candidates, dtype=np.int32),
    }


def _records(split: str, policy: int, table: dict[str, np.ndarray]) -> list[dict]:
    shared = {"split": split, "candidates": "all", "unseen": ("keep", "drop")[policy], "filter": "standard"}
    shared["n_candidates"] = CANDIDATES - 5 * policy
    records = []
    for side in ("head", "tail", "both"):
        mask = (
            np.ones(len(table["side"]), dtype=bool) if side == "both" else table["side"] == ("head", "tail").index(side)
        )
        optimistic, pessimistic = (table[name][mask].astype(float) for name in ("optimistic", "pessimistic"))
        whole = shared | {"side": side, "breakdown": None, "n_triples": len(np.unique(table["triple"]))}
        for ties, rank in (
            ("optimistic", optimistic),
            ("pessimistic", pessimistic),
            ("realistic", (optimistic + pessimistic) / 2),
        ):
            records += [whole | {"ties": ties, "metric": m, "value": v} for m, v in _metrics(rank, table).items()]
        tie_rate = float(np.mean(optimistic != pessimistic))
        records.append(whole | {"ties": "realistic", "metric": "tie_rate", "value": tie_rate})
    if split == "test" and policy == 0:
        groups = [f"relation={label}" for label in RELATIONS] + [
            "category=1-N",
            "degree=0",
            "degree=5-19",
            "degree=100+",
        ]
        for index, name in enumerate(groups):
            part = {key: array[index::9] for key, array in table.items()}
            rank = (part["optimistic"] + part["pessimistic"]) / 2
            values = _metrics(rank, part)
            for metric in ("mrr", "hits@10"):
                key = {"side": "both", "ties": "realistic", "metric": metric, "breakdown": name, "n_triples": len(rank)}
                records.append(shared | key | {"value": values[metric]})
    return records


def _metrics(rank: np.ndarray, table: dict[str, np.ndarray]) -> dict[str, float]:
    expected = float(np.mean((table["candidates"] + 1) / 2))
    return {
        "mrr": float(np.mean(1 / rank)),
        **{f"hits@{k}": float(np.mean(rank <= k)) for k in (1, 3, 10)},
        "mr": float(np.mean(rank)),
        "amri": 1 - (float(np.mean(rank)) - 1) / (expected - 1),
        "mrr_query_macro": float(np.mean(1 / rank)),
    }

"""Ask a trained model: the best tails of (head, relation, ?), or the best heads of (?, relation, tail)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kelbench.base.errors import UserError, nearest
from kelbench.config.experiment import Run
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.load import Model, load_model
from kelbench.encoders.sparse import SparseTables
from kelbench.ranking.known_answers import Side
from kelbench.scoring import similarity_matrix


def predict_table(
    run: Run,
    seed: int | None,
    prepared: Path,
    results: Path,
    head: str | None,
    relation: str,
    tail: str | None,
    top: int,
) -> str:
    """Rank, score, label and, for an answer that some split holds, the split; tab-separated, a line an answer.

    Exactly one of `head` and `tail` is given. The candidates are those of the test split.

    Raises:
        UserError: a label, the seed or the model is unknown.
    """
    dataset = PreparedDataset(prepared / run.dataset)
    model = load_model(run.seed_folder(results, run.chosen_seed(seed)) / "model.safetensors", dataset)
    side: Side = "tail" if head is not None else "head"
    candidates = dataset.candidates(dataset.protocols("test")[0])
    labels = dataset.entity_labels()
    given = entity_id(head if head is not None else tail or "", labels, candidates, run.dataset)
    asked = relation_id(relation, dataset)
    scores = _scores(model, side, given, asked, candidates)
    known = known_answers(dataset, side, given, asked)
    lines = ["rank\tscore\tanswer\tknown in"]
    for rank, position in enumerate(np.argsort(-scores, kind="stable")[:top], start=1):
        answer = int(candidates[position])
        lines.append(f"{rank}\t{scores[position]:.4f}\t{labels[answer]}\t{known.get(answer, '')}")
    return "\n".join(lines)


def _scores(
    model: Model,
    side: Side,
    given: int,
    asked: int,
    candidates: np.ndarray,
) -> np.ndarray:
    """The score of each candidate, `(n,)`."""
    if isinstance(model, SparseTables):
        query = model.sparse_queries(side, np.array([given]), np.array([asked]))
        return np.asarray((query @ model.sparse_candidates(candidates).T).toarray()[0])
    with torch.no_grad():
        queries = model.queries(side, torch.tensor([given]), torch.tensor([asked]))
        rows = model.candidates(torch.from_numpy(candidates))
        return np.asarray(similarity_matrix(model.similarity, queries, rows)[0].numpy())


def entity_id(label: str, labels: list[str], candidates: np.ndarray, dataset: str) -> int:
    """The id of the entity with that label among the candidates' space.

    Raises:
        UserError: there is none.
    """
    ids = {labels[candidate]: int(candidate) for candidate in candidates}
    if label not in ids:
        raise UserError(f"{dataset}: no entity {label!r}{nearest(label, list(ids)) if len(ids) <= 100_000 else ''}")
    return ids[label]


def relation_id(label: str, dataset: PreparedDataset) -> int:
    """The id of the relation with that label.

    Raises:
        UserError: there is none.
    """
    labels = dataset.relation_labels()
    if label not in labels:
        raise UserError(f"{dataset.name}: no relation {label!r}{nearest(label, labels)}")
    return labels.index(label)


def known_answers(dataset: PreparedDataset, side: Side, given: int, relation: int) -> dict[int, str]:
    """Answers that the data hold, and the first part that holds each: train, support, valid or test."""
    parts = {
        "train": dataset.triples("train"),
        "support": dataset.support("test"),
        "valid": dataset.triples("valid"),
        "test": dataset.triples("test"),
    }
    asked = (0, 2) if side == "tail" else (2, 0)
    known: dict[int, str] = {}
    for name, triples in parts.items():
        match = (triples[:, asked[0]] == given) & (triples[:, 1] == relation)
        for answer in triples[match, asked[1]].tolist():
            known.setdefault(answer, name)
    return known

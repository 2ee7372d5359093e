"""The same vectors in a model of PyKEEN, and PyKEEN's own evaluator over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pykeen.evaluation import RankBasedEvaluator
from pykeen.models import ERModel
from pykeen.nn import Embedding
from torch import Tensor

from kelbench.config.methods import PykeenSettings
from kelbench.data.prepared import PreparedDataset
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods.pykeen_engine.baselines import make_model, training_factory
from kelbench.scoring import halves, rotation
from kelbench.training.job import TrainingJob

# Why the ranks of a method differ between the two programs although the vectors are the same.
NOTES = {
    "simple": "PyKEEN's SimplE is the mean of two DistMults; kelbench ranks by the paper's function",
    "rotate": "PyKEEN's RotatE takes the L2 norm over all parts; kelbench sums moduli as the paper's code does",
}


def settings_for(method: str, dimension: int, **changes: object) -> PykeenSettings:
    """PyKEEN's settings with what acts on vectors by default (constrainers, regularisers) turned off."""
    return PykeenSettings.model_validate(
        {
            "dimension": dimension,
            "distance": "l1" if method == "transe" else None,
            "training": "slcwa",
            "negatives_per_positive": 1,
            "loss": "cross_entropy",
            "optimizer": "adam",
            "learning_rate": 0.001,
            "batch_size": 1024,
            "epochs": 1,
            "early_stopping": {"every": 1, "patience": 1},
        }
        | changes
    )


def new_model(method: str, settings: PykeenSettings, dataset: PreparedDataset) -> ERModel:
    """PyKEEN's model for the training graph of `dataset`."""
    job = TrainingJob(dataset, method, settings, 1, torch.get_num_threads(), Path())
    return make_model(method, settings, training_factory(job, settings), seed=1)


def put(model: ERModel, method: str, tables: EmbeddingTables) -> None:
    """Copy our rows into PyKEEN's model.

    ComplEx's and RotatE's complex numbers are one representation there, RotatE's phases become points on the circle,
    and SimplE's two halves are two representations.
    """
    relation = rotation(tables.relation) if method == "rotate" else tables.relation
    for representations, rows in (
        (model.entity_representations, tables.entity),
        (model.relation_representations, relation),
    ):
        parts = halves(rows) if len(representations) == 2 else (rows,)
        for representation, part in zip(representations, parts, strict=True):
            _put(representation, part)


def _put(representation: Embedding, rows: Tensor) -> None:
    if representation.is_complex:
        rows = torch.stack(halves(rows), dim=-1)
    weight = representation._embeddings.weight
    with torch.no_grad():
        weight.copy_(rows.reshape(weight.shape))


def filtered_mrr(model: ERModel, dataset: PreparedDataset, triples: np.ndarray, batch_size: int) -> float:
    """Realistic filtered MRR of both sides by PyKEEN's evaluator.

    Args:
        model: where the vectors are.
        dataset: all of its triples are the filter, as for any test set.
        triples: int `(n, 3)`, those that are ranked.
        batch_size: PyKEEN's.
    """
    splits = ("train", "valid", "test")
    known = [torch.from_numpy(np.asarray(dataset.triples(split), dtype=np.int64)) for split in splits]  # type: ignore[arg-type]
    results = RankBasedEvaluator(filtered=True).evaluate(
        model,
        torch.from_numpy(np.ascontiguousarray(triples, dtype=np.int64)),
        batch_size=batch_size,
        additional_filter_triples=known,
        use_tqdm=False,
    )
    return float(results.get_metric("both.realistic.inverse_harmonic_mean_rank"))

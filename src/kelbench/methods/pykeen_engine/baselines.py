"""TransE, DistMult, ComplEx, RotatE and SimplE as PyKEEN has them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from pykeen.models import ComplEx, DistMult, ERModel, RotatE, SimplE, TransE
from pykeen.regularizers import Regularizer
from pykeen.triples import CoreTriplesFactory

from kelbench.config.methods import PykeenSettings
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods.pykeen_engine.comparison import compare
from kelbench.methods.pykeen_engine.export import computes, export_baseline
from kelbench.methods.pykeen_engine.run_loop import make_loss, run
from kelbench.training.job import TrainedModel, TrainingJob

MODELS: dict[str, type[ERModel]] = {
    "transe": TransE,
    "distmult": DistMult,
    "complex": ComplEx,
    "rotate": RotatE,
    "simple": SimplE,
}
# PyKEEN's embedding_dim counts complex numbers, or the numbers in each of SimplE's two vectors.
_TWO_REALS_A_DIMENSION = ("complex", "rotate", "simple")


def train(job: TrainingJob) -> TrainedModel:
    """Train one baseline.

    Raises:
        UserError: the dataset's test entities are not those of training, or training diverged.
    """
    settings = job.settings
    if not isinstance(settings, PykeenSettings):
        raise TypeError(f"expected PykeenSettings, got {type(settings).__name__}")
    job.refuse_new_entities()
    torch.set_num_threads(job.threads)
    factory = training_factory(job, settings)
    model = make_model(job.method, settings, factory, job.seed)
    trained = run(model, factory, job, settings, lambda: export_baseline(model, job.method, settings))
    trained.facts |= {
        "computes": computes(job.method, cast(EmbeddingTables, trained.tables)),
        "constrainers": constrainers(model),
        "regularizers": regularizers(model),
        "same_vectors": compare(model, job, settings),
    }
    return trained


def training_factory(job: TrainingJob, settings: PykeenSettings) -> CoreTriplesFactory:
    """The training triples with our ids. Entities that only valid or test triples have are counted, so none is dropped.

    LCWA predicts tails only; heads become tails of inverse relations.
    """
    start, stop = job.dataset.spaces["train"]
    return CoreTriplesFactory(
        mapped_triples=torch.from_numpy(np.asarray(job.dataset.triples("train"), dtype=np.int64) - [start, 0, start]),
        num_entities=stop - start,
        num_relations=job.dataset.num_relations,
        create_inverse_triples=settings.training == "lcwa",
    )


def make_model(method: str, settings: PykeenSettings, factory: CoreTriplesFactory, seed: int) -> ERModel:
    """PyKEEN's model with its initialisers; constrainers and regularisers as the settings say."""
    return MODELS[method](
        triples_factory=factory,
        embedding_dim=settings.dimension // (2 if method in _TWO_REALS_A_DIMENSION else 1),
        loss=make_loss(settings),
        random_seed=seed,
        **_defaults_turned_off(method, settings),
        **({"scoring_fct_norm": {"l1": 1, "l2": 2}[settings.distance]} if settings.distance else {}),
    )


def _defaults_turned_off(method: str, settings: PykeenSettings) -> dict[str, Any]:
    """Keywords against what acts by default: only models that have a default take the keyword None as "off"."""
    off: dict[str, Any] = {}
    if settings.constrainer == "none" and method in ("transe", "distmult"):
        off["entity_constrainer"] = None
    if settings.constrainer == "none" and method == "rotate":
        off["relation_constrainer"] = None
    if settings.regularizer == "none" and method in ("distmult", "complex"):
        off["regularizer"] = None
    return off


def constrainers(model: ERModel) -> list[str]:
    """Names of the functions that change rows after each step, sorted."""
    found = (getattr(module, "constrainer", None) for module in model.modules())
    return sorted({str(getattr(function, "__name__", function)) for function in found if function is not None})


def regularizers(model: ERModel) -> list[str]:
    """Names of the penalties that are part of the loss, sorted."""
    return sorted({type(module).__name__ for module in model.modules() if isinstance(module, Regularizer)})

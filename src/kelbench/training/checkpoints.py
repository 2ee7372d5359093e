"""Checkpoints of training: written whole or not at all, checked before use, removed when training ends."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import torch

from kelbench.base.files import sha256_bytes, write_bytes, write_text

_LOG = logging.getLogger("kelbench.training")


def save_checkpoint(path: Path, key: str, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts of them) and beside it the digest of what was written.

    Args:
        path: the checkpoint; `path.sha256` holds its digest.
        key: identifies the job; `load_checkpoint` refuses a checkpoint of another.
        state: everything that training needs to go on.
    """
    buffer = io.BytesIO()
    torch.save({"key": key, "state": state}, buffer)
    content = buffer.getvalue()
    # The old digest would not fit the new file: a kill between the two writes must not leave a pair that looks whole.
    _digest_file(path).unlink(missing_ok=True)
    write_bytes(path, content)
    write_text(_digest_file(path), sha256_bytes(content) + "\n")


def load_checkpoint(path: Path, key: str) -> dict[str, Any] | None:
    """The state of the job `key`, or None where there is no checkpoint, a damaged one or that of another job."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    digest = _digest_file(path)
    if not digest.is_file() or digest.read_text().strip() != sha256_bytes(content):
        _LOG.info("%s: damaged or unfinished checkpoint; training starts from the beginning", path)
        return None
    stored = torch.load(io.BytesIO(content), weights_only=True)
    if stored["key"] != key:
        _LOG.info("%s: checkpoint of another job (settings, data or code differ); training starts anew", path)
        return None
    state: dict[str, Any] = stored["state"]
    return state


def remove_checkpoint(path: Path) -> None:
    """Forget a checkpoint that is no longer needed."""
    path.unlink(missing_ok=True)
    _digest_file(path).unlink(missing_ok=True)


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")

"""Checkpoints of training: written whole or not at all, checked before use, removed when training ends."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kelbench.base.files import sha256_file, write_text, write_with

_LOG = logging.getLogger("kelbench.training")


def save_checkpoint(path: Path, key: str, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts of them) and beside it the digest of what was written.

    Args:
        path: the checkpoint; `path.sha256` holds its digest.
        key: identifies the job; `load_checkpoint` refuses a checkpoint of another.
        state: everything that training needs to go on.
    """
    # The old digest would not fit the new file: a kill between the two writes must not leave a pair that looks whole.
    _digest_file(path).unlink(missing_ok=True)
    write_with(path, lambda stream: torch.save({"key": key, "state": state}, stream))
    write_text(_digest_file(path), sha256_file(path) + "\n")


def load_checkpoint(path: Path, key: str) -> dict[str, Any] | None:
    """The state of the job `key`, or None where there is no checkpoint, a damaged one or that of another job.

    Its tensors are mapped from the file, not loaded.
    """
    if not path.is_file():
        return None
    digest = _digest_file(path)
    if not digest.is_file() or digest.read_text().strip() != sha256_file(path):
        _LOG.info("%s: damaged or unfinished checkpoint; training starts from the beginning", path)
        return None
    stored = torch.load(path, weights_only=True, mmap=True, map_location="cpu")
    if stored["key"] != key:
        _LOG.info("%s: checkpoint of another job (settings, data or code differ); training starts anew", path)
        return None
    state: dict[str, Any] = stored["state"]
    return state


def remove_checkpoint(path: Path) -> None:
    """Forget a checkpoint that is no longer needed."""
    path.unlink(missing_ok=True)
    _digest_file(path).unlink(missing_ok=True)


class BestWeights:
    """The weights of the best validations, on disk: in memory they would be half as much again as training needs."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def keep(self, epoch: int, weights: dict[str, Tensor]) -> None:
        """Write the weights of an epoch."""
        save_checkpoint(self._path(epoch), self.key, weights)

    def restore(self, epoch: int, weights: dict[str, Tensor]) -> bool:
        """Copy the weights of an epoch into `weights`; False where they cannot be had."""
        stored = load_checkpoint(self._path(epoch), self.key)
        if stored is None:
            return False
        for name, tensor in weights.items():
            tensor.copy_(stored[name])
        return True

    def has(self, epoch: int) -> bool:
        """Whether the weights of an epoch are there, whole."""
        return load_checkpoint(self._path(epoch), self.key) is not None

    def forget_all_but(self, *epochs: int) -> None:
        """Remove the weights of every other epoch."""
        wanted = {self._path(epoch) for epoch in epochs}
        for path in self.folder.glob("best-*.pt"):
            if path not in wanted:
                remove_checkpoint(path)

    def _path(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch}.pt"


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")

"""The processes that train together, started by torchrun; one where there is no such thing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import torch
from torch import Tensor, distributed


class Processes:
    """Sums over processes.

    Attributes:
        rank: number of this one.
        count: how many there are.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @classmethod
    def joined(cls, device: str) -> Processes:
        """Join the group that torchrun's environment speaks of; nccl for `cuda`, gloo for `cpu`."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if not distributed.is_initialized():
            # The others wait while the first validates, which may take hours.
            backend = "nccl" if device == "cuda" else "gloo"
            if backend == "nccl":
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            distributed.init_process_group(backend, timeout=timedelta(days=2))
        return cls(distributed.get_rank(), count)

    def sum_tensor(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over processes."""
        if self.count > 1:
            distributed.all_reduce(tensor)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their sums over processes."""
        if self.count > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    distributed.all_reduce(parameter.grad)

    def take_gradients_of_first(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients that every process computed whole by those of the first: equal but for rounding.

        A GPU may add in another order each time, and copies of a model that differ in the last bit drift apart.
        """
        if self.count > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    distributed.broadcast(parameter.grad, src=0)

    def any(self, flag: bool) -> bool:
        """Whether it is true in one of them."""
        if self.count == 1:
            return flag
        total = torch.tensor(float(flag), device=self._device())
        distributed.all_reduce(total)
        return bool(total > 0)

    def told_by_first(self, names: Sequence[str], compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Numbers of the given names that the first computes and tells the others, who wait."""
        if self.count == 1:
            return compute()
        numbers = torch.zeros(len(names), dtype=torch.float64, device=self._device())
        if self.rank == 0:
            computed = compute()
            numbers += torch.tensor([computed[name] for name in names], dtype=torch.float64, device=numbers.device)
        distributed.broadcast(numbers, src=0)
        return dict(zip(names, numbers.tolist(), strict=True))

    def _device(self) -> str:
        return "cuda" if distributed.get_backend() == "nccl" else "cpu"

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()

"""AdamW whose state can be saved and restored in place, and the rates of a warm-up and a decay."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Parameters, the peak of their learning rate, their weight decay.
Group = tuple[list[nn.Parameter], float, float]


def adamw(groups: Iterable[Group], betas: tuple[float, float], epsilon: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, Algorithm 2) with its state made at once; an empty group is left out.

    torch's fused step goes over each parameter once; its others go over it and its state once an operation.
    """
    named = [{"params": list(parameters), "peak": peak, "weight_decay": decay} for parameters, peak, decay in groups]
    wanted = [group for group in named if group["params"]]
    optimizer = torch.optim.AdamW(wanted, betas=betas, eps=epsilon, fused=True)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
            optimizer.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),  # where the fused step wants it
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
    return optimizer


def optimizer_tensors(optimizer: torch.optim.AdamW, parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """What AdamW remembers of each parameter, by the parameter's name."""
    return {
        f"{name}.{key}": tensor
        for name, parameter in parameters.items()
        for key, tensor in optimizer.state[parameter].items()
    }


def set_rates(optimizer: torch.optim.AdamW, step: int, total: int, warmup: float, decay: bool = True) -> None:
    """Linear rise over the first `warmup` of `total` steps, then a linear fall to 0 at the last, or the peak."""
    rising = warmup * total
    falling = (total - step) / max(1.0, total - rising) if decay else 1.0
    factor = (step + 1) / rising if step < rising else falling
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * min(1.0, factor)

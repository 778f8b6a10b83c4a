"""Optimisers by name: torch's, and the variant of RAdam that the salient-features code trained with."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from amiss.errors import UsageError


class RectifiedOnlyRAdam(torch.optim.RAdam):
    """RAdam that doesn't move until its variance can be rectified: with β₂ = 0.999 the first five steps change nothing.

    torch's RAdam makes momentum steps there. Moments are collected all the same. Source: the optimiser of
    github.com/sakurada-cnq/salient_feature_anomaly with `degenerated_to_sgd=False`.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; see `torch.optim.RAdam`."""
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            if not self._is_rectified(group):
                group["lr"] = 0.0
        loss: float | None = super().step(closure)
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate
        return loss

    def _is_rectified(self, group: dict[str, Any]) -> bool:
        """Whether ρ_t ≥ 5 at the coming step t: enough samples to know the variance."""
        beta = group["betas"][1]
        steps = [int(self.state[p]["step"]) for p in group["params"] if "step" in self.state.get(p, {})]
        t = max(steps, default=0) + 1
        return bool(2 / (1 - beta) - 1 - 2 * t * beta**t / (1 - beta**t) >= 5)


OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "radam": torch.optim.RAdam,
    "radam-rectified-only": RectifiedOnlyRAdam,
}
"""Name in a recipe → optimiser."""


def rate_share(schedule: str, step: int, steps: int) -> float:
    """Share of the learning rate at a step, 1 .. steps: 1 if `constant`, (1 + cos(π t / 1.2)) / 2 if `cosine`, and for
    `stepwise` 1, 0.1 from t = 0.4 and 0.01 from t = 0.8; t = (step - 1) / steps."""
    t = (step - 1) / steps
    if schedule == "cosine":
        return (1 + math.cos(math.pi * t / 1.2)) / 2
    if schedule == "stepwise":
        return 1.0 if t < 0.4 else 0.1 if t < 0.8 else 0.01
    return 1.0


def make_optimiser(name: str, parameters: Iterable[nn.Parameter], **settings: Any) -> torch.optim.Optimizer:
    """Build an optimiser.

    Args:
        name: key of `OPTIMISERS`.
        parameters: what it moves.
        settings: `lr`, `eps`, `weight_decay` and others of its class.

    Raises:
        UsageError: unknown name, or a setting that it doesn't have or can't take.
    """
    if name not in OPTIMISERS:
        raise UsageError(f"optimiser is {name!r}; known are {list(OPTIMISERS)}")
    try:
        return OPTIMISERS[name](parameters, **settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"optimiser {name}: {error}") from error

"""What every head is: features [B, T, D] → one score per clip, with its loss beside it.

Shape letters: B bags · T clips (or segments) of a bag · D feature dim.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class HeadOutput:
    """Scores of a batch of bags."""

    scores: Tensor
    """[B, T] anomaly score per clip in 0..1; padded clips are 0."""
    bag_score: Tensor
    """[B] anomaly score of the whole bag in 0..1."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Whatever the head's loss or a user of its internals needs, e.g. attention [B, T]."""
    logits: Tensor | None = None
    """[B, T] what the scores are the sigmoid of, where the head has that: it tells apart what float32 scores of 0 and 1
    can't. Padded clips have any value."""


@dataclass(frozen=True)
class LossTerms:
    """Named, already weighted loss terms; the loss is their sum."""

    terms: dict[str, Tensor]
    """Name → scalar, weight included."""

    @property
    def total(self) -> Tensor:
        """Scalar to minimise."""
        return torch.stack(list(self.terms.values())).sum()


class Head(nn.Module, ABC):
    """Features → scores. Takes any feature dim and any T, and honours the mask: padding changes nothing."""

    name: str
    feature_dim: int
    context: int | None = None
    """On how many clips a clip's score (in eval mode) depends, itself and those just before it; 1 = on that clip alone,
    None = on the whole bag. A camera's clips then score as in the whole video, without a window."""
    class_names: tuple[str, ...] = ()
    """What `extras["class_logits"]` [B, T, classes] of its output tells apart, `normal` first; empty = no classes."""
    fits_at_once: bool = False
    """Whether `fit_bags` trains it, instead of steps along its loss."""

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild this head: `create_head(head.name, head.feature_dim, **head.options)`."""

    @abstractmethod
    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Score a batch of bags; in training it is the stacked batch `[normal; anomalous]`.

        Args:
            features: [B, T, D] float.
            mask: [B, T] bool, True where a clip is real; None = all real.
        """

    @abstractmethod
    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """The head's training loss.

        Args:
            output: of `forward` on the stacked batch `[normal; anomalous]`.
            labels: [B] 0 = normal, 1 = anomalous, with both present; one per bag, not per crop. For a head with an
                option `classes` an anomalous bag's is the number of its class there, from 1.
            crops: crops folded into the batch (crop-minor: bag b's crops are rows b*crops .. b*crops+crops-1).
            step: training step, for schedules.
        """

    def fit_bags(self, bags: Sequence[NDArray[np.float32]], labels: NDArray[np.intp]) -> None:
        """Learn from all training bags at once, where `fits_at_once` is True; the trainer then takes no steps.

        Args:
            bags: [C, T, D] crops x clips x dim each, normalised.
            labels: [B] 0 = normal, 1 = anomalous, both present.
        """
        raise NotImplementedError(f"{type(self).__name__} is trained by steps")

    def finish(self) -> None:
        """Learn what is left to learn once training ends or pauses; nothing, by default.

        Whoever trains a head calls this before it scores or is saved, as the trainer does at each evaluation. What is
        learned lies in the state dict. A head that has learned nothing since the last call stays as it is.
        """

    def write_report(self, folder: Path) -> None:
        """Write what the trained head learned, for people, into its run directory; nothing, by default.

        Raises:
            OutputError: it can't be written.
        """


def full_mask(features: Tensor) -> Tensor:
    """[B, T] of True: every clip of `features` [B, T, D] is real. All share one value, see `is_full`."""
    return _true(features.device).expand(features.shape[:2])


def is_full(mask: Tensor) -> bool:
    """Whether every clip is real. A mask that `full_mask` made is known by its memory: no GPU is waited for."""
    return mask.data_ptr() == _true(mask.device).data_ptr() or bool(mask.all())


@cache
def _true(device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # training may use it later
        return torch.ones((), dtype=torch.bool, device=device)


def crop_mean(scores: Tensor, crops: int) -> Tensor:
    """Average scores [B*crops, ...] over crops → [B, ...]; the one place where crops meet."""
    return scores.reshape(-1, crops, *scores.shape[1:]).mean(dim=1)


def mean_logits(output: HeadOutput, crops: int) -> Tensor:
    """Logit of the crops' mean score, float64 [B*crops, T] → [B, T]: in the order of the scores.

    From the head's logits where it has them: ln Σ σ(z) - ln Σ σ(-z), which no float rounds to 0 or 1. Otherwise from
    its scores; those that are 0 or 1 have the logit of the float32 numbers next to them.
    """
    if output.logits is not None:
        z = output.logits.double().reshape(-1, crops, output.logits.shape[1])
        return F.logsigmoid(z).logsumexp(dim=1) - F.logsigmoid(-z).logsumexp(dim=1)
    limits = torch.finfo(torch.float32)
    return torch.logit(crop_mean(output.scores.double(), crops).clamp(limits.tiny, 1 - limits.eps / 2))


def bounded(features: Tensor) -> Tensor:
    """Features clamped to ±10⁴, far beyond any real one, so that products and squares of them stay finite."""
    return features.clamp(-1e4, 1e4)

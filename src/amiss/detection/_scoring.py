"""What a detector's scores are made of beside its head's: the change around a clip, the level of its video, smoothing.

Works with any head: it takes the head's logits and the rows that the head saw.

Source: docs/how-to/plug-ins.md, where their worth was measured.

Shape letters: T clips · C crops · D feature dim.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from amiss.heads import change_around, full_mask, product_logit, top_quarter_mean
from amiss.settings import SmoothingForm

Scale = tuple[float, Annotated[float, Field(gt=0)]]
"""Mean and standard deviation that something has in training videos."""


@dataclass(frozen=True)
class Scoring:
    """How logits of a head become those of a detector; by default they are the same.

    With `change` or `level` a score is the product of up to three sigmoids: of the head's logit, of how much changes
    around the clip, and of the level of the whole video, each standardised.
    """

    logit: Scale = (0.0, 1.0)
    """Of the head's logits."""
    change: Scale | None = None
    """Of the mean distance between the rows around a clip; None = it doesn't count."""
    level: Scale | None = None
    """Of the mean of the highest quarter of a video's logits; None = it doesn't count."""
    change_reach: Annotated[int, Field(ge=1)] = 3
    """Clips on each side that the change is measured over; causal: one, before it."""
    smoothing: Annotated[int, Field(ge=1)] = 1
    """Clips that a score is the mean of, with the clip in the middle (of an even number, one more lies before it);
    causal: it and those before it."""
    smoothing_form: SmoothingForm = "around"
    """See `SmoothingForm`; causal: it says nothing."""
    causal: bool = False
    """Whether nothing after a clip has part in its score; there is no level then."""

    @property
    def is_plain(self) -> bool:
        """Whether it leaves logits as they are."""
        return self.change is None and self.level is None and self.smoothing == 1

    @property
    def change_window(self) -> tuple[int, int]:
        """Clips before and after a clip that its change is measured over."""
        return (1, 0) if self.causal else (self.change_reach, self.change_reach)

    def context(self, of_head: int | None) -> int | None:
        """On how many clips a score depends, itself and those before it (see `Head.context`); None = on the whole."""
        if self.is_plain or of_head is None:
            return of_head
        if not self.causal:
            return None
        return max(of_head, 1 if self.change is None else sum(self.change_window) + 1) + self.smoothing - 1

    def changes(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """How much changes around each clip [T] of rows [C, T, D]; NaN where there is nothing to compare with."""
        x_CTD = torch.from_numpy(rows)
        return change_around(x_CTD, full_mask(x_CTD), *self.change_window).double().mean(dim=0).numpy()

    def apply(self, logits: NDArray[np.float64], changes: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Logits [T] of the head → of the detector.

        Args:
            logits: [T].
            changes: [T] of `changes`, where it counts.
        """
        if self.is_plain:
            return logits
        z = torch.from_numpy(logits)
        if self.change is not None or self.level is not None:
            parts = [_standardised(z, self.logit)]
            if self.change is not None and changes is not None:
                d = torch.from_numpy(changes)
                parts.append(_standardised(d, self.change).nan_to_num(0.0))
            if self.level is not None:
                b = top_quarter_mean(z[None], torch.ones(1, len(z), dtype=torch.bool))
                parts.append(_standardised(b, self.level).expand_as(z))
            z = product_logit(parts)
        if self.smoothing > 1:
            z = self._smoothed(z)
        return z.numpy()

    def _smoothed(self, z: Tensor) -> Tensor:
        """Logit of the mean score of a clip's window; at the ends of the clips that there are, see `SmoothingForm`."""
        form = "behind" if self.causal else self.smoothing_form
        more = self.smoothing - 1
        before = {"around": self.smoothing // 2, "behind": more, "ahead": 0, "blocks": 0}[form]
        sides = (before, -len(z) % self.smoothing if form == "blocks" else more - before)
        step = self.smoothing if form == "blocks" else 1
        not_there = 0.0 if form in ("ahead", "blocks") else -torch.inf  # log of 1 - score: of 0, or of nothing
        high, low = (
            F.pad(side, sides, value=missing).unfold(0, self.smoothing, step).logsumexp(dim=1)
            for side, missing in ((F.logsigmoid(z), -torch.inf), (F.logsigmoid(-z), not_there))
        )
        return (high - low).repeat_interleave(step)[: len(z)]


def _standardised(values: Tensor, scale: Scale) -> Tensor:
    return (values - scale[0]) / scale[1]

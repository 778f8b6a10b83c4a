"""Late fusion: each part of fused features has a head of its own, and what they say is averaged.

Side by side in one vector, a part of 2560 numbers drowns one of 171, whatever either of them knows. Here every part
learns from the labels alone; the logit of a clip is the mean of the parts' logits. On short clips of fights that was
better than any weights of the parts in one vector (docs/explanations/benchmarks.md).

Source: averaged classifiers of several kinds of features, e.g. Kittler et al., "On Combining Classifiers", TPAMI 1998
(the sum rule); of two streams, Simonyan, Zisserman, NeurIPS 2014.

Shape letters: B bags · T clips · D feature dim · N parts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.heads._base import Head, HeadOutput, LossTerms, full_mask, mean_logits
from amiss.heads._head_options import Count, Dropout, HeadOptions, HeadWithOptions


class LateFusionOptions(HeadOptions):
    """Options of `late-fusion`."""

    head: str = "pooled"
    """Registry name of the head that each part has."""
    head_options: dict[str, Any] = Field(default_factory=dict)
    """Its options, the same for every part."""
    blocks: Annotated[tuple[Count, ...], Field(strict=False)] = ()
    """How many numbers of a feature each part has, in their order; none = all of them are one part. Training fills it
    in for fused features."""
    dropout: Dropout | None = None
    """Of the parts' heads; None = theirs."""


class LateFusionHead(HeadWithOptions):
    """One head for each part of fused features; the mean of their logits."""

    name = "late-fusion"
    Options = LateFusionOptions
    settings: LateFusionOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        from amiss.heads._registry import create_head  # it knows this head, too

        super().__init__(feature_dim, **options)
        self.blocks = self.settings.blocks or (feature_dim,)
        if sum(self.blocks) != feature_dim:
            raise UsageError(
                f"head 'late-fusion': blocks are {list(self.blocks)}, {sum(self.blocks)} numbers together; a feature "
                f"has {feature_dim}"
            )
        if self.settings.head == self.name:
            raise UsageError("head 'late-fusion': head is 'late-fusion' itself; choose the head that each part has")
        given = dict(self.settings.head_options)
        if self.settings.dropout is not None:
            given["dropout"] = self.settings.dropout
        heads = [create_head(self.settings.head, size, **given) for size in self.blocks]
        self.heads = nn.ModuleList(heads)
        self.fits_at_once = heads[0].fits_at_once
        self.context = heads[0].context
        self.class_names = heads[0].class_names

    @property
    def parts(self) -> tuple[Head, ...]:
        """The head of each part, in order."""
        return tuple(self.heads)  # type: ignore[arg-type]  # it holds nothing else

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is its highest.

        `extras`: outputs, one `HeadOutput` per part; and the mean of their class_logits, where they tell classes apart.
        """
        mask = full_mask(features) if mask is None else mask
        outputs = [head(x, mask) for head, x in zip(self.parts, self._split(features), strict=True)]
        logits = torch.stack([mean_logits(output, crops=1) for output in outputs]).mean(dim=0)
        logits = logits.to(outputs[0].scores.dtype).masked_fill(~mask, torch.finfo(outputs[0].scores.dtype).min)
        scores = torch.sigmoid(logits)
        extras: dict[str, Any] = {"outputs": outputs}
        if all("class_logits" in output.extras for output in outputs):
            extras["class_logits"] = torch.stack([output.extras["class_logits"] for output in outputs]).mean(dim=0)
        return HeadOutput(scores, scores.amax(dim=1), extras, logits)

    def _split(self, features: Tensor) -> list[Tensor]:
        """Features [..., D] by part. Normalised rows have a length of about 1; rows of a part get it back."""
        parts = torch.split(features, list(self.blocks), dim=-1)
        return [part * (self.feature_dim / part.shape[-1]) ** 0.5 for part in parts]

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Sum of the parts' losses; terms of part i are called `i/…`."""
        terms: dict[str, Tensor] = {}
        for number, (head, one) in enumerate(zip(self.parts, output.extras["outputs"], strict=True), 1):
            found = head.loss(one, labels, crops=crops, step=step).terms
            terms |= {f"{number}/{name}": term for name, term in found.items()}
        return LossTerms(terms)

    def fit_bags(self, bags: Sequence[NDArray[np.float32]], labels: NDArray[np.intp]) -> None:
        """Fit each part's head to its numbers.

        Args:
            bags: [C, T, D] each.
            labels: [B] 0 = normal, 1 = anomalous, both present.
        """
        by_bag = [[part.numpy() for part in self._split(torch.from_numpy(bag))] for bag in bags]
        for head, part in zip(self.parts, zip(*by_bag, strict=True), strict=True):
            head.fit_bags(part, labels)

    def finish(self) -> None:
        """That of each part."""
        for head in self.parts:
            head.finish()

    def write_report(self, folder: Path) -> None:
        """Reports of the parts, each in a folder `part1`, `part2`, …"""
        for number, head in enumerate(self.parts, 1):
            head.write_report(folder / f"part{number}")

"""Fusion: several backbones over the same clips, features concatenated (`motion+squeezenet1_1`)."""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amiss.backbones._base import Backbone
from amiss.backbones._spec import FeatureSpec
from amiss.errors import UsageError

_SAME_RATE = 1e-6  # relative rates so near to a whole number are one
AVERAGED = "mean"
"""`pooling` of a part whose clips aren't the fusion's: the mean over its own in the same time, one or several."""


def longest_clip(specs: Sequence[FeatureSpec]) -> FeatureSpec:
    """The part whose clips span the most time, of equal ones the most frames: the clips of the fusion are its own."""
    return max(specs, key=lambda spec: (round(spec.clip_len / (spec.frame_rate or 1.0), 6), spec.clip_len))


def clips_in(clip: FeatureSpec, part: FeatureSpec) -> tuple[int, int] | None:
    """How a part sees a longer clip: of how many frames it takes one, and how many of its clips fill the time then.
    None: they don't fit.
    """
    if (clip.frame_rate is None) != (part.frame_rate is None):
        return None
    ratio = (clip.frame_rate or 1.0) / (part.frame_rate or 1.0)
    every = round(ratio)
    if every < 1 or abs(every - ratio) > _SAME_RATE or clip.clip_len % (every * part.clip_len):
        return None
    return every, clip.clip_len // (every * part.clip_len)


def views_of_part(frames_THWK: NDArray[np.uint8], clip: FeatureSpec, part: FeatureSpec) -> list[NDArray[np.uint8]]:
    """A clip of the fusion as the part's own clips, one or several."""
    fitted = clips_in(clip, part)
    assert fitted is not None, "clips_that_differ comes first"
    every, _ = fitted
    own = frames_THWK if every == 1 else np.ascontiguousarray(frames_THWK[::every])
    return [own[start : start + part.clip_len] for start in range(0, len(own), part.clip_len)]


def clips_that_differ(specs: Sequence[FeatureSpec]) -> str | None:
    """Why backbones can't run on the same clips; None = they can."""
    clip = longest_clip(specs)
    for spec in specs:
        cannot = f"{clip.backbone} and {spec.backbone} can't run on the same clips: "
        fitted = clips_in(clip, spec)
        if fitted is None or (fitted != (1, 1) and spec.pooling != AVERAGED):
            name = "clip_len" if clip.frame_rate == spec.frame_rate else "frame_rate"
            return f"{cannot}{name} is {getattr(clip, name)} and {getattr(spec, name)}"
        if fitted[1] == 1 and spec.stride * fitted[0] != clip.stride:
            return f"{cannot}stride is {clip.stride} and {spec.stride}"
        if (spec.tail == "drop") != (clip.tail == "drop"):
            return f"{cannot}one of them drops the last one"
    return None


def fused_spec(specs: Sequence[FeatureSpec]) -> FeatureSpec:
    """What the features of several backbones are, concatenated. Rows and times are those of the first.

    Raises:
        UsageError: crops that can't be repeated to fit, or rows that are segments in some and clips in others.
    """
    first = specs[0]
    crops = max(spec.crops for spec in specs)
    for spec in specs:
        if spec.crops not in (1, crops):
            raise UsageError(f"{spec.backbone} has {spec.crops} crops, another part {crops}: only one can be repeated")
        if spec.segments != first.segments:
            rows = [f"{s.segments} segments of a video" if s.segments else "clips" for s in (first, spec)]
            raise UsageError(f"rows of {first.backbone} are {rows[0]}, rows of {spec.backbone} are {rows[1]}")
    return FeatureSpec(
        backbone="+".join(spec.backbone for spec in specs),
        weights="+".join(spec.weights for spec in specs),
        dim=sum(spec.dim for spec in specs),
        clip_len=first.clip_len,
        stride=first.stride,
        tail="last" if any(spec.tail == "last" for spec in specs) else first.tail,
        frame_rate=first.frame_rate,
        crops=crops,
        segments=first.segments,
        pooling=first.pooling,
        dtype="float32" if any(spec.dtype == "float32" for spec in specs) else "float16",
        resize="by part",
        crop="by part",
        parts=tuple(specs),
    )


class FusedBackbone(Backbone):
    """Backbones whose features are concatenated. Each sees the clip at its own size: use `encode`, or an engine.

    The clips are those of the part that sees the longest time. A part with shorter clips sees as many of its own as
    fill that time, and gives the mean of their features; one of a lower rate sees every second frame, or every third.
    """

    def __init__(self, parts: Sequence[Backbone]) -> None:
        super().__init__()
        clip = longest_clip([part.spec for part in parts])
        for part in parts:
            if clips_in(clip, part.spec) not in (None, (1, 1)):
                part.spec = part.spec.with_(pooling=AVERAGED)
        if (difference := clips_that_differ([part.spec for part in parts])) is not None:
            raise UsageError(difference)
        self.networks = nn.ModuleList(parts)
        tail = fused_spec([part.spec for part in parts]).tail
        for part in parts:
            part.spec = part.spec.with_(tail=tail)  # they see the same clips
        joined = fused_spec([part.spec for part in parts])
        self.spec = joined.with_(clip_len=clip.clip_len, stride=clip.stride, frame_rate=clip.frame_rate, pooling=None)

    @property
    def parts(self) -> tuple[Backbone, ...]:
        """The backbones, in order of concatenation."""
        return tuple(self.networks)  # type: ignore[arg-type]  # it holds nothing else

    @torch.inference_mode()
    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        rows = []
        for part in self.parts:
            views = views_of_part(frames, self.spec, part.spec)
            rows.append(torch.stack([part.encode(view) for view in views]).mean(0))
        return torch.cat([row.expand(self.spec.crops, -1) for row in rows], dim=1)

    def preprocess(self, frames: NDArray[np.uint8]) -> NoReturn:
        """Not for fusions: every part has its own.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"the parts of {self.spec.backbone} see clips at their own sizes: use encode, or an engine")

    def forward(self, clips: Tensor) -> NoReturn:
        """Not for fusions: every part has its own.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"the parts of {self.spec.backbone} see clips at their own sizes: use encode, or an engine")

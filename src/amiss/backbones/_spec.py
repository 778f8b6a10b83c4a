"""What a feature is: FeatureSpec, the identity card that travels with every feature set and detector."""

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from amiss.errors import FeatureError, SpecMismatchError
from amiss.reading import check_values, shown
from amiss.video import FrameTimes

AtLeastOne = Annotated[int, Field(ge=1, le=1 << 31)]
CLIP_LEN = 16
"""Frames per clip, the field's convention since C3D."""
_RENAMED_WEIGHTS = {"sports1m-fc6": "sports1m"}  # as feature sets and detectors of before call them
_ROUNDING = 6  # decimals of a frame: half a frame is half a frame, however it was computed


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Backbone, weights and preprocessing that made a feature.

    Two specs with equal identity fields give features that can be exchanged; other crops, stride or dtype only warn.
    """

    backbone: str
    """Registry name; fusions are joined by `+`."""
    weights: str
    """`none` (weight-free), `random`, the id of published weights, or the name of a local file."""
    weights_sha256: str | None = None
    """SHA-256 of the weight file; None = there is none, or it isn't known (features or heads that others made)."""
    dim: AtLeastOne
    """Length of a feature vector."""
    output: Literal["features", "logits"] = "features"
    """What of the network: the features before its classifier, or the classifier's logits, one per class."""
    clip_len: AtLeastOne = CLIP_LEN
    """Frames per clip."""
    stride: AtLeastOne = CLIP_LEN
    """Frames from the start of one clip to the start of the next."""
    frame_rate: Annotated[float, Field(gt=0)] | None = None
    """Frames per second that the video is resampled to; None = native."""
    sampled: AtLeastOne | None = None
    """Frames of a clip that the network sees, evenly spaced from first to last; None = all."""
    resize: str = "none"
    """Resize rule, e.g. `128x171 bilinear` (height x width)."""
    crop: str = "none"
    """Crop rule, e.g. `centre 112`."""
    crops: AtLeastOne = 1
    """Spatial views per clip: 1, 5 or 10."""
    mean: tuple[float, ...] | None = None
    """Per-channel mean that is subtracted, in units of `value_range`."""
    std: tuple[float, ...] | None = None
    """Per-channel standard deviation that is divided by, in units of `value_range`."""
    value_range: tuple[float, float] = (0.0, 1.0)
    """What the pixel values 0..255 are mapped to before mean and std."""
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    """Colour order of the network's input."""
    tail: Literal["last", "pad", "drop"] = "pad"
    """Last incomplete clip: fill it up with the frames before it, repeat its last frame, or leave it out."""
    segments: AtLeastOne | None = None
    """Rows are this many segments of the video instead of clips; None = clips."""
    pooling: str | None = None
    """Rule that pooled clips to segments."""
    dtype: Literal["float32", "float16"] = "float32"
    """Storage type of the values."""
    preset: str = "default"
    """Name of the preprocessing preset."""
    parts: tuple["FeatureSpec", ...] = ()
    """Specs of the fused backbones, in order of concatenation."""

    IDENTITY = ("backbone", "weights", "weights_sha256", "dim", "output", "clip_len", "frame_rate", "sampled", "resize",
                "crop", "mean", "std", "value_range", "colour", "segments", "pooling")  # fmt: skip
    SOFT = ("crops", "stride", "tail", "dtype")

    @property
    def hash(self) -> str:
        """SHA-256 over all fields, as 64 hex digits."""
        return hashlib.sha256(json.dumps(self._stored(), sort_keys=True).encode()).hexdigest()

    @property
    def is_16_frames_a_row(self) -> bool:
        """Whether row i is the clip of the native frames `[16 i, 16 i + 16)`: then T rows tell of 16 T frames."""
        return (
            (self.clip_len, self.stride) == (CLIP_LEN, CLIP_LEN) and self.frame_rate is None and self.segments is None
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields and their hash, ready for JSON."""
        return {**self._stored(), "hash": self.hash}

    def _stored(self) -> dict[str, Any]:
        """The fields; `output` only where it is logits: specs of before don't have it, and keep their hash."""
        values = asdict(self) | {"parts": [part._stored() for part in self.parts]}
        if self.output == "features":
            del values["output"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "FeatureSpec") -> Self:
        """Read what `to_dict` wrote.

        Raises:
            FeatureError: a field is missing, unknown, or the stated hash doesn't fit the fields.
        """
        given = dict(values)
        stated = given.pop("hash", None)
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise FeatureError(f"{source}: unknown fields {shown(unknown)}; known are {sorted(known)}")
        try:
            check_values(cls, given)
        except ValueError as error:
            raise FeatureError(f"{source}: {error}") from None
        for name in ("mean", "std", "value_range"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        given["parts"] = tuple(cls.from_dict(part, source) for part in given.get("parts", ()))
        spec = cls(**given)
        if stated is not None and stated != spec.hash:
            raise FeatureError(
                f"{source}: hash {shown(stated, most=12)} doesn't fit the fields ({spec.hash[:12]}…): edited by hand?"
            )
        return spec.with_(weights=_RENAMED_WEIGHTS.get(spec.weights, spec.weights))

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def of_another_network(self, name: str) -> Self:
        """What such rows are where a network made them of which only the name is known."""
        kept = ("dim", "clip_len", "stride", "frame_rate", "crops", "tail", "segments", "pooling", "dtype")
        return type(self)(backbone=name, weights="unknown", **{field: getattr(self, field) for field in kept})

    @property
    def of_clips(self) -> Self:
        """What clips are before they are pooled to segments: what the backbone gives."""
        return self if self.segments is None else self.with_(segments=None, pooling=None)

    def can_pool(self, found: "FeatureSpec") -> bool:
        """Whether these are segments of a known rule, and the features found are clips, which can be pooled to them."""
        return found.segments is None and self.segments is not None and self.pooling is not None


def differing_fields(found: FeatureSpec, expected: FeatureSpec) -> list[str]:
    """Why features can't be exchanged: `field is …, not …`, also of fused parts. Empty = they can.

    Clips stand for segments of a known pooling rule: they can be pooled.
    """
    if expected.can_pool(found):
        expected = expected.of_clips
    hard = [name for name in FeatureSpec.IDENTITY if getattr(found, name) != getattr(expected, name)]
    if "weights" not in hard and None in (found.weights_sha256, expected.weights_sha256):
        hard = [name for name in hard if name != "weights_sha256"]  # published by that name, hash not on record
    if not hard and len(found.parts) == len(expected.parts):
        pairs = zip(found.parts, expected.parts, strict=True)
        return [f"{b.backbone}: {text}" for a, b in pairs for text in differing_fields(a, b)]
    hard = hard or ["parts"]
    return [f"{name} is {getattr(found, name)!r}, not {getattr(expected, name)!r}" for name in hard]


def check_same_features(found: FeatureSpec, expected: FeatureSpec, what: str) -> None:
    """Refuse features that differ in backbone, weights, dim or preprocessing; warn where crops, stride or dtype differ.

    Args:
        found: spec of the features at hand.
        expected: spec that the head was trained on.
        what: name of the features at hand, for messages.

    Raises:
        SpecMismatchError: names the fields and both values.
    """
    hard = differing_fields(found, expected)
    if hard:
        raise SpecMismatchError(
            f"{what} can't be used with this head: {'; '.join(hard)}. Extract with the head's settings"
        )
    soft = [name for name in FeatureSpec.SOFT if getattr(found, name) != getattr(expected, name)]
    if soft:
        differences = "; ".join(f"{n} is {getattr(found, n)!r}, in training {getattr(expected, n)!r}" for n in soft)
        warnings.warn(f"{what}: {differences}", stacklevel=2)


def clip_spans(spec: FeatureSpec, n_rows: int, times: FrameTimes) -> list[tuple[int, int]]:
    """The native frames `[start, end)` that each feature row covers, clipped to the video.

    Clips: row i covers frames `[i*stride, i*stride + clip_len)` at the spec's frame rate. Segments: row i of T covers
    `[i*L//T, (i+1)*L//T)`.

    Args:
        spec: how the features were made.
        n_rows: number of rows T.
        times: of the L decoded frames of the video; their rate is needed only where the spec resamples.

    Raises:
        FeatureError: the spec resamples and the rate is unknown.
    """
    n_frames = times.n_frames
    if spec.segments is not None:
        return [(i * n_frames // n_rows, (i + 1) * n_frames // n_rows) for i in range(n_rows)]
    starts = np.arange(n_rows) * spec.stride
    spans = np.stack([starts, starts + spec.clip_len], axis=1)
    if spec.frame_rate is not None:
        if times.fps is None:
            raise FeatureError(f"features at {spec.frame_rate} frames/s need the video's own frame rate; it is unknown")
        frames = times.without_gaps().frames_at(spans / spec.frame_rate)
        spans = np.rint(frames.round(_ROUNDING)).astype(np.int64)
    return [(start, end) for start, end in np.minimum(spans, n_frames).tolist()]

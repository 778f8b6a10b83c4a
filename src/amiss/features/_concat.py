"""Joining feature sets: rows of several sets side by side, as of two backbones, of RGB and flow, of picture and sound.

The first set decides how many rows a video has, and when. Each of its rows is joined with the row of every other set
that lies nearest in time (of two equally near ones the earlier): the row of the same number where both sets have the
same stride and rate. Sets may end a row of each apart, since extractors differ in what they do with a last incomplete
clip; a last row is then repeated or left out. One view (crop) is repeated where another set has several.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec, fused_spec
from amiss.errors import FeatureError, UsageError
from amiss.features._feature_set import Features, FeatureSet
from amiss.video import FrameTimes


@dataclass(frozen=True)
class JoinedVideo:
    """The rows of a video from several sets, side by side."""

    features: Features
    """[T, C, D]; T is of the first set, C the largest, D the sum."""
    n_frames: int | None
    """Of the first set that knows."""
    fps: float | None
    """Of the first set that knows, else as given."""
    times: FrameTimes | None
    """Of the first set that knows when frames are shown."""
    engine: str | None
    """What made the parts, joined by ` + `; None where none says."""


def joined_spec(sets: Sequence[FeatureSet]) -> FeatureSpec:
    """What joined features are: a fusion of the sets' backbones, in their order; parts of fusions stay apart.

    Where amiss can run all of them on the same clips, it is the spec of that fused backbone, and a head trained on
    stored features scores videos.

    Raises:
        UsageError: fewer than two sets, two of the same features, or crops or segments that can't be joined.
    """
    if len(sets) < 2:
        raise UsageError(f"{len(sets)} feature set given; two or more are joined")
    parts: dict[FeatureSpec, FeatureSet] = {}
    for features in sets:
        for part in features.spec.parts or (features.spec,):
            if part in parts:
                raise UsageError(
                    f"{parts[part].folder} and {features.folder} both say that they are {part.backbone!r} with weights "
                    f"{part.weights!r}: the same features twice? If not, import one of them again and say what it is "
                    "(amiss features import … --backbone NAME)"
                )
            parts[part] = features
    try:
        return fused_spec(list(parts))
    except UsageError as error:
        raise UsageError(f"{' and '.join(str(features.folder) for features in sets)}: {error}") from None


def join_video(sets: Sequence[FeatureSet], video_id: str, fps: float | None = None) -> JoinedVideo:
    """Join the rows of one video.

    Args:
        sets: feature sets of `joined_spec`.
        video_id: a video that is in all of them.
        fps: native frames per second of a video of which no set says it; needed only where rates differ.

    Raises:
        FeatureError: the sets end further apart than a row of each, or their rates differ and the video's is unknown.
    """
    records = [features.records[video_id] for features in sets]
    rate = next((record.fps for record in records if record.fps), fps)
    rows = [features.load(video_id) for features in sets]
    joined = [rows[0]]
    for features, theirs in zip(sets[1:], rows[1:], strict=True):
        try:
            joined.append(theirs[_nearest(sets[0].spec, len(rows[0]), features.spec, len(theirs), rate)])
        except FeatureError as error:
            raise FeatureError(f"{video_id}: {sets[0].folder} and {features.folder}: {error}") from None
    crops = max(array.shape[1] for array in joined)
    views = [np.broadcast_to(array, (len(array), crops, array.shape[2])) for array in joined]
    engines = [record.engine for record in records if record.engine]
    return JoinedVideo(
        features=np.concatenate(views, axis=2),
        n_frames=next((record.n_frames for record in records if record.n_frames), None),
        fps=rate,
        times=next((features.times(video_id) for features in sets if features.records[video_id].times_sha256), None),
        engine=" + ".join(dict.fromkeys(engines)) or None,
    )


@dataclass(frozen=True)
class _Rows:
    """When the rows of a video are, in seconds, or in native frames."""

    count: int
    step: float
    """From the start of one row to that of the next."""
    length: float
    """Of what a row is made of."""

    @classmethod
    def of(cls, spec: FeatureSpec, count: int, fps: float | None) -> "_Rows":
        rate = spec.frame_rate or fps
        if rate is None:
            raise FeatureError("their rates differ, and nobody says what that of the video is: give it with --fps")
        return cls(count, spec.stride / rate, spec.clip_len / rate)

    @property
    def end(self) -> float:
        return (self.count - 1) * self.step + self.length

    @property
    def centres(self) -> NDArray[np.floating]:
        return np.arange(self.count) * self.step + self.length / 2


def _nearest(first: FeatureSpec, n_first: int, other: FeatureSpec, n_other: int, fps: float | None) -> NDArray[np.intp]:
    """[n_first] the row of the other set that lies nearest to each row of the first."""
    if first.segments is not None:  # as many in both sets: `fused_spec` sees to it
        return np.arange(n_first)
    native = first.frame_rate is None and other.frame_rate is None
    a, b = _Rows.of(first, n_first, 1.0 if native else fps), _Rows.of(other, n_other, 1.0 if native else fps)
    if abs(a.end - b.end) >= a.step + b.step:
        unit = "native frames" if native else "seconds"
        raise FeatureError(
            f"{n_first} and {n_other} rows, which end after {a.end:.6g} and {b.end:.6g} {unit}, more than a row of "
            "each apart: these are not of the same video, or one set lacks a part of it"
        )
    if a.step == b.step:
        return np.minimum(np.arange(n_first), n_other - 1)
    middles = (b.centres[1:] + b.centres[:-1]) / 2
    return np.searchsorted(middles, a.centres - 1e-6 * b.step)  # rounding must not decide where two are equally near

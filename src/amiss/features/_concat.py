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

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError, UsageError
from amiss.features._feature_set import Features, FeatureSet
from amiss.video import FrameTimes


@dataclass(frozen=True)
class JoinedVideo:
    """The rows of a video from several sets, side by side."""

    features: Features
    """[T, C, D]; T is of the first set, C the largest, D the sum."""
    times: FrameTimes | None
    """When the native frames are shown, of the first set that knows; None = no set knows how many there are."""
    fps: float | None
    """Native frames per second, of the first set that knows, else as given."""
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
                    "(amiss features import … --called NAME)"
                )
            parts[part] = features
    try:
        from amiss.backbones import fused_spec  # with torch, which takes seconds: a wrong path is told before

        return fused_spec(list(parts))
    except UsageError as error:
        raise UsageError(f"{' and '.join(str(features.folder) for features in sets)}: {error}") from None


def join_video(sets: Sequence[FeatureSet], video_id: str, fps: float | None = None) -> JoinedVideo:
    """Join the rows of one video.

    Args:
        sets: feature sets of `joined_spec`.
        video_id: a video that is in all of them.
        fps: native frames per second, where no set says it; needed only where rates differ.

    Raises:
        FeatureError: the sets end further apart than a row of each, or their rates differ and the video's is unknown.
    """
    records = [features.records[video_id] for features in sets]
    rate = next((record.fps for record in records if record.fps), fps)
    known = [stored for features in sets if (stored := features.times(video_id)) is not None]
    uneven = [one for one in known if one.knots is not None]
    times = uneven[0] if uneven else FrameTimes(known[0].n_frames, rate) if known else None
    rows = [features.load(video_id) for features in sets]
    joined = [rows[0]]
    clock = times or FrameTimes(1, rate)
    for features, theirs in zip(sets[1:], rows[1:], strict=True):
        try:
            joined.append(theirs[_nearest(sets[0].spec, len(rows[0]), features.spec, len(theirs), clock)])
        except FeatureError as error:
            raise FeatureError(f"{video_id}: {sets[0].folder} and {features.folder}: {error}") from None
    crops = max(array.shape[1] for array in joined)
    views = [np.broadcast_to(array, (len(array), crops, array.shape[2])) for array in joined]
    engines = [record.engine for record in records if record.engine]
    return JoinedVideo(
        features=np.concatenate(views, axis=2),
        times=times,
        fps=rate,
        engine=" + ".join(dict.fromkeys(engines)) or None,
    )


def _nearest(first: FeatureSpec, n_first: int, other: FeatureSpec, n_other: int, times: FrameTimes) -> NDArray[np.intp]:
    """[n_first] the row of the other set that lies nearest to each row of the first."""
    if first.segments is not None:  # as many in both sets: `fused_spec` sees to it
        return np.arange(n_first)
    native = first.frame_rate is None and other.frame_rate is None
    if not native and times.fps is None:
        raise FeatureError("their rates differ, and nobody says what that of the video is: give it with --fps")
    a, b = (_spans(spec, n, None if native else times) for spec, n in ((first, n_first), (other, n_other)))
    step = sum(spec.stride if native else spec.stride / (spec.frame_rate or times.rate) for spec in (first, other))
    if abs(a[-1, 1] - b[-1, 1]) >= step:
        unit = "native frames" if native else "seconds"
        raise FeatureError(
            f"{n_first} and {n_other} rows, which end after {a[-1, 1]:.6g} and {b[-1, 1]:.6g} {unit}, more than a row "
            "of each apart: these are not of the same video, or one set lacks a part of it"
        )
    if (first.stride, first.frame_rate) == (other.stride, other.frame_rate):
        return np.minimum(np.arange(n_first), n_other - 1)
    middles = b.mean(axis=1)
    edges = (middles[1:] + middles[:-1]) / 2
    nearest: NDArray[np.intp] = np.searchsorted(edges, a.mean(axis=1) - 1e-6)  # rounding decides nothing between two
    return nearest


def _spans(spec: FeatureSpec, count: int, times: FrameTimes | None) -> NDArray[np.floating]:
    """[count, 2] where rows start and end, in seconds, or without times in frames."""
    starts = np.arange(count) * float(spec.stride)
    spans = np.stack([starts, starts + spec.clip_len], axis=1)
    if times is None:
        return spans
    if spec.frame_rate is not None:
        return spans / spec.frame_rate
    return np.stack([times.starts(spans[:, 0]), times.ends(spans[:, 1])], axis=1)

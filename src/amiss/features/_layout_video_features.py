"""The output folder of extractors that keep each stream of a video apart: `<video>_rgb.npy`, `<video>_flow.npy`, ….

github.com/v-iashin/video_features writes [T, D] per stream (`_rgb` and `_flow` of I3D, else the network's name), and
beside them `<video>_fps.npy`, a number, and `<video>_timestamps_ms.npy`, [T]: a time for each row. Streams are
concatenated in the order rgb, flow, others. The stride is told by rate and stamps; how long a clip is, by nothing: it
is taken to be as long as the stride. Where stamps are not those of an even rate, they become the times of frames.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from amiss.backbones import CLIP_LEN, FeatureSpec
from amiss.errors import FeatureError, UsageError
from amiss.features._axes import Axes, find_axes
from amiss.features._feature_set import Features
from amiss.features._layout_numpy import commonest_sizes, load_array, read_rows, shapes_of
from amiss.features._layouts import (
    ImportedVideo,
    Layout,
    Source,
    Unreadable,
    each,
    files_below,
    spec_of_others,
    video_ids,
)
from amiss.video import FrameTimes

_RATE, _STAMPS = "_fps", "_timestamps_ms"
_TWO_STREAMS = ("rgb", "flow")


@dataclass
class _Video:
    """The files of one video."""

    name: str
    streams: dict[str, Path] = field(default_factory=dict)
    rate: Path | None = None
    stamps: Path | None = None


def _recognises(path: Path) -> bool:
    stems = {file.stem for file in files_below(path, "*.npy")}
    rated = any(stem.endswith((_RATE, _STAMPS)) for stem in stems)
    return rated or (bool(stems) and all(stem.endswith(("_rgb", "_flow")) for stem in stems))


def _files(source: Source) -> dict[str, _Video]:
    beside = {
        file.parent / file.stem.removesuffix(ending)
        for ending in (_RATE, _STAMPS)
        for file in files_below(source.path, f"*{ending}.npy")
    }

    def split(file: Path) -> tuple[str, str]:
        for ending in (_RATE, _STAMPS):
            if file.stem.endswith(ending):
                return file.stem.removesuffix(ending), ending
        parts = file.stem.split("_")
        cuts = range(len(parts) - 1, 0, -1)
        longest = next((cut for cut in cuts if file.parent / "_".join(parts[:cut]) in beside), len(parts) - 1)
        return "_".join(parts[:longest]) or file.stem, "_".join(parts[longest:])

    found: dict[str, _Video] = {}
    for file, video_id in video_ids(source, "*.npy", lambda file: split(file)[0]).items():
        video, what = found.setdefault(video_id, _Video(video_id)), split(file)[1]
        if what == _RATE:
            video.rate = file
        elif what == _STAMPS:
            video.stamps = file
        else:
            video.streams[what] = file
    return found


def _streams(source: Source, videos: dict[str, _Video]) -> tuple[str, ...]:
    """Those that are concatenated, in order."""
    counted = Counter(stream for video in videos.values() for stream in video.streams)
    if not counted:
        raise FeatureError(f"{source.path} has rates or stamps, but no features beside them")
    there = sorted(counted, key=lambda stream: (stream not in _TWO_STREAMS, stream != "rgb", stream))
    if source.streams is not None:
        if strangers := [stream for stream in source.streams if stream not in there]:
            raise UsageError(f"{source.path} has no stream {strangers[0]!r}; it has {there}")
        return source.streams
    if len(there) > 1 and set(there) != set(_TWO_STREAMS):
        raise UsageError(f"{source.path} has streams {there}: say which are wanted, --streams {','.join(there[:2])}")
    return tuple(there)


def _axes(source: Source, videos: dict[str, _Video], streams: tuple[str, ...]) -> dict[str, Axes]:
    """The order of axes of each stream: what has as many entries as there are stamps is the clips."""
    axes: dict[str, Axes] = {}
    for stream in streams:
        of_stream = [video for video in videos.values() if stream in video.streams]
        shapes = shapes_of([video.streams[stream] for video in of_stream], 2)
        if not shapes:
            load_array(of_stream[0].streams[stream])  # says why it can't be read
            raise FeatureError(f"{source.path}: stream {stream} has no arrays [clips, dim]")
        told = Counter(order for video in of_stream if (order := _told_by_stamps(video, stream)))
        usual = told.most_common(1)[0][0] if told and source.axes is None else None
        axes[stream] = usual or find_axes(shapes, source.axes, source.path)
    return axes


def _told_by_stamps(video: _Video, stream: str) -> Axes | None:
    if video.stamps is None:
        return None
    try:
        n_stamps, shape = load_array(video.stamps).size, load_array(video.streams[stream]).shape
    except FeatureError:
        return None
    if len(shape) != 2 or (shape[0] == n_stamps) == (shape[1] == n_stamps):
        return None
    return ("clips", "dim") if shape[0] == n_stamps else ("dim", "clips")


def _spec(source: Source) -> FeatureSpec:
    videos = _files(source)
    streams = _streams(source, videos)
    axes = _axes(source, videos, streams)
    dims = []
    for stream in streams:
        shapes = shapes_of([video.streams[stream] for video in videos.values() if stream in video.streams], 2)
        dims.append(commonest_sizes(shapes, axes[stream])["dim"])
    known = {1024: "i3d"} if streams == ("rgb",) else {}
    stride = Counter(found for video in videos.values() if (found := _stride(video))).most_common(1)
    n_frames = stride[0][0] if stride else CLIP_LEN
    return spec_of_others(known, sum(dims), tail="drop", clip_len=n_frames, stride=n_frames)


def _stride(video: _Video) -> int | None:
    """Frames from one row to the next; None = nothing tells."""
    try:
        rate, stamps = _number(video.rate), _stamps(video.stamps)
    except FeatureError:
        return None
    if rate is None or stamps is None or len(stamps) < 2:
        return None
    return max(1, round(float(np.median(np.diff(stamps))) * rate / 1000))


def _number(path: Path | None) -> float | None:
    if path is None:
        return None
    array = load_array(path)
    if array.size != 1 or not 0 < float(array.reshape(-1)[0]) < 1e6:
        raise FeatureError(f"{path} is {array.shape}; expected one number above 0, frames per second")
    return float(array.reshape(-1)[0])


def _stamps(path: Path | None) -> Features | None:
    if path is None:
        return None
    stamps = load_array(path).reshape(-1)
    if not np.isfinite(stamps).all() or (np.diff(stamps) <= 0).any():
        raise FeatureError(f"{path}: times must be finite and rise")
    return stamps


def _videos(source: Source) -> Iterator[ImportedVideo | Unreadable]:
    videos = _files(source)
    streams = _streams(source, videos)
    axes = _axes(source, videos, streams)
    stride = _spec(source).stride

    def read(video: _Video) -> ImportedVideo:
        if missing := [stream for stream in streams if stream not in video.streams]:
            raise FeatureError(f"{source.path}: {video.name} has no stream {missing[0]}")
        rows = [read_rows(video.streams[stream], axes[stream]) for stream in streams]
        if any(len(part) != len(rows[0]) for part in rows):
            lengths = ", ".join(f"{video.streams[s].name} {len(part)}" for s, part in zip(streams, rows, strict=True))
            raise FeatureError(f"{source.path}: streams of {video.name} differ in length: {lengths}")
        rate, stamps = _number(video.rate), _stamps(video.stamps)
        if stamps is not None and len(stamps) != len(rows[0]):
            raise FeatureError(f"{video.stamps} has {len(stamps)} times, the features {len(rows[0])} rows")
        if (found := _stride(video)) is not None and found != stride:
            raise FeatureError(
                f"{source.path}: {video.name} has a row every {found} frames, the others every {stride}: import it "
                "into a feature set of its own"
            )
        joined = np.concatenate(rows, axis=2, dtype=np.float32)
        return ImportedVideo(video.name, joined, fps=rate, times=_times(stamps, rate, stride))

    yield from each(videos, read)


def _times(stamps_ms: Features | None, rate: float | None, stride: int) -> FrameTimes | None:
    """When frames are shown, where stamps are not those of an even rate; None = nothing is known beyond the rate.

    A stamp may stand for the start of a row's clip, or for its end: then the first one is about a stride late.
    """
    if stamps_ms is None or rate is None or len(stamps_ms) < 2:
        return None
    stamps = stamps_ms.astype(np.float64) / 1000
    steps = np.diff(stamps)
    if (np.abs(np.cumsum(steps) - stride / rate * np.arange(1, len(stamps))) <= 0.5 / rate).all():
        return None
    if 0.5 * steps[0] <= stamps[0] <= 1.5 * steps[0]:
        edges = np.concatenate([[0.0], stamps])
    else:
        edges = np.append(stamps, stamps[-1] + steps[-1]) - stamps[0]
    frames = stride * np.arange(len(edges))
    return FrameTimes(int(frames[-1]), float(frames[-1] / edges[-1]), np.stack([frames, edges], axis=1))


VIDEO_FEATURES = Layout(
    "video-features",
    "one [T, dim] .npy per video and stream, <video>_rgb.npy, <video>_flow.npy, with rates and stamps",
    _recognises,
    _spec,
    _videos,
)

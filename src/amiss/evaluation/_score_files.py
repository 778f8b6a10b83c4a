"""Score files: JSON, npz, and one flat npy in the order of RTFM's lists."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amiss.datasets import Manifest, Video
from amiss.errors import EvaluationError, VideoError
from amiss.evaluation._video_scores import CLIP_LEN, Scores, VideoScores, clip_count, fixed_spans
from amiss.files import atomic_path, write_json
from amiss.reading import check_id, load_array, load_arrays, read_json, refusing, shown
from amiss.video import FrameTimes

_SPANS, _TIMES = "/spans", "/times"  # no video id has a slash


def read_scores(path: str | os.PathLike[str], manifest: Manifest | None = None) -> Scores:
    """Read scores: `video_id → one number per clip or segment`.

    - `.json`: `{"video": [0.1, …], …}`; a video may be `{"scores": […], "spans": [[start, end], …]}` instead, and have
      `"times": [[frame, second], …]`, the knots of its FrameTimes; `clip_len` and `stride` (frames) may stand beside
      the videos.
    - `.npz`: one array per video, and `clip_len`, `stride` as scalars; `<video>/spans` is [T, 2], `<video>/times`
      [K, 2].
    - `.npy`: one flat array over all test videos in the order of RTFM's lists (anomalous videos by name, then normal
      videos by name), one number per 16 frames (the last clip padded) or one per frame of these padded clips.

    Args:
        path: file.
        manifest: needed for `.npy` only, which doesn't name the videos.

    Raises:
        EvaluationError: unreadable, another format, NaN, or for `.npy` of another length than the test videos.
    """
    file = Path(path)
    if not file.exists():
        raise EvaluationError(f"scores {file} do not exist")
    with refusing(EvaluationError, f"scores {file}"):
        match file.suffix.lower():
            case ".json":
                return _from_mapping(read_json(file, allow_nan=True), str(file))
            case ".npz":
                return _from_mapping(_nest_spans(load_arrays(file)), str(file))
            case ".npy":
                if manifest is None:
                    raise EvaluationError(f"{file} doesn't name its videos: a manifest is needed to read it")
                return _from_flat(load_array(file), manifest, str(file))
            case suffix:
                raise EvaluationError(f"{file}: scores can be .json, .npz or .npy, not {suffix!r}")


def write_scores(path: str | os.PathLike[str], scores: Scores) -> None:
    """Write scores as `.json` or `.npz`, by suffix, so that `read_scores` gives the same back.

    Raises:
        EvaluationError: another suffix.
        OutputError: the file can't be written.
    """
    file = Path(path)
    match file.suffix.lower():
        case ".json":
            write_json(file, {video_id: _as_json(video) for video_id, video in scores.items()})
        case ".npz":
            arrays: dict[str, Any] = {video_id: video.scores for video_id, video in scores.items()}
            arrays |= {i + _SPANS: np.array(v.spans, dtype=np.int64) for i, v in scores.items() if v.spans is not None}
            arrays |= {i + _TIMES: knots for i, v in scores.items() if (knots := _knots(v)) is not None}
            with atomic_path(file) as temporary:
                np.savez_compressed(temporary, **arrays)
        case suffix:
            raise EvaluationError(f"{file}: scores can be written as .json or .npz, not {suffix!r}")


def list_order(manifest: Manifest) -> tuple[Video, ...]:
    """Test videos in the order of the lists in circulation: anomalous ones by name, then normal ones by name."""
    return tuple(sorted(manifest.split("test"), key=lambda video: (-video.label, video.video_id)))


def _nest_spans(arrays: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {name: value for name, value in arrays.items() if not name.endswith((_SPANS, _TIMES))}
    for name in arrays.keys() - nested.keys():
        video_id, _, what = name.rpartition("/")
        if video_id not in nested:
            raise EvaluationError(f"there are {what} but no scores for {video_id!r}")
        if not isinstance(nested[video_id], dict):
            nested[video_id] = {"scores": nested[video_id]}
        nested[video_id][what] = arrays[name].tolist()
    return nested


def _from_mapping(raw: Any, source: str) -> Scores:
    if not isinstance(raw, Mapping):
        raise EvaluationError(f"{source} must map video ids to scores; it holds a {type(raw).__name__}")
    settings = {name: raw[name] for name in ("clip_len", "stride") if name in raw and np.ndim(raw[name]) == 0}
    values = {name: value for name, value in raw.items() if name not in settings}
    for name, value in settings.items():
        if not np.issubdtype(np.asarray(value).dtype, np.integer) or value < 1:
            raise EvaluationError(f"{source}: {name} is {shown(value)}; it must be a number of frames, 1 or more")
    if not values:
        raise EvaluationError(f"{source} has no videos")
    clip_len = int(settings.get("clip_len", CLIP_LEN))
    stride = int(settings.get("stride", clip_len))
    scores: Scores = {}
    for video_id, value in values.items():
        check_id(video_id)
        own = isinstance(value, Mapping)
        if own and ("scores" not in value or value.keys() - {"scores", "spans", "times"}):
            raise EvaluationError(
                f"{source}: {shown(video_id, quoted=False)} has {shown(sorted(value))}; it needs scores "
                "and may have spans and times"
            )
        numbers, spans = (value["scores"], value.get("spans")) if own else (value, None)
        knots = value.get("times") if own else None
        if spans is None and settings:
            spans = fixed_spans(len(numbers), clip_len, stride)
        try:
            times = None if knots is None else FrameTimes.of_knots(knots)
            scores[video_id] = VideoScores(numbers, spans, times)
        except (EvaluationError, VideoError, TypeError, ValueError) as error:
            raise EvaluationError(f"{source}: {shown(video_id, quoted=False)}: {error}") from None
    return scores


def _from_flat(values: Any, manifest: Manifest, source: str) -> Scores:
    videos = list_order(manifest)
    if unknown := [video.video_id for video in videos if video.n_frames is None]:
        raise EvaluationError(f"{source} can't be cut into videos: the manifest has no n_frames for {unknown[0]}")
    counts = [clip_count(video.n_frames or 0) for video in videos]
    clips: Any = np.ravel(values)
    if len(clips) == CLIP_LEN * sum(counts):  # frame level
        frames = clips.reshape(-1, CLIP_LEN)
        if (frames == frames[:, :1]).all():
            clips = frames[:, 0]
        else:
            counts = [CLIP_LEN * count for count in counts]
    if len(clips) != sum(counts):
        raise EvaluationError(
            f"{source} has {len(clips)} scores; the {len(videos)} test videos of {manifest.source} have {sum(counts)} "
            f"clips of {CLIP_LEN} frames ({len(clips) - sum(counts):+d})"
        )
    scores: Scores = {}
    for video, part in zip(videos, np.split(clips, np.cumsum(counts)[:-1]), strict=True):
        try:
            scores[video.video_id] = VideoScores(part[: video.n_frames])  # frames past the end are padding
        except EvaluationError as error:
            raise EvaluationError(f"{source}: {video.video_id}: {error}") from None
    return scores


def _as_json(video: VideoScores) -> Any:
    if video.spans is None:
        return video.scores.tolist()
    knots = _knots(video)
    times = {} if knots is None else {"times": knots.tolist()}
    return {"scores": video.scores.tolist(), "spans": [list(span) for span in video.spans]} | times


def _knots(video: VideoScores) -> Any:
    """When its frames are shown, where that isn't at an even rate."""
    return None if video.times is None else video.times.knots

"""Ground truth: frame labels by protocol, always generated from the manifest, never shipped.

Two vectors of UCF-Crime are in circulation as files; `ucf/rtfm-ceil16` and `ucf/wu-floor16` give them back bit by bit.
"""

import os
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Manifest, Video
from amiss.errors import EvaluationError
from amiss.evaluation._protocols import PROTOCOLS, Protocol, get_protocol
from amiss.evaluation._score_files import list_order
from amiss.evaluation._video_scores import CLIP_LEN, clip_count, name_some
from amiss.reading import load_array, refusing

Labels = NDArray[np.bool_]

# Wu's features have one clip less than floor(L / 16) for these test videos of UCF-Crime; L is a multiple of 16 for all.
WU_ONE_CLIP_LESS = frozenset(
    {"Assault006", "Burglary037", "Normal_Videos_881", "Normal_Videos_914", "RoadAccidents010", "RoadAccidents016"}
    | {"Shooting046", "Shoplifting010", "Shoplifting015"}
)


def decoded_frames(protocol: Protocol, video: Video) -> int:
    """Decoded frames of a video.

    Raises:
        EvaluationError: the manifest doesn't say.
    """
    if video.n_frames is None:
        clips = [known.id for known in PROTOCOLS.values() if known.length != "decoded"]
        raise EvaluationError(
            f"protocol {protocol.id} needs the decoded frames of every test video, but the manifest has no n_frames "
            f"for {video.video_id}: write them into it (`amiss dataset check` counts those of videos). Where scores "
            f"are one per 16 frames, these protocols need none: {', '.join(clips)}"
        )
    return video.n_frames


def ground_truth_length(protocol: Protocol, video: Video, n_scores: int | None = None) -> int:
    """Frames of a video that count under a protocol.

    Args:
        protocol: the rule.
        video: row of the manifest.
        n_scores: 16-frame clips that were scored. Wu's features sometimes lack the last whole clip: either length is
            taken from the scores; without scores it is that of his UCF-Crime features. Where the manifest doesn't say
            how many frames the video has, it is 16 for each score.
    """
    if video.n_frames is None and n_scores is not None and protocol.length != "decoded":
        return CLIP_LEN * n_scores
    n_frames = decoded_frames(protocol, video)
    whole = n_frames // CLIP_LEN
    match protocol.length:
        case "decoded":
            return n_frames
        case "ceil16":
            return CLIP_LEN * clip_count(n_frames)
        case "floor16":
            return CLIP_LEN * whole
        case "wu16":
            listed = video.video_id.removesuffix("_x264") in WU_ONE_CLIP_LESS
            less = listed if n_scores is None else n_scores == whole - 1
            return CLIP_LEN * (whole - (less and n_frames % CLIP_LEN == 0))


def ground_truth(protocol: Protocol, video: Video, length: int | None = None) -> Labels:
    """Frame labels of a video under a protocol: [length] bool, True = anomalous.

    Events past the last frame are cut off, or treated as the protocol says. Where the manifest doesn't say how many
    frames the video has, `length` does. The published vectors come out the same.
    """
    if video.n_frames is None and length is not None and protocol.length != "decoded":
        n_frames = length - (CLIP_LEN - 1 if protocol.length == "ceil16" else 0)  # its last frame is in the last clip
    else:
        n_frames = decoded_frames(protocol, video)
    length = ground_truth_length(protocol, video) if length is None else length
    labels = np.zeros(max(length, n_frames), dtype=np.bool_)
    for start, end in video.events:
        match protocol.labels:
            case "half-open":
                labels[start:end] = True
            case "inclusive":  # an event that reaches the last frame runs on through the padding
                labels[start : length if end >= n_frames else end + 1] = True
            case "one-based":
                labels[max(start - 1, 0) : end] = True
            case "repeat-last":
                labels[start:end] = True
                labels[n_frames:] = labels[n_frames - 1]
    return labels[:length]


def frame_labels(video: Video, n_frames: int) -> Labels:
    """Frame labels of a video of `n_frames` decoded frames: [n_frames] bool, True = anomalous.

    Warns where an event lies past the end; it is cut off there.
    """
    if note := past_end_note([video], [n_frames]):
        warnings.warn(note, stacklevel=2)
    labels = np.zeros(n_frames, dtype=np.bool_)
    for start, end in video.events:
        labels[start:end] = True
    return labels


def past_end_note(videos: Sequence[Video], n_frames: Sequence[int]) -> str | None:
    """Names the videos with events past their last frame (it happens in the official files); None where none has."""
    late = [
        f"{video.video_id} (event to {video.events[-1][1]}, {count} frames)"
        for video, count in zip(videos, n_frames, strict=True)
        if video.events and video.events[-1][1] > count
    ]
    if not late:
        return None
    return f"events past the last frame are cut off there in {len(late)} videos: {name_some(late)}"


def ground_truth_vector(manifest: Manifest, protocol: str) -> Labels:
    """Frame labels of all test videos, one after the other, in the order of the lists in circulation.

    Saved with `np.save`, `ucf/rtfm-ceil16` as float64 and `ucf/wu-floor16` as float32 are the published files.

    Raises:
        UsageError: unknown protocol.
        EvaluationError: no test videos, or the manifest doesn't say how many frames they have.
    """
    videos = list_order(manifest)
    if not videos:
        raise EvaluationError(f"{manifest.source} has no test videos")
    return np.concatenate([ground_truth(get_protocol(protocol), video) for video in videos])


def check_ground_truth(path: str | os.PathLike[str], manifest: Manifest, protocol: str) -> None:
    """Check that a ground-truth file (.npy, one number per frame) is what the protocol generates.

    Raises:
        EvaluationError: it isn't; names the first video that differs, by how much, and the protocol whose vector it is.
    """
    with refusing(EvaluationError, f"ground truth {path}"):
        found = np.ravel(load_array(path)) > 0
    expected = ground_truth_vector(manifest, protocol)
    if np.array_equal(found, expected):
        return
    others = [name for name in PROTOCOLS if np.array_equal(found, ground_truth_vector(manifest, name))]
    hint = f"; it is the vector of {others[0]}" if others else ""
    difference = _difference(found, expected, manifest, protocol)
    raise EvaluationError(f"ground truth {path} is not that of {protocol}: {difference}{hint}")


def _difference(found: Labels, expected: Labels, manifest: Manifest, protocol: str) -> str:
    length = f"{len(found)} frames, not {len(expected)} ({len(found) - len(expected):+d})"
    at = 0
    for video in list_order(manifest):
        want = ground_truth(get_protocol(protocol), video)
        have = found[at : at + len(want)]
        if not np.array_equal(have, want):
            counts = f"{int(have.sum())} anomalous frames, not {int(want.sum())}"
            return f"{length}, first difference in {video.video_id} ({counts})"
        at += len(want)
    return length

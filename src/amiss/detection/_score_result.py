"""What scoring a video gives: clip scores and the events in them."""

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter, ValidationError

from amiss.errors import EvaluationError, VideoError
from amiss.evaluation import VideoScores, frame_scores, runs_above
from amiss.files import write_json, write_text
from amiss.settings import problems_of
from amiss.video import FrameTimes

_MOST_PROBLEMS = 3  # that are told of one file


@dataclass(frozen=True)
class ClipScore:
    """Score of one clip over native frames [start, end)."""

    start: int
    """First frame."""
    end: int
    """Frame after the last."""
    start_s: float
    """When the first frame starts, in seconds from the video's first picture."""
    end_s: float
    """When the last one ends."""
    score: float
    """0..1."""
    class_name: str | None = None
    """What it shows if it is anomalous; None where the detector tells no classes apart."""


@dataclass(frozen=True)
class Event:
    """Frames [start, end) in which the score is at or above the threshold."""

    start: int
    """First frame."""
    end: int
    """Frame after the last."""
    start_s: float
    """When the first frame starts, in seconds from the video's first picture."""
    end_s: float
    """When the last one ends."""
    score: float
    """Largest score in the event."""
    peak_frame: int
    """Middle of the clip with the largest score."""
    peak_s: float
    """The same in seconds."""
    class_name: str | None = None
    """What it seems to be, by that clip; None where the detector tells no classes apart."""


@dataclass(frozen=True)
class ScoreResult:
    """A scored video, the JSON that `amiss detect` writes."""

    video: str
    """File or id of the video."""
    fps: float | None
    """Native frames per second, on average. None: nobody knows (only stored features are at hand), and what else is in
    seconds counts clips, or segments."""
    n_frames: int
    """Decoded frames; where nobody knows, as many as the clips hold, or the number of segments."""
    duration_s: float
    """When the last frame ends, in seconds from the first picture."""
    detector: str
    """Where the detector was loaded from."""
    threshold: float
    """From this score on a frame belongs to an event."""
    clips: tuple[ClipScore, ...]
    """In order."""
    events: tuple[Event, ...]
    """In order."""
    problem: str | None = None
    """What is missing where the video could be decoded only in part."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; classes are left out where the detector tells none."""
        values = asdict(self)
        for part in (*values["clips"], *values["events"]):
            if part["class_name"] is None:
                del part["class_name"]
        return values

    @cached_property
    def times(self) -> FrameTimes:
        """When the video's frames are shown; exact where clips begin and end."""
        return FrameTimes.of_spans(
            [(clip.start, clip.end) for clip in self.clips],
            [(clip.start_s, clip.end_s) for clip in self.clips],
            FrameTimes(self.n_frames, self.fps or self.n_frames / self.duration_s),
            self.duration_s,
        )

    @property
    def peak(self) -> float:
        """Largest clip score."""
        return max(clip.score for clip in self.clips)

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, atomically."""
        write_json(path, self.to_dict())

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line per clip: start, end (frames), start_s, end_s, score, event (0/1), and class, if any."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        classes = any(clip.class_name is not None for clip in self.clips)
        writer.writerow(["start", "end", "start_s", "end_s", "score", "event", *(["class"] if classes else [])])
        for clip in self.clips:
            times = (f"{clip.start_s:.3f}", f"{clip.end_s:.3f}")
            row = [clip.start, clip.end, *times, f"{clip.score:.6f}", int(clip.score >= self.threshold)]
            writer.writerow([*row, clip.class_name] if classes else row)
        write_text(path, buffer.getvalue())


def read_score_result(values: Mapping[str, Any], source: str) -> ScoreResult:
    """What `ScoreResult.to_dict` gave, checked.

    Args:
        values: of the JSON.
        source: the file, for messages.

    Raises:
        EvaluationError: a field is missing or makes no sense; the first few are named.
    """
    try:
        result = _READ.validate_python(_with_seconds(values))
    except ValidationError as error:
        raise EvaluationError(
            f"{source}: {'; '.join(map(str, islice(problems_of(error, BaseModel), _MOST_PROBLEMS)))}"
        ) from None
    rate = result.n_frames / max(result.duration_s, 1e-9) if result.fps is None else result.fps
    if not result.clips or result.n_frames < 1 or not 0 < rate < math.inf:
        what = f"{len(result.clips)} clips, {result.n_frames} frames at {rate:g} per second"
        raise EvaluationError(f"{source}: {what}; that is no video")
    numbers = np.array([result.threshold, *(clip.score for clip in result.clips)])
    if (bad := np.flatnonzero(~np.isfinite(numbers))).size:
        which = f"score of clip {bad[0] - 1}" if bad[0] else "threshold"
        raise EvaluationError(f"{source}: the {which} is {numbers[bad[0]]}; it must be a finite number")
    try:
        _ = result.times
    except VideoError as error:
        raise EvaluationError(f"{source}: {error}") from None
    others = [result.duration_s]
    others += [number for clip in result.clips for number in (clip.start_s, clip.end_s)]
    others += [number for e in result.events for number in (e.start_s, e.end_s, e.score, e.peak_s)]
    if not np.isfinite(others).all():
        raise EvaluationError(f"{source}: some times, or scores of events, are not finite numbers")
    return result


_READ = TypeAdapter(ScoreResult)


def _with_seconds(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Results of before don't say when clips start and end: their rate is taken as even, as it was."""
    try:
        if "duration_s" in values:
            return values
        fps, n_frames = float(values["fps"]), int(values["n_frames"])
        clips = [{**clip, "start_s": clip["start"] / fps, "end_s": clip["end"] / fps} for clip in values["clips"]]
    except (KeyError, TypeError, ValueError, ArithmeticError):  # what is wrong is said when it is checked
        return values
    return {**values, "duration_s": n_frames / fps, "clips": clips}


def clip_scores(
    scores: NDArray[np.float64],
    spans: Sequence[tuple[int, int]],
    times: FrameTimes,
    classes: Sequence[str] | None = None,
) -> tuple[ClipScore, ...]:
    """The clips of a result.

    Args:
        scores: [T] clip scores.
        spans: native frames [start, end) of each clip.
        times: of the frames.
        classes: [T] what each clip shows if it is anomalous.
    """
    names: Sequence[str | None] = classes or [None] * len(spans)
    rows = zip(spans, times.spans(spans), scores.tolist(), names, strict=True)
    return tuple(ClipScore(*frames, *seconds, score, name) for frames, seconds, score, name in rows)


def find_events(
    scores: NDArray[np.float64],
    spans: Sequence[tuple[int, int]],
    times: FrameTimes,
    threshold: float,
    classes: Sequence[str] | None = None,
) -> tuple[Event, ...]:
    """The runs of frames whose score reaches the threshold, which are also what an evaluation counts as alarms.

    Of clips that don't overlap, an AlarmTracker that has this threshold as `on` and `off`, and neither smooths nor
    merges, makes the same events live.

    Args:
        scores: [T] clip scores.
        spans: native frames [start, end) of each clip; where clips overlap, a frame has their mean score.
        times: of the frames.
        threshold: 0..1.
        classes: [T] what each clip shows if it is anomalous.
    """
    n_frames = max(end for _, end in spans)
    per_frame = frame_scores(VideoScores(scores, tuple(spans)), n_frames)
    events = []
    for start, end in runs_above(per_frame >= threshold):
        peak = max((i for i, (s, e) in enumerate(spans) if s < end and e > start), key=lambda i: scores[i])
        peak_frame = min(max(sum(spans[peak]) // 2, start), end - 1)
        (start_s, end_s), (peak_s, _) = times.spans([(start, end), (peak_frame, peak_frame + 1)])
        score, name = float(per_frame[start:end].max()), None if classes is None else classes[peak]
        events.append(Event(start, end, start_s, end_s, score, peak_frame, peak_s, name))
    return tuple(events)

"""When the frames of a video are shown: the one way between native frames and seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amiss.errors import VideoError

_SAME_S = 1e-9  # times so near to a straight line are on it: stamps are whole numbers of ticks of a microsecond or more
_EXACT_S = 1e-6  # knots give every time back as exactly as this

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """When each native frame of a video is shown, in seconds from its first picture.

    A frame is shown until the next one; the last frame before a gap (a long time without any picture) only for its own
    length, so that a gap belongs to no frame. Frames past the end follow at the average rate.

    Raises:
        VideoError: the knots can't be those of so many frames; or seconds are asked for where the rate isn't known.
    """

    n_frames: int
    """Native frames L."""
    fps: float | None
    """Native frames per second; where the rate isn't even, on average over the time without gaps. None: not known, and
    so are all seconds."""
    knots: Floats | None = None
    """[K, 2] frames and seconds between which the rate is even, from (0, 0) to (L, end); both rise or stay. Two knots
    of the same frame are a gap. None: the rate is even throughout, frame i starts at i / fps."""

    def __post_init__(self) -> None:
        """Check the knots."""
        if self.knots is None:
            return
        knots = np.asarray(self.knots, np.float64)
        right = knots.ndim == 2 and knots.shape[1:] == (2,) and len(knots) >= 2 and bool(np.isfinite(knots).all())
        if not right or (knots[0] != 0).any() or knots[-1, 0] != self.n_frames or (np.diff(knots, axis=0) < 0).any():
            raise VideoError(
                f"the times of frames have shape {knots.shape}; it must be [K, 2] rising frames and seconds, from "
                f"(0, 0) to frame {self.n_frames}"
            )
        object.__setattr__(self, "knots", knots)

    @property
    def rate(self) -> float:
        """`fps`, where it is known."""
        if not self.fps:
            raise VideoError(f"the frame rate of these {self.n_frames} frames isn't known, and so are their times")
        return self.fps

    @classmethod
    def of_frames(
        cls,
        starts_s: ArrayLike,
        end_s: float,
        fps: float,
        *,
        tolerance_s: float = 1e-3,
        gaps: Sequence[tuple[int, float]] = (),
    ) -> Self:
        """From when each frame starts.

        Args:
            starts_s: [L] seconds from the first picture, never decreasing.
            end_s: where the last one ends.
            fps: stated frames per second.
            tolerance_s: stamps are rounded: where all are as near as this to an even rate, the rate is even.
            gaps: (frame, second at which the one before it ends) of each frame after a gap.
        """
        starts = np.asarray(starts_s, np.float64)
        count = len(starts)
        edges = np.append(starts, end_s)
        measured = (count - 1) / starts[-1] if starts[-1] > 0 else fps
        for rate, is_so in ((fps, starts), (float(measured), edges)):
            if not gaps and (np.abs(is_so - np.arange(len(is_so)) / rate) <= min(tolerance_s, 0.5 / rate)).all():
                return cls(count, rate)
        bends = np.flatnonzero(np.abs(np.diff(edges, n=2)) > _SAME_S) + 1
        frames = np.unique(np.concatenate([[0], bends, [frame for frame, _ in gaps], [count]])).astype(np.int64)
        if (np.abs(np.interp(np.arange(count + 1), frames, edges[frames]) - edges) > _EXACT_S).any():
            frames = np.arange(count + 1)  # the rate drifts
        knots = np.stack([frames, edges[frames]], axis=1)
        if gaps:
            after = np.asarray(gaps, np.float64)
            # The frame before a gap needs a knot of its own: it is shown for less than until the next one.
            before = np.stack([after[:, 0] - 1, starts[after[:, 0].astype(np.int64) - 1]], axis=1)
            knots = np.unique(np.concatenate([knots, after, before]), axis=0)
        return cls(count, count / shown_s if (shown_s := _shown_s(knots)) else fps, knots)

    @classmethod
    def of_knots(cls, knots: ArrayLike) -> Self:
        """From knots alone, which tell frames and rate.

        Raises:
            VideoError: they make no sense.
        """
        array = np.asarray(knots, np.float64)
        n_frames = int(array[-1, 0]) if array.ndim == 2 and array.size and np.isfinite(array[-1, 0]) else 0
        checked = cls(n_frames, None, array)
        return cls(n_frames, n_frames / shown_s if (shown_s := _shown_s(array)) else None, checked.knots)

    @classmethod
    def of_spans(
        cls, frames: Sequence[tuple[int, int]], seconds: Sequence[tuple[float, float]], even: "FrameTimes", end_s: float
    ) -> "FrameTimes":
        """From when spans of frames start and end; in between the rate is even.

        Args:
            frames: [start, end) of each span.
            seconds: of each span.
            even: what holds where these are at its even rate.
            end_s: where the last frame ends.
        """
        if even.spans(frames) == list(seconds) and end_s == even.end_s:
            return even
        points = np.stack([np.ravel(frames), np.ravel(seconds)], axis=1)
        knots = np.unique(np.concatenate([[(0, 0)], points, [(even.n_frames, end_s)]]), axis=0)
        return cls(even.n_frames, even.fps, knots)

    @cached_property
    def end_s(self) -> float:
        """Where the last frame ends."""
        return float(self.ends(self.n_frames))

    def until(self, frame: int) -> float:
        """Seconds in which the first so many frames are shown, without gaps; past the last, as if more followed."""
        return float(self.without_gaps().ends(frame))

    def between(self, start: int, end: int) -> float:
        """Seconds from the start of one frame to the start of another."""
        if self.knots is None:
            return (end - start) / self.rate
        return float(self.starts(end) - self.starts(start))

    def starts(self, frames: ArrayLike) -> Floats:
        """Seconds at which frames start."""
        return self._at(frames, "right")

    def ends(self, frames: ArrayLike) -> Floats:
        """Seconds at which intervals `[…, frame)` end: where the frame before ends."""
        return self._at(frames, "left")

    def spans(self, spans: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
        """Native frames [start, end) → seconds [start, end)."""
        frames = np.asarray(spans, np.int64).reshape(-1, 2)
        starts, ends = self.starts(frames[:, 0]), self.ends(frames[:, 1])
        ends = np.where(frames[:, 1] > frames[:, 0], ends, starts)
        return list(zip(starts.tolist(), ends.tolist(), strict=True))

    def frames_at(self, seconds: ArrayLike) -> Floats:
        """Frames at seconds, with fractions: how much of the frame has been shown. In a gap: the frame after it."""
        at = np.asarray(seconds, np.float64)
        if self.knots is None:
            return np.asarray(at * self.rate)
        frames, edges = self.knots.T
        run = np.clip(np.searchsorted(edges, at, "right") - 1, 0, len(edges) - 2)
        length_s = edges[run + 1] - edges[run]
        share = np.divide(at - edges[run], length_s, out=np.ones(np.shape(at)), where=length_s > 0)
        within = frames[run] + share * (frames[run + 1] - frames[run])
        return np.asarray(np.where(at > edges[-1], frames[-1] + (at - edges[-1]) * self.rate, within))

    def without_gaps(self) -> "FrameTimes":
        """The same, with what comes after each gap moved to its begin."""
        if self.knots is None or not (is_gap := np.diff(self.knots[:, 0]) == 0).any():
            return self
        left_out_s = np.concatenate([[0.0], np.cumsum(np.where(is_gap, np.diff(self.knots[:, 1]), 0.0))])
        edges = np.maximum.accumulate(self.knots[:, 1] - left_out_s)
        return FrameTimes(
            self.n_frames, self.fps, np.stack([self.knots[:, 0], edges], axis=1)[np.append(True, ~is_gap)]
        )

    def _at(self, frames: ArrayLike, side: Literal["left", "right"]) -> Floats:
        at = np.asarray(frames, np.float64)
        if self.knots is None:
            return np.asarray(at / self.rate)
        knots, edges = self.knots.T
        run = np.clip(np.searchsorted(knots, at, side) - 1, 0, len(knots) - 2)
        step_s = (edges[run + 1] - edges[run]) / np.maximum(knots[run + 1] - knots[run], 1)
        within = np.where(at == knots[run + 1], edges[run + 1], edges[run] + (at - knots[run]) * step_s)
        return np.asarray(np.where(at > knots[-1], edges[-1] + (at - knots[-1]) / self.rate, within))


def _shown_s(knots: Floats) -> float:
    frames, edges = np.diff(knots, axis=0).T
    return float(edges[frames > 0].sum())

"""A file's own clock: seconds of its pictures, whatever its timestamps are."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from amiss.video.opening import video_bounds

BACK_S, AHEAD_S = 1.0, 10.0  # larger jumps of the timestamps are a clock that was reset
STATES_END = frozenset(
    {"matroska,webm", "asf", "flv"}
)  # or, as most write them, the end on a clock that may not start at 0
MOST_USUAL = 10  # times a frame's usual length; what a picture states beyond that isn't believed


def too_long() -> str:
    """Of a video that goes on beyond the bound, in words."""
    return f"it is longer than {video_bounds().max_duration_h:g} h, and AMISS_MAX_DURATION_H allows more"


class Stamped(Protocol):
    """What has the stamps of a picture, in ticks of the stream's time base."""

    @property
    def pts(self) -> int | None:
        """When it is shown."""

    @property
    def duration(self) -> int:
        """For how long, as the file says."""


@dataclass
class _State:
    """Where a clock stands."""

    first_pts: int | None = None
    origin: tuple[int, float] | None = None
    """A stamp and its second, since the clock was last reset."""
    has_begun: bool = False
    shown_s: float = 0.0
    time_s: float = 0.0
    gap_s: float = 0.0
    gaps_s: float = 0.0


class FileClock:
    """Seconds from a file's first picture, which never decrease, wherever its stamps start.

    Where a stamp is missing, or the clock was reset (it goes back, or ahead beyond the stated end), a picture follows
    the one before it.

    Args:
        container: the file.
        stream: its pictures.
        fps: their usual rate.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, fps: float) -> None:
        self.time_base = float(stream.time_base or 0)
        self.stated_s = container.duration / av.time_base if container.duration else None
        """What the header states of the duration, or libav estimates."""
        self._states_end = container.format.name in STATES_END
        self._usual_s = 1 / fps
        # FLV's length counts from when the first picture is decoded, which with B frames is before it is shown.
        depth = stream.codec_context.reorder_depth if container.format.name == "flv" else 0
        self._lead_s = depth * self._usual_s
        bounds = video_bounds()
        self._max_gap_s, self._max_s = bounds.max_gap_s, bounds.max_duration_h * 3600
        self._now = _State()

    @property
    def time_s(self) -> float:
        """Of the last picture."""
        return self._now.time_s

    @property
    def gap_s(self) -> float:
        """Before the last picture: seconds without any; 0 where they are few."""
        return self._now.gap_s

    @property
    def gaps_s(self) -> float:
        """In all, so far."""
        return self._now.gaps_s

    def state(self) -> dict[str, Any]:
        """Where it stands, ready for JSON."""
        return asdict(self._now)

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state of another clock of the same file."""
        self._now = _State(**state)

    @property
    def first_s(self) -> float:
        """The first picture's stamp."""
        return (self._now.first_pts or 0) * self.time_base

    @property
    def stated_length_s(self) -> float | None:
        """Seconds from the first picture to the end that the header states."""
        if not self.stated_s:
            return None
        if self._states_end and self.stated_s > self.first_s:
            return self.stated_s - self.first_s
        return self.stated_s - self._lead_s

    @property
    def end_s(self) -> float:
        """Where the last picture so far ends."""
        shown_s = self._now.shown_s if 0 < self._now.shown_s < MOST_USUAL * self._usual_s else self._usual_s
        return self.time_s + shown_s if self._now.has_begun else 0.0

    @property
    def is_too_long(self) -> bool:
        """Whether the last picture lies beyond the longest video that is decoded."""
        return self.time_s - self.gaps_s > self._max_s

    def at(self, picture: Stamped) -> float:
        """When the next picture is shown."""
        before_s, self._now.time_s = self.end_s, self._next_s(picture.pts)
        self._now.gap_s = self.time_s - before_s if self.time_s - before_s > self._max_gap_s else 0.0
        self._now.gaps_s += self.gap_s
        self._now.shown_s, self._now.has_begun = picture.duration * self.time_base, True
        return self.time_s

    def _next_s(self, pts: int | None) -> float:
        expected_s = self.end_s
        if pts is None or not self.time_base:
            return expected_s
        if self._now.first_pts is None:
            self._now.first_pts = pts
        if self._now.origin is None:
            self._now.origin = pts, expected_s
        time_s = self._now.origin[1] + (pts - self._now.origin[0]) * self.time_base
        is_ahead = time_s > self.time_s + AHEAD_S and time_s > (self.stated_length_s or time_s)
        if is_ahead or time_s < self.time_s - BACK_S:
            self._now.origin = pts, expected_s
            return expected_s
        return max(time_s, self.time_s)

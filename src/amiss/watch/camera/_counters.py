"""What a camera's worker counts, and how far it is."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class CameraCounters:
    """What a worker has seen since it began."""

    frames: int = 0
    """Decoded."""
    dropped_frames: int = 0
    """Left out before decoding, because the worker was too slow."""
    damaged: int = 0
    """Packets that couldn't be decoded, and a folder's files that couldn't be read or scored."""
    reconnects: int = 0
    """Times that the connection was lost, or an attempt failed."""
    stalls: int = 0
    """Times that the connection stood but gave nothing."""
    clips: int = 0
    """Made of its frames."""
    dropped_clips: int = 0
    """Left out before the engine, because it was too slow."""
    spared_clips: int = 0
    """Not run, because the scene was still."""
    failed_clips: int = 0
    """That couldn't be scored."""
    scores: int = 0
    """Clips that were scored."""
    events: int = 0
    """Events that opened."""


@dataclass(frozen=True)
class Progress:
    """How far a worker is."""

    scored_s: float | None = None
    """When it scored a clip last, or took one that is scored when those after it are there, on `time.monotonic()`;
    None: it didn't yet."""
    lag_s: float = 0.0
    """For how long the oldest picture that has come, or the oldest clip, has been waiting."""
    drift: float | None = None
    """Seconds that the camera's clock gains on ours per second; None: not known, or it has none."""


def total(a: CameraCounters, b: CameraCounters) -> CameraCounters:
    """The counters of two workers together: a new one starts at zero."""
    return CameraCounters(*(getattr(a, f.name) + getattr(b, f.name) for f in fields(CameraCounters)))

"""What an extraction would take: work, time by a measured probe, disk, money."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amiss.backbones import check_backbone_name, check_same_features
from amiss.errors import UsageError, VideoError
from amiss.features import open_feature_set
from amiss.jobs._extraction import EngineChoice
from amiss.jobs._progress import OnProgress, silent
from amiss.jobs._targets import video_files
from amiss.storage import located
from amiss.video import StatedLength, read_stated

if TYPE_CHECKING:
    from amiss.backbones import FeatureSpec
    from amiss.engines import Engine

_LOOKED_AT = 300  # videos, spread over all; the rest is taken to be like them
_PROBE_S = 20.0
_NPY_HEADER = 128  # bytes


@dataclass(frozen=True, kw_only=True)
class ExtractionPlan:
    """What an extraction would take."""

    videos: int
    """To be extracted."""
    already_there: int
    """In the feature set, complete."""
    unreadable: int
    """Of those looked at."""
    looked_at: int
    """Videos whose headers were read; the others are taken to be like them."""
    hours: float
    """Of video."""
    clips: int
    engine: str
    """Of the probe, in words."""
    clips_per_s: float | None
    """That one worker does: measured on this machine, decoding included; None = nothing is left to do."""
    workers: int
    seconds: float
    """It takes, with so many workers that are each as fast as the one that was measured."""
    disk_bytes: int
    """Of the features."""
    price: float | None
    """Of all workers for that time; None = no price was given."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class _EnoughError(Exception):
    """The probe has seen enough."""


def plan_extraction(
    targets: Sequence[str | os.PathLike[str]],
    choice: EngineChoice,
    out: str | os.PathLike[str],
    *,
    workers: int = 1,
    price_per_hour: float | None = None,
    picture_fps: float | None = None,
    on_note: Callable[[str], object] = lambda _: None,
    on_progress: OnProgress = silent,
) -> ExtractionPlan:
    """Say what an extraction would take. Nothing is written.

    Headers say how long videos are, and some videos are extracted for 20 s, on this machine and thrown away.

    Args:
        targets: see `extract_targets`.
        choice: what extracts.
        out: the feature set; what is in it is left out.
        workers: that are to work at once.
        price_per_hour: of one worker, in any money.
        picture_fps: see `video_files`, as the next.
        on_note: told what is left out.
        on_progress: told videos looked at, of how many, and which one it is.

    Raises:
        UsageError, VideoError, ManifestError, WeightsError, FeatureError: as `extract_targets`.
    """
    if workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    if price_per_hour is not None and not price_per_hour >= 0:
        raise UsageError(f"the price per hour is {price_per_hour:g}; it can't be below 0")
    check_backbone_name(choice.backbone)
    videos = video_files(targets, on_note, picture_fps)
    choice.check()
    backbone = choice.create_backbone()
    spec = backbone.spec
    done = _done(located(out), spec)
    todo = {video_id: path for video_id, path in videos.items() if video_id not in done}
    engine = choice.create_engine(backbone)
    lengths, unreadable = _lengths(todo, on_progress)
    share = len(todo) / (len(lengths) + unreadable) if todo else 0.0
    clips = round(share * sum(_clips(one, spec) for one in lengths.values()))
    if lengths:
        on_progress(len(lengths), len(lengths), "videos looked at; measuring how fast this machine is")
    rate = _probe(todo, lengths, engine) if lengths else None
    seconds = clips / rate / workers if rate else 0.0
    row = spec.crops * spec.dim * np.dtype(spec.dtype).itemsize
    return ExtractionPlan(
        videos=len(todo),
        already_there=len(videos) - len(todo),
        unreadable=unreadable,
        looked_at=len(lengths) + unreadable,
        hours=share * sum((one.n_frames or 0) / one.fps for one in lengths.values()) / 3600,
        clips=clips,
        engine=engine.description,
        clips_per_s=rate,
        workers=workers,
        seconds=seconds,
        disk_bytes=clips * row + len(todo) * _NPY_HEADER,
        price=None if price_per_hour is None else price_per_hour * workers * seconds / 3600,
    )


def _done(out: Path, spec: FeatureSpec) -> set[str]:
    if not (out / "spec.json").is_file():
        return set()
    stored = open_feature_set(out)
    check_same_features(stored.spec, spec, str(out))
    return stored.ids_here()


def _lengths(videos: Mapping[str, Path], on_progress: OnProgress) -> tuple[dict[str, StatedLength], int]:
    """Of some of the videos, and how many of these can't be read."""
    ids = list(videos)
    chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _LOOKED_AT)).round().astype(int))]
    lengths: dict[str, StatedLength] = {}
    for number, video_id in enumerate(chosen):
        on_progress(number, len(chosen), video_id)
        with suppress(VideoError):
            lengths[video_id] = read_stated(videos[video_id])
    return lengths, len(chosen) - len(lengths)


def _clips(length: StatedLength, spec: FeatureSpec) -> int:
    n_frames = length.n_frames or 0
    if spec.frame_rate is not None:
        n_frames = round(n_frames / length.fps * spec.frame_rate)
    return -(-n_frames // spec.stride)


def _probe(videos: Mapping[str, Path], lengths: Mapping[str, StatedLength], engine: Engine) -> float | None:
    """Clips per second, from the first clip on: what comes before is done once."""
    from amiss.features import extract_videos

    by_length = sorted(lengths, key=lambda video_id: lengths[video_id].n_frames or 0)
    middle = by_length[len(by_length) // 2 :] + by_length[: len(by_length) // 2]  # from the median on
    done: dict[str, float] = {}
    began: list[tuple[float, float]] = []  # second, clips so far

    def on_progress(video_id: str, share: float) -> None:
        done[video_id] = share * _clips(lengths[video_id], engine.spec)
        if not began:
            began.append((time.monotonic(), sum(done.values())))
        elif time.monotonic() - began[0][0] > _PROBE_S:
            raise _EnoughError

    with suppress(_EnoughError):
        for _ in extract_videos([(video_id, videos[video_id]) for video_id in middle], engine, on_progress):
            pass
    if not began:
        return None
    return max(sum(done.values()) - began[0][1], 1.0) / max(time.monotonic() - began[0][0], 1e-3)

"""Reviewed events and plain footage → labelled bags: a manifest, and features of a detector's kind."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from amiss.datasets import Manifest, Split, Video, write_manifest
from amiss.errors import UsageError
from amiss.features import open_feature_set
from amiss.jobs import OnProgress, extract, silent, video_files
from amiss.watch._event import clip_parts
from amiss.watch.store import Archive, EventQuery, StoredEvent
from amiss.watch.teach._event_export import walk_events

if TYPE_CHECKING:
    from amiss.detection import Detector

HELD_OUT = 0.3
"""Share of groups whose bags judge detectors and are never learned from."""
_LABELS = {"confirmed": 1, "false-alarm": 0}


@dataclass(frozen=True)
class BagReport:
    """What was written."""

    manifest: Path
    features: Path
    confirmed: int
    """Anomalous bags: confirmed events."""
    false_alarms: int
    """Normal bags: false alarms …"""
    plain: int
    """… and plain footage."""
    held_out: int
    """Of all these, bags that only judge."""
    unsure: int
    """Events that nobody could tell what they were; left out."""
    without_clip: tuple[str, ...]
    """Reviewed events whose clip is gone, and whose features were never made; left out."""
    failed: dict[str, str]
    """Bag → why its video can't be read; left out."""

    @property
    def n_bags(self) -> int:
        """In the manifest."""
        return self.confirmed + self.false_alarms + self.plain


def export_reviews(
    archive: Archive,
    media: Path,
    detector: Detector,
    out: Path,
    *,
    weights: Path | None = None,
    cameras: Sequence[str] | None = None,
    plain: Sequence[Path] = (),
    held_out: float = HELD_OUT,
    on_progress: OnProgress = silent,
) -> BagReport:
    """Write `manifest.csv` and `features/`: a bag per reviewed event, anomalous where it was confirmed.

    Features that are there already are kept, so the next export makes only what is new, and features outlast the
    clips. Bags of one camera and day, or of one file, are one group. Whether a group is held out depends on its name
    alone: it is so, or isn't, in every export, so no detector ever learns from what a later one is judged by.

    Args:
        archive: of events and reviews.
        media: folder of the clips.
        detector: whose backbone makes the features.
        out: folder, new or of an earlier export.
        weights: file of the backbone's weights; None = found by their name.
        cameras: events of these alone.
        plain: videos, or folders of them, in which nothing happens: normal bags.
        held_out: share of groups that only judge, 0 to 1.
        on_progress: told videos done, of how many, and which one it is.

    Raises:
        UsageError: nothing was reviewed, or nothing of it can be read any more.
        StoreError: the database can't be had.
        FeatureError: `out` holds features of another detector's kind.
        WeightsError: the backbone's weights are missing.
        OutputError: it can't be written.
    """
    features = out / "features"
    wanted: dict[str, Video] = {}
    gone: dict[str, Video] = {}
    unsure = 0
    names = None if cameras is None else tuple(cameras)
    for stored in walk_events(archive, EventQuery(cameras=names, order="oldest", limit=1000)):
        if stored.verdict == "unsure":
            unsure += 1
        if stored.verdict not in _LABELS:
            continue
        bag = _bag(stored, media, held_out)
        (wanted if bag.path is not None else gone)[bag.video_id] = bag
    for name, path in video_files(list(plain)).items() if plain else ():
        group = f"plain/{name}"
        wanted[f"plain__{name}"] = Video(
            video_id=f"plain__{name}", split=_split(group, held_out), label=0, path=path, group=group
        )
    if not wanted and not gone:
        raise UsageError("no event was confirmed or called a false alarm, and no plain footage is given: review first")
    files = {video_id: bag.path for video_id, bag in wanted.items() if bag.path is not None}
    report = extract(files, detector.prepare(weights), features, on_progress)
    there = open_feature_set(features)
    bags = [bag for bag in (*wanted.values(), *gone.values()) if bag.video_id in there]
    if not bags:
        why = next(iter(report.failed.values()), "their clips are gone, and no features of them were kept")
        raise UsageError(
            f"nothing is left of {len(wanted) + len(gone)} reviewed events and files of plain footage ({why}): review "
            "events whose clips are there, or give plain footage"
        )
    write_manifest(Manifest(tuple(bags), "reviews"), out / "manifest.csv")
    n_plain = sum(bag.video_id.startswith("plain__") for bag in bags)
    return BagReport(
        manifest=out / "manifest.csv",
        features=features,
        confirmed=sum(bag.label == 1 for bag in bags),
        false_alarms=sum(bag.label == 0 for bag in bags) - n_plain,
        plain=n_plain,
        held_out=sum(bag.split == "test" for bag in bags),
        unsure=unsure,
        without_clip=tuple(video_id for video_id in gone if video_id not in there),
        failed=report.failed,
    )


def _bag(stored: StoredEvent, media: Path, held_out: float) -> Video:
    """Of an event; its path is None where the clip is gone.

    A clip in parts counts by its first: with the seconds before the event, its beginning, and mostly its peak.
    """
    event = stored.event
    parts = [] if event.clip is None else clip_parts(media / event.clip)
    group = event.file if event.file is not None else f"{event.started:%Y-%m-%d}"
    label = _LABELS[stored.verdict or ""]
    bag = Video(
        video_id=event.event_id,
        split="train",
        label=label,
        path=parts[0].absolute() if parts else None,
        class_name=stored.label if label else None,
        group=f"{event.camera}/{group}",
    )
    return replace(bag, split=_split(bag.group or "", held_out))


def _split(group: str, held_out: float) -> Split:
    place = int.from_bytes(hashlib.sha256(group.encode(errors="surrogateescape")).digest()[:8]) / 2**64
    return "test" if place < held_out else "train"

"""What a manifest holds: videos and their lengths, by split and class."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from amiss.datasets._manifest import Manifest, Video


@dataclass(frozen=True, kw_only=True)
class ClassSummary:
    """The videos of one class in one split."""

    split: str
    """train, val or test."""
    label: int
    """0 = normal, 1 = anomalous."""
    class_name: str
    """As the manifest has it, else `normal` or `anomalous`."""
    videos: int
    """How many."""
    shortest_s: float | None
    """Seconds; None, like the next three, where frame counts or rates aren't known."""
    median_s: float | None
    """Seconds."""
    longest_s: float | None
    """Seconds."""
    hours: float | None
    """Of all of them whose length is known."""
    unknown: int
    """Videos of unknown length."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def summarise(manifest: Manifest) -> tuple[ClassSummary, ...]:
    """Splits in the order train, val, test; in each the normal videos first, then classes by name."""
    groups: defaultdict[tuple[int, int, str], list[Video]] = defaultdict(list)
    splits = ("train", "val", "test")
    for video in manifest.videos:
        name = video.class_name or ("anomalous" if video.label else "normal")
        groups[splits.index(video.split), video.label, name].append(video)
    return tuple(
        _of_class(splits[split], label, name, videos) for (split, label, name), videos in sorted(groups.items())
    )


def _of_class(split: str, label: int, name: str, videos: list[Video]) -> ClassSummary:
    lengths = [v.n_frames / v.fps for v in videos if v.n_frames is not None and v.fps is not None]
    return ClassSummary(
        split=split,
        label=label,
        class_name=name,
        videos=len(videos),
        shortest_s=min(lengths) if lengths else None,
        median_s=median(lengths) if lengths else None,
        longest_s=max(lengths) if lengths else None,
        hours=sum(lengths) / 3600 if lengths else None,
        unknown=len(videos) - len(lengths),
    )

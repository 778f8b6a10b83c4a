"""What is odd about the data of a training: videos left out, and copies among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from amiss.datasets import Manifest, Video, first_names
from amiss.features import NearDuplicate

_LABELS = ("normal", "anomalous")


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What was found about training videos before they were trained on."""

    dropped: tuple[str, ...] = ()
    """Ids of videos that were left out, as they have no features."""
    copies: tuple[NearDuplicate, ...] = ()
    """Pairs of videos that show the same."""

    def remarks(self, manifest: Manifest) -> tuple[str, ...]:
        """It in words, videos named by their files."""
        said = []
        if self.dropped:
            said.append(f"left out, as they have no features: {first_names(self.dropped)}")
        pairs = [(manifest.by_id[copy.first], manifest.by_id[copy.second]) for copy in self.copies]
        both = [pair for pair in pairs if pair[0].label != pair[1].label]
        same = [pair for pair in pairs if pair[0].label == pair[1].label]
        if both:
            named = first_names(
                f"{file_of(a)} ({_LABELS[a.label]}) and {file_of(b)} ({_LABELS[b.label]})" for a, b in both
            )
            said.append(f"the same video is in both classes: {named}: which label is right?")
        if same:
            named = first_names(f"{file_of(a)} and {file_of(b)}" for a, b in same)
            said.append(f"copies of each other: {named}: one of each is enough")
        return tuple(said)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave, also through JSON."""
        return cls(dropped=tuple(values["dropped"]), copies=tuple(NearDuplicate(**copy) for copy in values["copies"]))


def file_of(video: Video) -> str:
    """A video's file, relative to where one stands if it lies below; its id where there is no file."""
    if video.path is None:
        return video.video_id
    here = Path.cwd()
    return str(video.path.relative_to(here) if video.path.is_relative_to(here) else video.path)


def keep_copies_together(manifest: Manifest, copies: Sequence[NearDuplicate]) -> Manifest:
    """The manifest with copies, and their groups, in one group: else one of them would judge the other."""
    group_of = {video.video_id: video.group for video in manifest.videos}
    for copy in copies:
        a, b = group_of[copy.first], group_of[copy.second]
        joined = a or b or f"copies of {copy.first}"
        merged = {group for group in (a, b) if group is not None}
        for video_id, group in group_of.items():
            if group in merged or video_id in (copy.first, copy.second):
                group_of[video_id] = joined
    return Manifest(tuple(replace(v, group=group_of[v.video_id]) for v in manifest.videos), manifest.source)

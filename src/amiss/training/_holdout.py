"""Which training videos are held out for model selection."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Manifest, Video
from amiss.training._recipe import SelectionSettings

_MAX_SHARE = 0.25  # of a label's training videos; more would cost the training too much


@dataclass(frozen=True)
class Split:
    """Training videos to fit on, and videos to select on."""

    fit: tuple[Video, ...]
    """Videos that weights are fitted on."""
    held_out: tuple[Video, ...]
    """Empty where there is nothing to select on."""
    note: str
    """How it was made, in words."""
    max_steps: int | None = None
    """Most training steps where held-out videos that could stop the training are missing; None = as in the recipe."""


def split_training(
    manifest: Manifest, settings: SelectionSettings, seed: int, left_out: frozenset[str] = frozenset()
) -> Split:
    """The manifest's `val` split where it has one with both labels, else a stratified part of the training videos.

    Args:
        manifest: its test videos are not looked at.
        settings: how much is held out.
        seed: which videos are.
        left_out: ids of videos that can't be used.
    """
    train = tuple(v for v in manifest.split("train") if v.video_id not in left_out)
    val = tuple(v for v in manifest.split("val") if v.video_id not in left_out)
    if {v.label for v in val} == {0, 1}:
        return Split(train, val, f"selected on the manifest's val split, {_in_words(val)}")
    ignored = f"the val split has {_in_words(val)} and is not used; " if val else ""
    if settings.holdout == 0:
        return Split(train, (), f"{ignored}nothing held out, as asked: selected = last")
    chosen = _choose(train, settings, seed)
    if chosen is None:
        note = (
            f"{ignored}{_in_words(train)} are too few, or their groups too large, to hold out {settings.min_videos} "
            f"of each label: trained for selection.fallback_steps ({settings.fallback_steps}) at most, selected = last"
        )
        return Split(train, (), note, settings.fallback_steps)
    held_out = tuple(v for v in train if v.video_id in chosen)
    fit = tuple(v for v in train if v.video_id not in chosen)
    return Split(fit, held_out, f"{ignored}selected on held-out training videos, {_in_words(held_out)}")


def _per_label(videos: Sequence[Video]) -> NDArray[np.intp]:
    """Numbers of normal and anomalous videos."""
    return np.bincount([v.label for v in videos], minlength=2)


def _in_words(videos: Sequence[Video]) -> str:
    normal, anomalous = _per_label(videos)
    return f"{normal} normal and {anomalous} anomalous videos"


def _choose(videos: Sequence[Video], settings: SelectionSettings, seed: int) -> set[str] | None:
    """Ids of the videos of whole groups, near the wanted number per label; None where that is impossible."""
    sizes = _per_label(videos)
    wanted = np.maximum(settings.min_videos, np.rint(settings.holdout * sizes))
    allowed = np.maximum(wanted, np.floor(_MAX_SHARE * sizes))
    if settings.min_videos > _MAX_SHARE * sizes.min():
        return None
    groups: dict[tuple[str, str], list[Video]] = {}
    for video in videos:
        key = ("video", video.video_id) if video.group is None else ("group", video.group)
        groups.setdefault(key, []).append(video)
    names = sorted(groups)
    order = [names[i] for i in np.random.default_rng([seed, 2]).permutation(len(names))]
    taken: set[tuple[str, str]] = set()
    total = np.zeros(2, dtype=np.intp)
    # without overshooting what is wanted; then, where groups are large, up to what is allowed
    for limit in (wanted, allowed):
        for name in order:
            count = _per_label(groups[name])
            if name not in taken and count[total < wanted].any() and (total + count <= limit).all():
                taken.add(name)
                total += count
    if (total < settings.min_videos).any():
        return None
    return {video.video_id for name in taken for video in groups[name]}

"""Other projects' feature files → feature sets. One file per layout, one line in `_MODULES`."""

import difflib
import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError, UsageError
from amiss.features._feature_set import Features, FeatureSetWriter

_MODULES = {
    "c3d-codes": "amiss.features._layout_c3d_codes",
}


@dataclass(frozen=True)
class ImportedVideo:
    """The features of one video, as a layout gives them."""

    video_id: str
    features: Features
    """[T, C, D]."""
    n_frames: int | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Layout:
    """How another project lays its features out on disk."""

    name: str
    what: str
    """One line for people."""
    recognises: Callable[[Path], bool]
    """Whether a path looks like this layout; cheap, and never raises for other files."""
    spec: Callable[[Path], FeatureSpec]
    """What the features are."""
    videos: Callable[[Path], Iterator[ImportedVideo]]
    """The videos, one at a time."""


def list_layouts() -> dict[str, str]:
    """Layouts that can be imported: name → what it is."""
    return {name: _layout(name).what for name in _MODULES}


def import_features(path: str | os.PathLike[str], out: str | os.PathLike[str], layout: str | None = None) -> int:
    """Read features in another project's layout and write them as a feature set. Videos that are there already stay.

    Args:
        path: file or folder in that layout.
        out: folder of the feature set.
        layout: one of `list_layouts()`; None = recognised.

    Returns:
        Number of videos in `path`.

    Raises:
        UsageError: unknown layout.
        FeatureError: nothing there, not recognised, damaged, or `out` holds other features.
        OutputError: `out` can't be written.
    """
    source = Path(path)
    if not source.exists():
        raise FeatureError(f"{source} does not exist")
    chosen = _layout(layout) if layout is not None else _recognise(source)
    writer = FeatureSetWriter(out, chosen.spec(source))
    count = 0
    for video in chosen.videos(source):
        count += 1
        if video.video_id not in writer.done:
            writer.add(video.video_id, video.features, video.n_frames, video.fps)
    return count


def _layout(name: str) -> Layout:
    if name not in _MODULES:
        close = difflib.get_close_matches(name, _MODULES, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"unknown layout {name!r}. {hint}Known are {list(_MODULES)}")
    layout: Layout = importlib.import_module(_MODULES[name]).LAYOUT
    return layout


def _recognise(path: Path) -> Layout:
    for layout in map(_layout, _MODULES):
        if layout.recognises(path):
            return layout
    raise FeatureError(f"{path} is in no known layout; name it with layout=, one of {list(_MODULES)}")

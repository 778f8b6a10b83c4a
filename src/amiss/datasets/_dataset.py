"""What a public dataset is to amiss: a card, and a function that makes its manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amiss.datasets._sources import BuiltDataset, Progress

WEAK_SPLIT_NOTE = "part of the official test set is in training: not comparable with one-class results"


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What a dataset is, for a table."""

    name: str
    title: str
    size: str
    """Videos, by split and label."""
    needs: str
    """What must lie below the folder, besides videos or features."""
    source: str = ""
    licence: str = ""
    defects: str = ""
    """What is known to be wrong with it."""


@dataclass(frozen=True)
class Dataset:
    """One line of the registry."""

    info: DatasetInfo
    build: Callable[[Path, str | None, Progress | None], BuiltDataset]
    """(folder, class to keep or None, progress) → its manifest, and what is wrong with what lies there."""
    picture_fps: float | None = None
    """Rate of its videos where they are published as folders of pictures."""

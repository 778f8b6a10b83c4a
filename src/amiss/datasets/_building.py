"""What the builders of public datasets share."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from amiss.datasets._annotations import Annotation, read_table
from amiss.datasets._problems import Problem
from amiss.datasets._sources import BuiltDataset, Sources
from amiss.errors import UsageError


def split_table(path: Path) -> dict[str, tuple[str, int]]:
    """`{video_id: (split, label)}` of a table with these columns."""
    return {one.video_id: (one.split or "", one.label or 0) for one in read_table(path, "split", "label")}


def one_class_split(n_train: int, n_test: int, digits: int) -> dict[str, tuple[str, int]]:
    """The split of `Train01` …, all normal, and `Test01` …, all anomalous, with so many digits."""
    train = {f"Train{n:0{digits}}": ("train", 0) for n in range(1, n_train + 1)}
    return train | {f"Test{n:0{digits}}": ("test", 1) for n in range(1, n_test + 1)}


def masks_of(sources: Sources, *patterns: str) -> dict[str, Annotation]:
    """Annotations by video, from tables of anomalous frames."""
    return {one.video_id: one for path in sources.find(*patterns) for one in read_table(path, "events")}


def joined(split: dict[str, tuple[str, int]], known: dict[str, Annotation]) -> Iterable[Annotation]:
    """The split's videos, with what annotations know of each."""
    for video_id, (part, label) in split.items():
        yield replace(known.get(video_id, Annotation(video_id)), split=part, label=label)


def without_events(name: str, built: BuiltDataset) -> BuiltDataset:
    """Add a problem where anomalous test videos have no annotated frames."""
    bare = [video.video_id for video in built.manifest.split("test") if video.label and not video.events]
    if not bare:
        return built
    text = f"{name}: {len(bare)} anomalous test videos have no annotated frames, like {bare[0]}"
    return built._replace(problems=(Problem("events", f"{text}; frame metrics take them as normal"), *built.problems))


def no_classes(name: str, class_name: str | None) -> None:
    """Refuse a class, for a dataset without classes.

    Raises:
        UsageError: one was given.
    """
    if class_name is not None:
        raise UsageError(f"{name} has no classes to choose from; leave the class out")

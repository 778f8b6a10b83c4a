"""Finding a dataset's files whatever the folder layout, and putting a manifest together."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, get_args

from amiss.datasets._annotations import Annotation
from amiss.datasets._manifest import Manifest, Split, Video, format_events
from amiss.datasets._problems import Problem, duplicates, events_beyond, first_names
from amiss.errors import ManifestError, VideoError
from amiss.files import folded
from amiss.video import check_video, list_videos, read_stated

Progress = Callable[[int, int], None]


class BuiltDataset(NamedTuple):
    """A manifest, and what was found wrong on the way to it."""

    manifest: Manifest
    problems: tuple[Problem, ...]


@dataclass
class Sources:
    """The files below a folder, by what they are."""

    root: Path
    videos: dict[str, list[Path]] = field(default_factory=dict)
    """By name without suffix."""
    features: dict[str, list[Path]] = field(default_factory=dict)
    """`.npy` files by name without the endings that extractors add (`__0`, `_i3d`, `__vggish`)."""
    others: list[Path] = field(default_factory=list)
    lost: list[Path] = field(default_factory=list)
    """Broken links, and folders that may not be read."""

    @classmethod
    def below(cls, root: Path) -> "Sources":
        """Look through a folder.

        Raises:
            ManifestError: it doesn't exist.
        """
        if not root.is_dir():
            raise ManifestError(f"dataset folder {root} does not exist")
        sources = cls(root)
        listing = list_videos(root)
        for path in listing.videos:
            sources.videos.setdefault(path.stem, []).append(path)
        sources.others += listing.others
        sources.lost += listing.broken + listing.closed
        for path in listing.others:
            if path.suffix.lower() == ".npy":
                sources.features.setdefault(re.sub(r"(__\d+|_i3d|__vggish)+$", "", path.stem), []).append(path)
        return sources

    def find(self, *patterns: str) -> list[Path]:
        """Files (not videos) whose name fits one of the patterns, case ignored; the least deep first."""
        fitting = [path for path in self.others if any(fnmatch(path.name.lower(), pattern) for pattern in patterns)]
        return sorted(fitting, key=lambda path: (len(path.parts), path))

    def need(self, dataset: str, what: str, *patterns: str) -> Path:
        """The one file that fits.

        Raises:
            ManifestError: there is none; says what was looked for.
        """
        found = self.find(*patterns)
        if not found:
            raise ManifestError(f"{dataset}: no {what} below {self.root}; looked for {' or '.join(patterns)}")
        return found[0]

    def spell_as(self, names: Iterable[str]) -> None:
        """Call videos and features as annotations do, where capitals (or the bytes of an accent) alone differ."""
        wanted = {folded(name): name for name in names}
        for files in (self.videos, self.features):
            alike: dict[str, list[str]] = {}
            for name in files:
                alike.setdefault(folded(name), []).append(name)
            for key, (name, *others) in alike.items():
                if not others and (spelled := wanted.get(key, name)) != name:
                    files[spelled] = files.pop(name)

    def part_of(self, name: str) -> Split | None:
        """`train` or `test` where the folder or a list's name says so of a video or feature file."""
        for path in (*self.videos.get(name, ()), *self.features.get(name, ())):
            folders = " ".join(path.relative_to(self.root).parts[:-1]).lower()
            if "test" in folders:
                return "test"
            if "train" in folders:
                return "train"
        return None


def assemble(
    dataset: str,
    sources: Sources,
    rows: Iterable[Annotation],
    progress: Progress | None = None,
    unwanted: Collection[str] = (),
) -> BuiltDataset:
    """Join annotations with the videos that are there.

    Headers are only a hint: where one disagrees with the annotated number of frames, the video is decoded.

    Args:
        dataset: its name, for messages.
        sources: the files.
        rows: one per video; split and label must be set.
        progress: called with (videos done, videos in all).
        unwanted: videos that are known but left out on purpose.

    Raises:
        ManifestError: there is no row.
    """
    annotations = list(rows)
    if not annotations:
        raise ManifestError(f"{dataset}: the annotations below {sources.root} name no video")
    sources.spell_as(one.video_id for one in annotations)
    paths = dict(sources.videos)
    problems: list[Problem] = []
    videos, missing = [], []
    for done, one in enumerate(annotations):
        if progress is not None:
            progress(done, len(annotations))
        found = paths.pop(one.video_id, [])
        path: Path | None = found[0].resolve() if found else None
        fps = one.fps
        if len(found) > 1:
            problems.append(
                Problem("duplicate", f"{one.video_id}: found {len(found)} times; {found[0]} is used", one.video_id)
            )
        if path is None:
            missing.append(one.video_id)
        else:
            measured, more = _look(one, path)
            problems += more
            fps = measured or fps
        problems += events_beyond(one.video_id, one.n_frames, one.events)
        if one.events and not one.label:
            text = f"{one.video_id}: it is called normal, so its events are left out: {format_events(one.events)}"
            problems.append(Problem("events", text, one.video_id))
        videos.append(_video(one, path, fps))
    problems += _about_files(dataset, sources, missing, len(annotations), paths.keys() - set(unwanted))
    in_place = {video.video_id: video.path for video in videos if video.path is not None}
    problems += [
        Problem("duplicate", f"{name}: the same file as {first}", name) for name, first in duplicates(in_place)
    ]
    return BuiltDataset(Manifest(tuple(videos), source=f"{dataset} below {sources.root}"), tuple(problems))


def _video(one: Annotation, path: Path | None, fps: float | None) -> Video:
    if one.split not in get_args(Split) or one.label is None:
        text = f"split is {one.split!r} and label is {one.label!r}; the annotations must say both"
        raise ManifestError(f"{one.video_id}: {text}")
    return Video(
        video_id=one.video_id,
        split=one.split,  # type: ignore[arg-type]  # checked above
        label=one.label,
        path=path,
        class_name=one.class_name,
        n_frames=one.n_frames,
        fps=fps,
        events=one.events if one.label else (),
        group=one.group,
    )


def _look(one: Annotation, path: Path) -> tuple[float | None, list[Problem]]:
    """A video's frame rate, and what is wrong with it."""
    name = one.video_id
    try:
        stated = read_stated(path)
        fps = stated.fps
        if one.n_frames in (None, stated.n_frames):
            return fps, []
        shown = check_video(path)
    except VideoError as error:
        return None, [Problem("unreadable", f"{name}: {error}", name)]
    problems = [Problem("damaged", f"{name}: {shown.problem}", name)] if shown.problem else []
    if shown.n_frames != one.n_frames:
        wrong = f"annotated are {one.n_frames} ({shown.n_frames - one.n_frames:+d})"
        text = f"{name}: decodes to {shown.n_frames} frames, {wrong}"
        problems.append(Problem("length", text, name))
    return fps, problems


def _about_files(
    dataset: str, sources: Sources, missing: list[str], total: int, unused: Iterable[str]
) -> list[Problem]:
    problems = []
    if not sources.videos:
        text = f"{dataset}: no video files below {sources.root}; the manifest serves features only"
        problems.append(Problem("note", text))
        absent = [name for name in missing if name not in sources.features]
        if sources.features and absent:
            problems.append(
                Problem(
                    "missing", f"{dataset}: {len(absent)} of {total} videos have no features: {first_names(absent)}"
                )
            )
    elif missing:
        problems.append(
            Problem("missing", f"{dataset}: {len(missing)} of {total} videos are missing: {first_names(missing)}")
        )
    if sources.lost:
        names = first_names(str(path.relative_to(sources.root)) for path in sources.lost)
        text = f"{dataset}: {len(sources.lost)} broken links or folders that may not be read: {names}"
        problems.append(Problem("unused", text))
    if extra := sorted(unused):
        text = f"{dataset}: {len(extra)} video files are in no annotation and left out: {first_names(extra)}"
        problems.append(Problem("unused", text))
    return problems

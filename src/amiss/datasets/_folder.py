"""The `folder` dataset: one's own videos, sorted into `normal/` and `anomalous/`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from amiss.datasets._annotations import Annotation, read_table
from amiss.datasets._dataset import Dataset, DatasetInfo
from amiss.datasets._manifest import Manifest, Split, Video, video_id_of
from amiss.datasets._problems import Problem, duplicates, events_beyond
from amiss.datasets._sources import BuiltDataset, Progress
from amiss.errors import ManifestError, UsageError, VideoError
from amiss.video import check_video, list_videos

LABELS = {"normal": 0, "anomalous": 1, "abnormal": 1, "anomaly": 1, "anomalies": 1}
SPLITS: dict[str, Split] = {"train": "train", "training": "train", "val": "val", "test": "test", "testing": "test"}
EVENTS = "events.csv"
LAYOUT = "[train|val|test]/normal/… and [train|val|test]/anomalous/[class]/…"


def build_folder(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """A manifest of one's own videos, each decoded for its true number of frames.

    Layout: `normal/` and `anomalous/` (or `abnormal/`, `anomaly/`), below `train/`, `val/`, `test/` if wanted (else all
    is training); a folder below `anomalous/` names the class. `events.csv` beside them (columns video_id, events) tells
    the anomalous frames. Videos that can't be read, and copies of another of the same label, are reported and left out.

    Args:
        root: the folder.
        class_name: keep only this class of the anomalous videos.
        progress: called with (videos done, videos in all).

    Raises:
        ManifestError: no videos, none normal or none anomalous, or events of unknown videos.
        UsageError: no such class.
    """
    if not root.is_dir():
        raise ManifestError(f"dataset folder {root} does not exist")
    root = root.resolve()
    problems: list[Problem] = []
    placed: list[Video] = []
    listing = list_videos(root, lambda folder: _place(folder.relative_to(root).parts))
    listing.others = [path for path in listing.others if path != root / EVENTS]
    elsewhere = []
    for path in listing.videos:
        video = _placed(path, root)
        if video is None:
            elsewhere.append(path)
        else:
            placed.append(video)
    problems += [Problem("unused", note) for note in listing.notes()]
    linked = {video.path.resolve() for video in placed if video.path is not None}
    for path in elsewhere:
        if path.resolve() not in linked:
            where = path.relative_to(root)
            problems.append(Problem("unused", f"{where}: is neither below normal/ nor below anomalous/; left out"))
    if not placed:
        raise ManifestError(f"no videos below {root} in the layout {LAYOUT}")
    placed = _unique(placed, root, problems)
    if class_name is not None:
        classes = sorted({video.class_name for video in placed if video.label and video.class_name})
        if class_name not in classes:
            raise UsageError(f"{root} has no anomalous class {class_name!r}; it has {classes}")
        placed = [video for video in placed if not video.label or video.class_name == class_name]
    copies = _copies(placed, problems)
    events = _events(root, placed)
    videos = []
    for done, video in enumerate(placed):
        if progress is not None:
            progress(done, len(placed))
        if video.video_id in copies or video.path is None:
            continue
        try:
            shown = check_video(video.path)
        except VideoError as error:
            problems.append(Problem("unreadable", f"{video.video_id}: {error}; left out", video.video_id))
            continue
        if shown.problem:
            problems.append(Problem("damaged", f"{video.video_id}: {shown.problem}", video.video_id))
        spans = events[video.video_id].events if video.video_id in events else ()
        problems += events_beyond(video.video_id, shown.n_frames, spans)
        videos.append(replace(video, n_frames=shown.n_frames, fps=shown.fps, events=spans))
    for label, name in ((0, "normal"), (1, "anomalous")):
        if not any(video.label == label for video in videos):
            raise ManifestError(f"{root} has no readable {name} videos; training needs both ({LAYOUT})")
    return BuiltDataset(Manifest(tuple(videos), source=str(root)), tuple(problems))


def are_sorted_by_label(files: Iterable[Path], root: Path) -> bool:
    """Whether files lie as own videos do: all of them below `normal/` or `anomalous/`, and some below each."""
    places = [_place(file.relative_to(root).parts[:-1]) for file in files]
    return {place and place.label for place in places} == {0, 1}


class _Place(NamedTuple):
    """What the folder of a video says of it."""

    split: Split
    label: int
    class_name: str | None


def _place(folders: Sequence[str]) -> _Place | None:
    """Of a folder below the root; None where it doesn't tell."""
    split: Split = "train"
    if folders and folders[0].lower() in SPLITS:
        split, folders = SPLITS[folders[0].lower()], folders[1:]
    if not folders or folders[0].lower() not in LABELS:
        return None
    label = LABELS[folders[0].lower()]
    return _Place(split, label, folders[1] if label and len(folders) > 1 else "normal" if not label else None)


def _placed(path: Path, root: Path) -> Video | None:
    """Split, label and class from where a file lies; None where that doesn't tell."""
    place = _place(path.relative_to(root).parts[:-1])
    return None if place is None else Video(video_id=video_id_of(path, root), path=path, **place._asdict())


def _unique(videos: list[Video], root: Path, problems: list[Problem]) -> list[Video]:
    """Leave out files that would have the id of another: the same name with another suffix."""
    by_id: dict[str, Video] = {}
    for video in videos:
        first = by_id.setdefault(video.video_id, video)
        if first is not video and video.path and first.path:
            names = f"{video.path.relative_to(root)} has the id of {first.path.relative_to(root)}"
            problems.append(Problem("duplicate", f"{names}; left out: rename it to keep it", video.video_id))
    return list(by_id.values())


def _copies(videos: list[Video], problems: list[Problem]) -> set[str]:
    """Ids of copies of another video of the same label."""
    by_id = {video.video_id: video for video in videos}
    first_of = {(video.video_id, video.label): video.video_id for video in videos}
    copies = set()
    for copy, first in duplicates({video.video_id: video.path for video in videos if video.path is not None}):
        label = by_id[copy].label
        same = first_of.setdefault((first, label), copy)
        if same != copy:
            copies.add(copy)
            problems.append(Problem("duplicate", f"{copy}: the same file as {same}; left out", copy))
        else:  # nobody knows which label is right
            text = f"{copy}: the same file as {first}, but one is normal and one anomalous: remove one"
            problems.append(Problem("duplicate", text, copy))
    return copies


def _events(root: Path, videos: list[Video]) -> dict[str, Annotation]:
    file = root / EVENTS
    if not file.is_file():
        return {}
    labels = {video.video_id: video.label for video in videos}
    events = {one.video_id: one for one in read_table(file, "events")}
    for video_id, one in events.items():
        if video_id not in labels:
            raise ManifestError(f"{file}: {video_id!r} is no video of this folder; ids are like {next(iter(labels))!r}")
        if one.events and not labels[video_id]:
            raise ManifestError(f"{file}: {video_id} lies below normal/ but has events")
    return events


FOLDER = Dataset(
    DatasetInfo(name="folder", title="your own videos", size="any", needs=f"{LAYOUT}; events.csv if frames are known"),
    build_folder,
)

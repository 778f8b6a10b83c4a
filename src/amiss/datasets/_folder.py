"""The `folder` dataset: one's own videos, sorted into `normal/` and `anomalous/`."""

from dataclasses import replace
from pathlib import Path

from amiss.datasets._annotations import Annotation, read_table
from amiss.datasets._dataset import Dataset, DatasetInfo
from amiss.datasets._manifest import Manifest, Split, Video, find_videos, video_id_of
from amiss.datasets._problems import Problem, duplicates, events_beyond
from amiss.datasets._sources import BuiltDataset, Progress
from amiss.errors import ManifestError, UsageError, VideoError
from amiss.video import check_video

LABELS = {"normal": 0, "anomalous": 1, "abnormal": 1, "anomaly": 1, "anomalies": 1}
SPLITS: dict[str, Split] = {"train": "train", "training": "train", "val": "val", "test": "test", "testing": "test"}
LAYOUT = "[train|val|test]/normal/… and [train|val|test]/anomalous/[class]/…"


def build_folder(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """A manifest of one's own videos, each decoded for its true number of frames.

    Layout: `normal/` and `anomalous/` (or `abnormal/`, `anomaly/`), below `train/`, `val/`, `test/` if wanted (else all
    is training); a folder below `anomalous/` names the class. `events.csv` beside them (columns video_id, events) tells
    the anomalous frames. Videos that can't be read, and copies of another, are reported and left out.

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
    for path in find_videos(root):
        video = _placed(path, root)
        if video is None:
            where = path.relative_to(root)
            problems.append(Problem("unused", f"{where}: is neither below normal/ nor below anomalous/; left out"))
        else:
            placed.append(video)
    if not placed:
        raise ManifestError(f"no videos below {root} in the layout {LAYOUT}")
    placed = _unique(placed, root, problems)
    if class_name is not None:
        classes = sorted({video.class_name for video in placed if video.label and video.class_name})
        if class_name not in classes:
            raise UsageError(f"{root} has no anomalous class {class_name!r}; it has {classes}")
        placed = [video for video in placed if not video.label or video.class_name == class_name]
    copies = dict(duplicates({video.video_id: video.path for video in placed if video.path is not None}))
    problems += [
        Problem("duplicate", f"{copy}: the same file as {first}; left out", copy) for copy, first in copies.items()
    ]
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


def _placed(path: Path, root: Path) -> Video | None:
    """Split, label and class from where a file lies; None where that doesn't tell."""
    folders = list(path.relative_to(root).parts[:-1])
    split: Split = "train"
    if folders and folders[0].lower() in SPLITS:
        split = SPLITS[folders.pop(0).lower()]
    if not folders or folders[0].lower() not in LABELS:
        return None
    label = LABELS[folders[0].lower()]
    class_name = folders[1] if label and len(folders) > 1 else "normal" if not label else None
    return Video(video_id=video_id_of(path, root), split=split, label=label, path=path, class_name=class_name)


def _unique(videos: list[Video], root: Path, problems: list[Problem]) -> list[Video]:
    """Leave out files that would have the id of another: the same name with another suffix."""
    by_id: dict[str, Video] = {}
    for video in videos:
        first = by_id.setdefault(video.video_id, video)
        if first is not video and video.path and first.path:
            names = f"{video.path.relative_to(root)} has the id of {first.path.relative_to(root)}"
            problems.append(Problem("duplicate", f"{names}; left out: rename it to keep it", video.video_id))
    return list(by_id.values())


def _events(root: Path, videos: list[Video]) -> dict[str, Annotation]:
    file = root / "events.csv"
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

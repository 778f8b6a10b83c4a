"""The datasets that can be built: one file each, or for a few that are alike, and one line here."""

from dataclasses import replace
from pathlib import Path

from amiss.datasets._dataset import Dataset, DatasetInfo
from amiss.datasets._manifest import Manifest
from amiss.datasets._problems import Problem
from amiss.datasets._sources import BuiltDataset, Progress
from amiss.registry import Registry
from amiss.video import FALLBACK_FPS, RATE_UNKNOWN, PictureFolder

# name: "module:dataset"
_TABLE: dict[str, Dataset | str] = {
    "folder": "amiss.datasets._folder:FOLDER",
    "ucf-crime": "amiss.datasets._ucf_crime:UCF_CRIME",
    "xd-violence": "amiss.datasets._xd_violence:XD_VIOLENCE",
    "shanghaitech": "amiss.datasets._shanghaitech:SHANGHAITECH",
    "cuhk-avenue": "amiss.datasets._avenue:AVENUE",
    "cuhk-avenue-official": "amiss.datasets._avenue:AVENUE_OFFICIAL",
    "ucsd-ped1": "amiss.datasets._ucsd:PED1",
    "ucsd-ped1-official": "amiss.datasets._ucsd:PED1_OFFICIAL",
    "ucsd-ped2": "amiss.datasets._ucsd:PED2",
    "ucsd-ped2-official": "amiss.datasets._ucsd:PED2_OFFICIAL",
    "ubnormal": "amiss.datasets._ubnormal:UBNORMAL",
    "surveillance-fights": "amiss.datasets._fights:FIGHTS",
}
DATASETS: Registry[Dataset] = Registry("dataset", _TABLE)


def list_datasets() -> list[DatasetInfo]:
    """The datasets that `build_dataset` knows."""
    return [dataset.info for _, dataset in DATASETS.items()]


def build_dataset(
    name: str,
    root: Path,
    class_name: str | None = None,
    progress: Progress | None = None,
    picture_fps: float | None = None,
) -> BuiltDataset:
    """Make a manifest from a dataset's folder, whatever its layout, and say what is wrong with what lies there.

    Args:
        name: see `list_datasets`.
        root: folder with the videos or features, and the annotations.
        class_name: keep only this anomalous class and the normal videos (`folder`, `ucf-crime`, `xd-violence`).
        progress: called with (videos done, videos in all).
        picture_fps: rate of videos that are folders of pictures; None: the dataset's, else 25, with a problem that
            says so.

    Raises:
        UsageError: unknown dataset or class.
        ManifestError: no annotation was found, or one is malformed (names the line).
    """
    dataset = DATASETS[name]
    return _with_rate(dataset.build(Path(root), class_name, progress), picture_fps or dataset.picture_fps)


def _with_rate(built: BuiltDataset, fps: float | None) -> BuiltDataset:
    """Folders of pictures don't tell their rate."""
    n_folders = sum(isinstance(video.path, PictureFolder) for video in built.manifest.videos)
    if not n_folders:
        return built
    problems = built.problems
    if fps is None:
        problems += (Problem("note", f"{n_folders} videos are folders of pictures; {RATE_UNKNOWN}"),)
    videos = [
        replace(video, path=PictureFolder(video.path, fps), fps=fps or FALLBACK_FPS)
        if isinstance(video.path, PictureFolder)
        else video
        for video in built.manifest.videos
    ]
    return BuiltDataset(Manifest(tuple(videos), source=built.manifest.source), problems)

"""UBnormal: Acsintoae et al., CVPR 2022."""

from pathlib import Path

from amiss.datasets._annotations import Annotation, read_names, read_ubnormal_tracks
from amiss.datasets._building import no_classes, without_events
from amiss.datasets._dataset import Dataset, DatasetInfo
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble
from amiss.errors import ManifestError

_LISTS = {"train": "training", "val": "validation", "test": "test"}
_TRACKS = "_tracks"


def build_ubnormal(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UBnormal from its authors' lists, with the tracks of anomalous objects in `<video>_annotations/`."""
    no_classes("ubnormal", class_name)
    sources = Sources.below(root)
    tracks = {path.stem.removesuffix(_TRACKS): path for path in sources.find(f"*{_TRACKS}.txt")}
    rows = []
    for split, part in _LISTS.items():
        for label, kind in enumerate(("normal", "abnormal")):
            found = sources.find(f"{kind}_{part}_video_names.txt")
            if not found:
                continue
            for name in read_names(found[0]):
                events = read_ubnormal_tracks(tracks[name]) if label and name in tracks else ()
                rows.append(Annotation(name, label=label, split=split, events=events))
    if not rows:
        wanted = "normal_test_video_names.txt and the five other lists of the authors' folder scripts"
        raise ManifestError(f"ubnormal: no list below {root}; looked for {wanted}")
    return without_events("ubnormal", assemble("ubnormal", sources, rows, progress))


UBNORMAL = Dataset(
    DatasetInfo(
        name="ubnormal",
        title="UBnormal (Acsintoae et al. 2022)",
        size="268 train (82 anomalous), 64 val, 211 test (158)",
        needs="{normal,abnormal}_{training,validation,test}_video_names.txt; <video>_annotations/<video>_tracks.txt",
        source="https://github.com/lilygeorgescu/UBnormal",
        licence="CC BY-NC-ND 4.0",
        defects="drawn by a computer; all 29 scenes are in training and in the test; the lists are published apart "
        "from the videos",
    ),
    build_ubnormal,
    picture_fps=30.0,
)

"""CUHK Avenue: Lu et al., ICCV 2013, with its own split and a weak one."""

from pathlib import Path

from amiss.datasets._annotations import read_avenue_mat
from amiss.datasets._building import joined, masks_of, no_classes, one_class_split, without_events
from amiss.datasets._dataset import WEAK_SPLIT_NOTE, Dataset, DatasetInfo
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble
from amiss.datasets._splits import AVENUE_WEAK
from amiss.errors import ManifestError

_SOURCE = "https://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html"


def build_avenue(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """CUHK Avenue with the weak split of Bameri: 14 + 10 training, 7 + 6 test."""
    return _avenue(root, class_name, progress, "cuhk-avenue", AVENUE_WEAK)


def build_avenue_official(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """CUHK Avenue with its own split: 16 normal training videos, 21 test videos."""
    return _avenue(root, class_name, progress, "cuhk-avenue-official", one_class_split(16, 21, digits=2))


def _avenue(
    root: Path, class_name: str | None, progress: Progress | None, name: str, split: dict[str, tuple[str, int]]
) -> BuiltDataset:
    no_classes(name, class_name)
    sources = Sources.below(root)
    masks = masks_of(sources, "*avenue*mask*.csv")
    masks |= {one.video_id: one for path in sources.find("*_label.mat") for one in [read_avenue_mat(path)]}
    for number in list(sources.videos):  # 01.avi stands in both training_videos/ and testing_videos/
        if number.isdecimal():
            for path in sources.videos.pop(number):
                part = "Test" if "test" in path.parent.name.lower() else "Train"
                sources.videos.setdefault(f"{part}{int(number):02d}", []).append(path)
    if not masks:
        raise ManifestError(f"{name}: no frame masks below {root}; looked for *avenue*mask*.csv and <number>_label.mat")
    return without_events(name, assemble(name, sources, joined(split, masks), progress))


AVENUE = Dataset(
    DatasetInfo(
        name="cuhk-avenue",
        title="CUHK Avenue, weak split of Bameri (Lu et al. 2013)",
        size="24 train (14 anomalous), 13 test (7)",
        needs="<number>_label.mat or *avenue*mask*.csv",
        source=_SOURCE,
        licence="none stated; research use",
        defects=WEAK_SPLIT_NOTE,
    ),
    build_avenue,
)

AVENUE_OFFICIAL = Dataset(
    DatasetInfo(
        name="cuhk-avenue-official",
        title="CUHK Avenue, one-class split",
        size="16 train (all normal), 21 test",
        needs="<number>_label.mat or *avenue*mask*.csv",
        source=_SOURCE,
        licence="none stated; research use",
        defects="no anomalous training videos: for testing only",
    ),
    build_avenue_official,
)

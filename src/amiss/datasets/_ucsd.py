"""UCSD Ped1 and Ped2: Mahadevan et al., CVPR 2010, with their own splits and weak ones."""

from pathlib import Path

from amiss.datasets._annotations import read_table, read_ucsd_matlab
from amiss.datasets._building import joined, no_classes, one_class_split, split_table, without_events
from amiss.datasets._dataset import WEAK_SPLIT_NOTE, Dataset, DatasetInfo
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble
from amiss.datasets._splits import PED2_WEAK
from amiss.errors import ManifestError
from amiss.reading import read_columns

_SOURCE = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.html"
_LICENCE = "none stated; research use"


def build_ped1(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped1 with a weak split from `weak_split.csv`: Bameri's was never published."""
    file = Sources.below(root).need("ucsd-ped1", "weak split (columns video_id, split, label)", "*weak_split*.csv")
    return _ucsd(root, class_name, progress, "ucsd-ped1", split_table(file))


def build_ped1_official(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped1 with its own split: 34 normal training clips, 36 test clips."""
    return _ucsd(root, class_name, progress, "ucsd-ped1-official", one_class_split(34, 36, digits=3))


def build_ped2(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped2 with the weak split of Bameri: 6 + 4 training, 6 + 12 test."""
    return _ucsd(root, class_name, progress, "ucsd-ped2", PED2_WEAK)


def build_ped2_official(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped2 with its own split: 16 normal training clips, 12 test clips."""
    return _ucsd(root, class_name, progress, "ucsd-ped2-official", one_class_split(16, 12, digits=3))


def _ucsd(
    root: Path, class_name: str | None, progress: Progress | None, name: str, split: dict[str, tuple[str, int]]
) -> BuiltDataset:
    no_classes(name, class_name)
    sources = Sources.below(root)
    tables = [path for path in sources.find("*annotations*.csv") if "events" in read_columns(path)]
    scripts = sources.find(f"ucsd{name[5:9]}.m")
    if tables:
        known = {one.video_id: one for one in read_table(tables[0], "events")}
    elif scripts:
        known = {one.video_id: one for one in read_ucsd_matlab(scripts[0])}
    else:
        raise ManifestError(f"{name}: no annotation below {root}; looked for *annotations*.csv and UCSD{name[5:9]}.m")
    return without_events(name, assemble(name, sources, joined(split, known), progress))


PED1 = Dataset(
    DatasetInfo(
        name="ucsd-ped1",
        title="UCSD Ped1, own weak split",
        size="70 clips",
        needs="*weak_split*.csv, and *annotations*.csv or UCSDped1.m",
        source=_SOURCE,
        licence=_LICENCE,
        defects=WEAK_SPLIT_NOTE + "; Bameri's weak split was never published",
    ),
    build_ped1,
    picture_fps=10.0,
)

PED1_OFFICIAL = Dataset(
    DatasetInfo(
        name="ucsd-ped1-official",
        title="UCSD Ped1, one-class split",
        size="34 train (all normal), 36 test",
        needs="*annotations*.csv or UCSDped1.m",
        source=_SOURCE,
        licence=_LICENCE,
        defects="no anomalous training clips: for testing only",
    ),
    build_ped1_official,
    picture_fps=10.0,
)

PED2 = Dataset(
    DatasetInfo(
        name="ucsd-ped2",
        title="UCSD Ped2, weak split of Bameri (Mahadevan et al. 2010)",
        size="10 train (6 anomalous), 18 test (6)",
        needs="*annotations*.csv or UCSDped2.m",
        source=_SOURCE,
        licence=_LICENCE,
        defects=WEAK_SPLIT_NOTE,
    ),
    build_ped2,
    picture_fps=10.0,
)

PED2_OFFICIAL = Dataset(
    DatasetInfo(
        name="ucsd-ped2-official",
        title="UCSD Ped2, one-class split",
        size="16 train (all normal), 12 test",
        needs="*annotations*.csv or UCSDped2.m",
        source=_SOURCE,
        licence=_LICENCE,
        defects="no anomalous training clips: for testing only",
    ),
    build_ped2_official,
    picture_fps=10.0,
)

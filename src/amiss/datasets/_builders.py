"""The datasets that can be built, and where each comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amiss.datasets._folder import LAYOUT, build_folder
from amiss.datasets._public import (
    build_avenue,
    build_avenue_official,
    build_fights,
    build_ped1,
    build_ped1_official,
    build_ped2,
    build_ped2_official,
    build_shanghaitech,
    build_ucf_crime,
    build_xd_violence,
)
from amiss.datasets._sources import BuiltDataset, Progress
from amiss.registry import Registry


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


_UCSD = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.html"
_UCSD_LICENCE = "none stated; research use"
_AVENUE = "https://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html"
_WEAK_NOTE = "part of the official test set is in training: not comparable with one-class results"

_Entry = tuple[DatasetInfo, Callable[[Path, str | None, Progress | None], BuiltDataset]]

_TABLE: tuple[_Entry, ...] = (
    (
        DatasetInfo(
            name="folder", title="your own videos", size="any", needs=f"{LAYOUT}; events.csv if frames are known"
        ),
        build_folder,
    ),
    (
        DatasetInfo(
            name="ucf-crime",
            title="UCF-Crime (Sultani et al. 2018)",
            size="1610 train (810 anomalous), 290 test (140)",
            needs="annotations.csv, or *Test_Annotation*.txt or *Temporal_Anomaly_Annotation*.txt; "
            "*Train_Annotation*.txt or Anomaly_Train.txt",
            source="https://www.crcv.ucf.edu/projects/real-world/",
            licence="none stated; research use",
            defects="5 test events reach past the last frame; 10 videos hold a third of the test frames; two normal "
            "training videos are copies of test videos; a class takes the 271 + 61 normal videos that Bameri chose",
        ),
        build_ucf_crime,
    ),
    (
        DatasetInfo(
            name="xd-violence",
            title="XD-Violence (Wu et al. 2020)",
            size="3954 train, 800 test (500 anomalous)",
            needs="annotations.txt; videos or features in folders named train and test",
            source="https://roc-ng.github.io/XD-Violence/",
            licence="none stated; research use; cut from films",
            defects="71 test events reach past the last scored frame; cuts and edits everywhere",
        ),
        build_xd_violence,
    ),
    (
        DatasetInfo(
            name="shanghaitech",
            title="ShanghaiTech, weak split (Zhong et al. 2019)",
            size="238 train (63 anomalous), 199 test (44)",
            needs="*weak*train*.txt, *weak*test*.txt, frame masks (test_frame_mask/*.npy or CSV)",
            source="https://svip-lab.github.io/dataset/campus_dataset.html",
            licence="none stated; research use",
            defects=_WEAK_NOTE + "; the test list's third column is frames less one",
        ),
        build_shanghaitech,
    ),
    (
        DatasetInfo(
            name="cuhk-avenue",
            title="CUHK Avenue, weak split of Bameri (Lu et al. 2013)",
            size="24 train (14 anomalous), 13 test (7)",
            needs="<number>_label.mat or *avenue*mask*.csv",
            source=_AVENUE,
            licence="none stated; research use",
            defects=_WEAK_NOTE,
        ),
        build_avenue,
    ),
    (
        DatasetInfo(
            name="cuhk-avenue-official",
            title="CUHK Avenue, one-class split",
            size="16 train (all normal), 21 test",
            needs="<number>_label.mat or *avenue*mask*.csv",
            source=_AVENUE,
            licence="none stated; research use",
            defects="no anomalous training videos: for testing only",
        ),
        build_avenue_official,
    ),
    (
        DatasetInfo(
            name="ucsd-ped1",
            title="UCSD Ped1, own weak split",
            size="70 clips",
            needs="*weak_split*.csv, and *annotations*.csv or UCSDped1.m",
            source=_UCSD,
            licence=_UCSD_LICENCE,
            defects=_WEAK_NOTE + "; Bameri's weak split was never published",
        ),
        build_ped1,
    ),
    (
        DatasetInfo(
            name="ucsd-ped1-official",
            title="UCSD Ped1, one-class split",
            size="34 train (all normal), 36 test",
            needs="*annotations*.csv or UCSDped1.m",
            source=_UCSD,
            licence=_UCSD_LICENCE,
            defects="no anomalous training clips: for testing only",
        ),
        build_ped1_official,
    ),
    (
        DatasetInfo(
            name="ucsd-ped2",
            title="UCSD Ped2, weak split of Bameri (Mahadevan et al. 2010)",
            size="10 train (6 anomalous), 18 test (6)",
            needs="*annotations*.csv or UCSDped2.m",
            source=_UCSD,
            licence=_UCSD_LICENCE,
            defects=_WEAK_NOTE,
        ),
        build_ped2,
    ),
    (
        DatasetInfo(
            name="ucsd-ped2-official",
            title="UCSD Ped2, one-class split",
            size="16 train (all normal), 12 test",
            needs="*annotations*.csv or UCSDped2.m",
            source=_UCSD,
            licence=_UCSD_LICENCE,
            defects="no anomalous training clips: for testing only",
        ),
        build_ped2_official,
    ),
    (
        DatasetInfo(
            name="surveillance-fights",
            title="Surveillance Camera Fight Dataset (Aktı et al. 2019)",
            size="210 clips, video labels only; folds grouped by source",
            needs="labels.csv (video_id, label, source)",
            source="https://github.com/seymanurakti/fight-detection-surv-dataset",
            licence="MIT",
            defects="clips of one recording are in both classes: never split within a source",
        ),
        build_fights,
    ),
)
DATASETS: Registry[_Entry] = Registry("dataset", {info.name: (info, build) for info, build in _TABLE})


def list_datasets() -> list[DatasetInfo]:
    """The datasets that `build_dataset` knows."""
    return [info for _, (info, _) in DATASETS.items()]


def build_dataset(
    name: str, root: Path, class_name: str | None = None, progress: Progress | None = None
) -> BuiltDataset:
    """Make a manifest from a dataset's folder, whatever its layout, and say what is wrong with what lies there.

    Args:
        name: see `list_datasets`.
        root: folder with the videos or features, and the annotations.
        class_name: keep only this anomalous class and the normal videos (`folder`, `ucf-crime`, `xd-violence`).
        progress: called with (videos done, videos in all).

    Raises:
        UsageError: unknown dataset or class.
        ManifestError: no annotation was found, or one is malformed (names the line).
    """
    _, build = DATASETS[name]
    return build(Path(root), class_name, progress)

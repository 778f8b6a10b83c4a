"""UCF-Crime: Sultani et al., CVPR 2018."""

from dataclasses import replace
from pathlib import Path

from amiss.datasets._annotations import Annotation, read_table, read_ucf, ucf_class
from amiss.datasets._dataset import Dataset, DatasetInfo
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble
from amiss.datasets._splits import UCF_CLASSWISE_TEST, UCF_CLASSWISE_TRAIN
from amiss.errors import ManifestError, UsageError
from amiss.reading import read_columns


def build_ucf_crime(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCF-Crime from `annotations.csv`, or from Sultani's and ekosman's text files; see `list_datasets`."""
    sources = Sources.below(root)
    tables = [path for path in sources.find("*annotations*.csv") if {"class", "split"} <= set(read_columns(path))]
    if tables:
        rows = [replace(one, label=int(one.class_name != "Normal")) for one in read_table(tables[0], "class", "split")]
    else:
        rows = _ucf_from_text(sources)
    if class_name is not None:
        every, rows = rows, _ucf_class(rows, class_name)
        return assemble("ucf-crime", sources, rows, progress, [one.video_id for one in every])
    return assemble("ucf-crime", sources, rows, progress)


def _ucf_from_text(sources: Sources) -> list[Annotation]:
    with_frames = sources.find("*test_annotation*.txt")
    temporal = sources.find("*temporal_anomaly_annotation*.txt")
    if not with_frames and not temporal:
        wanted = "annotations.csv, *Test_Annotation*.txt or *Temporal_Anomaly_Annotation*.txt"
        raise ManifestError(f"ucf-crime: no annotation below {sources.root}; looked for {wanted}")
    test = [replace(one, split="test") for one in read_ucf((with_frames or temporal)[0])]
    in_test = {one.video_id for one in test}
    sources.spell_as(in_test)
    lists = sources.find("*train_annotation*.txt", "*anomaly_train*.txt")
    if lists:
        train = read_ucf(lists[0])
    else:  # every other video there is
        names = sorted((sources.videos or sources.features).keys() - in_test)
        train = [Annotation(name, ucf_class(name), int(ucf_class(name) != "Normal")) for name in names]
    return [replace(one, split="train") for one in train if one.video_id not in in_test] + test


def _ucf_class(rows: list[Annotation], class_name: str) -> list[Annotation]:
    """One class's videos against the normal videos that Bameri chose: 271 for training, 61 for the test."""
    classes = sorted({one.class_name for one in rows if one.class_name and one.label})
    chosen = [name for name in classes if name.lower() == class_name.lower()]
    if not chosen:
        raise UsageError(f"ucf-crime has no class {class_name!r}; it has {classes}")
    normals = UCF_CLASSWISE_TRAIN | UCF_CLASSWISE_TEST
    return [one for one in rows if one.class_name == chosen[0] or one.video_id in normals]


UCF_CRIME = Dataset(
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
)

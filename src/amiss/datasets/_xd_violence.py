"""XD-Violence: Wu et al., ECCV 2020."""

from dataclasses import replace
from pathlib import Path

from amiss.datasets._annotations import XD_CLASSES, Annotation, read_table, read_xd, xd_class
from amiss.datasets._dataset import Dataset, DatasetInfo
from amiss.datasets._problems import Problem
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble
from amiss.errors import UsageError
from amiss.reading import read_columns


def build_xd_violence(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """XD-Violence from its temporal annotation, with labels from the names of videos or features."""
    sources = Sources.below(root)
    annotated = {one.video_id: one for one in read_xd(sources.need("xd-violence", "annotation", "*annotations*.txt"))}
    scored = [path for path in sources.find("*.csv") if "scored_frames" in read_columns(path)]
    in_test = set(annotated) | {one.video_id for path in scored for one in read_table(path)}
    sources.spell_as(in_test)
    rows, unclear = [], []
    for name in sorted((sources.videos or sources.features).keys() | in_test):
        try:
            class_of = xd_class(name)
        except ValueError:
            continue
        split = "test" if name in in_test else sources.part_of(name)
        if split is None:
            unclear.append(name)
            split = "train"
        one = annotated.get(name, Annotation(name))
        rows.append(replace(one, split=split, class_name=class_of, label=int(class_of != "Normal")))
    every: list[str] = []
    if class_name is not None:
        every, rows = [one.video_id for one in rows], _one_class("xd-violence", rows, class_name)
    built = assemble("xd-violence", sources, rows, progress, every)
    if not unclear:
        return built
    text = (
        f"xd-violence: {len(unclear)} videos lie in no folder named train or test, like {unclear[0]}; taken as training"
    )
    return built._replace(problems=(Problem("note", text), *built.problems))


def _one_class(name: str, rows: list[Annotation], class_name: str) -> list[Annotation]:
    classes = [known for known in XD_CLASSES.values() if known != "Normal"]
    chosen = [known for known in classes if known.lower() == class_name.lower()]
    if not chosen:
        raise UsageError(f"{name} has no class {class_name!r}; it has {classes}")
    return [one for one in rows if one.class_name in ("Normal", chosen[0])]


XD_VIOLENCE = Dataset(
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
)

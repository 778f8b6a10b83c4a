"""Surveillance Camera Fight Dataset: Aktı et al., IPTA 2019."""

from dataclasses import replace
from pathlib import Path

from amiss.datasets._annotations import read_table
from amiss.datasets._building import no_classes
from amiss.datasets._dataset import Dataset, DatasetInfo
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble


def build_fights(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """Surveillance fights from `labels.csv`: all training; `source` groups the clips of one recording."""
    no_classes("surveillance-fights", class_name)
    sources = Sources.below(root)
    rows = read_table(sources.need("surveillance-fights", "label table", "labels*.csv"), "label")
    classes = ("normal", "fight")
    rows = [replace(one, split="train", class_name=classes[one.label or 0]) for one in rows]
    return assemble("surveillance-fights", sources, rows, progress)


FIGHTS = Dataset(
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
)

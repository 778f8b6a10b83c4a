"""Builders for the public datasets."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from amiss.datasets._annotations import (
    XD_CLASSES,
    Annotation,
    read_avenue_mat,
    read_mask_npy,
    read_shanghaitech,
    read_table,
    read_ucf,
    read_ucsd_matlab,
    read_xd,
    ucf_class,
    xd_class,
)
from amiss.datasets._problems import Problem
from amiss.datasets._sources import BuiltDataset, Progress, Sources, assemble
from amiss.datasets._splits import AVENUE_WEAK, PED2_WEAK, UCF_CLASSWISE_TEST, UCF_CLASSWISE_TRAIN
from amiss.errors import ManifestError, UsageError


def build_ucf_crime(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCF-Crime from `annotations.csv`, or from Sultani's and ekosman's text files; see `list_datasets`."""
    sources = Sources.below(root)
    tables = [
        path for path in sources.find("*annotations*.csv") if "class" in _header(path) and "split" in _header(path)
    ]
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


def build_xd_violence(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """XD-Violence from its temporal annotation, with labels from the names of videos or features."""
    sources = Sources.below(root)
    annotated = {one.video_id: one for one in read_xd(sources.need("xd-violence", "annotation", "*annotations*.txt"))}
    scored = [path for path in sources.find("*.csv") if "scored_frames" in _header(path)]
    in_test = set(annotated) | {one.video_id for path in scored for one in read_table(path)}
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


def build_shanghaitech(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """ShanghaiTech, weak split (238 training, 199 test), with frame masks as .npy or CSV."""
    _no_classes("shanghaitech", class_name)
    sources = Sources.below(root)
    masks = _masks(sources, "*shanghai*mask*.csv", "test_frame_mask*.csv")
    masks |= {
        one.video_id: one
        for path in sources.find("[0-9][0-9]_[0-9]*.npy")
        if "mask" in path.parent.name.lower()
        for one in [read_mask_npy(path)]
    }
    rows = []
    for split, pattern in (("train", "*weak*train*.txt"), ("test", "*weak*test*.txt")):
        fallback = "sh*_train*.txt" if split == "train" else "sh*_test*.txt"
        for one in read_shanghaitech(sources.need("shanghaitech", f"weak {split} list", pattern, fallback)):
            mask = masks.get(one.video_id)
            known = mask is not None and one.label == 1
            rows.append(
                replace(one, split=split, n_frames=mask.n_frames, events=mask.events)
                if known and mask
                else replace(one, split=split)
            )
    built = assemble("shanghaitech", sources, rows, progress)
    return _without_events("shanghaitech", built)


def build_avenue(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """CUHK Avenue with the weak split of Bameri: 14 + 10 training, 7 + 6 test."""
    return _avenue(root, class_name, progress, "cuhk-avenue", AVENUE_WEAK)


def build_avenue_official(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """CUHK Avenue with its own split: 16 normal training videos, 21 test videos."""
    official = {f"Train{n:02d}": ("train", 0) for n in range(1, 17)} | {
        f"Test{n:02d}": ("test", 1) for n in range(1, 22)
    }
    return _avenue(root, class_name, progress, "cuhk-avenue-official", official)


def _avenue(
    root: Path, class_name: str | None, progress: Progress | None, name: str, split: dict[str, tuple[str, int]]
) -> BuiltDataset:
    _no_classes(name, class_name)
    sources = Sources.below(root)
    masks = _masks(sources, "*avenue*mask*.csv")
    masks |= {one.video_id: one for path in sources.find("*_label.mat") for one in [read_avenue_mat(path)]}
    for number in list(sources.videos):  # 01.avi stands in both training_videos/ and testing_videos/
        if number.isdecimal():
            for path in sources.videos.pop(number):
                part = "Test" if "test" in path.parent.name.lower() else "Train"
                sources.videos.setdefault(f"{part}{int(number):02d}", []).append(path)
    if not masks:
        raise ManifestError(f"{name}: no frame masks below {root}; looked for *avenue*mask*.csv and <number>_label.mat")
    return _without_events(name, assemble(name, sources, _joined(split, masks), progress))


def build_ped1_official(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped1 with its own split: 34 normal training clips, 36 test clips."""
    official = {f"Train{n:03d}": ("train", 0) for n in range(1, 35)} | {
        f"Test{n:03d}": ("test", 1) for n in range(1, 37)
    }
    return _ucsd(root, class_name, progress, "ucsd-ped1-official", official)


def build_ped1(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped1 with a weak split from `weak_split.csv`: Bameri's was never published."""
    file = Sources.below(root).need("ucsd-ped1", "weak split (columns video_id, split, label)", "*weak_split*.csv")
    return _ucsd(root, class_name, progress, "ucsd-ped1", _split_table(file))


def build_ped2(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped2 with the weak split of Bameri: 6 + 4 training, 6 + 12 test."""
    return _ucsd(root, class_name, progress, "ucsd-ped2", PED2_WEAK)


def build_ped2_official(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """UCSD Ped2 with its own split: 16 normal training clips, 12 test clips."""
    official = {f"Train{n:03d}": ("train", 0) for n in range(1, 17)} | {
        f"Test{n:03d}": ("test", 1) for n in range(1, 13)
    }
    return _ucsd(root, class_name, progress, "ucsd-ped2-official", official)


def _ucsd(
    root: Path, class_name: str | None, progress: Progress | None, name: str, split: dict[str, tuple[str, int]]
) -> BuiltDataset:
    _no_classes(name, class_name)
    sources = Sources.below(root)
    tables = [path for path in sources.find("*annotations*.csv") if "events" in _header(path)]
    scripts = sources.find(f"ucsd{name[5:9]}.m")
    if tables:
        known = {one.video_id: one for one in read_table(tables[0], "events")}
    elif scripts:
        known = {one.video_id: one for one in read_ucsd_matlab(scripts[0])}
    else:
        raise ManifestError(f"{name}: no annotation below {root}; looked for *annotations*.csv and UCSD{name[5:9]}.m")
    return _without_events(name, assemble(name, sources, _joined(split, known), progress))


def build_fights(root: Path, class_name: str | None = None, progress: Progress | None = None) -> BuiltDataset:
    """Surveillance fights from `labels.csv`: all training; `source` groups the clips of one recording."""
    _no_classes("surveillance-fights", class_name)
    sources = Sources.below(root)
    rows = read_table(sources.need("surveillance-fights", "label table", "labels*.csv"), "label")
    classes = ("normal", "fight")
    rows = [replace(one, split="train", class_name=classes[one.label or 0]) for one in rows]
    return assemble("surveillance-fights", sources, rows, progress)


def _header(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline()


def _split_table(path: Path) -> dict[str, tuple[str, int]]:
    return {one.video_id: (one.split or "", one.label or 0) for one in read_table(path, "split", "label")}


def _masks(sources: Sources, *patterns: str) -> dict[str, Annotation]:
    return {one.video_id: one for path in sources.find(*patterns) for one in read_table(path, "events")}


def _joined(split: dict[str, tuple[str, int]], known: dict[str, Annotation]) -> Iterable[Annotation]:
    """The split's videos, with what annotations know of each."""
    for video_id, (part, label) in split.items():
        yield replace(known.get(video_id, Annotation(video_id)), split=part, label=label)


def _without_events(name: str, built: BuiltDataset) -> BuiltDataset:
    """Add a problem where anomalous test videos have no annotated frames."""
    bare = [video.video_id for video in built.manifest.split("test") if video.label and not video.events]
    if not bare:
        return built
    text = f"{name}: {len(bare)} anomalous test videos have no annotated frames, like {bare[0]}"
    return built._replace(problems=(Problem("events", f"{text}; frame metrics take them as normal"), *built.problems))


def _one_class(name: str, rows: list[Annotation], class_name: str) -> list[Annotation]:
    classes = [known for known in XD_CLASSES.values() if known != "Normal"]
    chosen = [known for known in classes if known.lower() == class_name.lower()]
    if not chosen:
        raise UsageError(f"{name} has no class {class_name!r}; it has {classes}")
    return [one for one in rows if one.class_name in ("Normal", chosen[0])]


def _no_classes(name: str, class_name: str | None) -> None:
    if class_name is not None:
        raise UsageError(f"{name} has no classes to choose from; leave the class out")

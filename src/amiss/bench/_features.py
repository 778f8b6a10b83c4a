"""The features of a benchmark: stored ones, others' that are imported, several that are joined, or extracted ones."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amiss.backbones import create_backbone
from amiss.bench._suite import DatasetChoice, FeatureChoice, Suite
from amiss.datasets import Manifest
from amiss.engines import create_engine
from amiss.errors import FeatureError
from amiss.features import FeatureSet, import_features, open_feature_set
from amiss.files import write_json
from amiss.jobs import concat_feature_sets, extract
from amiss.reading import ReadError, read_json

Tell = Callable[[str], None]
"""Told what is being prepared."""


def slug(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^\w.=+-]+", "_", name).strip("_.") or "_"


def features_at_hand(
    choice: FeatureChoice, suite: Suite, dataset: DatasetChoice, manifest: Manifest, out: Path, tell: Tell
) -> FeatureSet:
    """The feature set of a choice; what must be made for it is made below `out` once.

    Raises:
        FeatureError: features can't be read, imported, joined or extracted.
    """
    folder = out / "features" / slug(choice.name)
    if choice.path is not None:
        return _stored(choice.path, choice.layout, folder)
    if choice.concat is not None:
        return _concatenated(choice, choice.concat, suite, folder)
    return _extracted(choice, dataset, manifest, folder.with_name(f"{slug(dataset.label)}-{slug(choice.name)}"), tell)


def _stored(path: Path, layout: str | None, folder: Path) -> FeatureSet:
    """A feature set, or the one that is imported from another layout."""
    if (path / "spec.json").is_file():
        return open_feature_set(path)
    return open_feature_set(_imported(path, layout, folder))


def _imported(path: Path, layout: str | None, folder: Path) -> Path:
    """Import features in another layout, once."""
    try:
        state = path.stat()
    except OSError as error:
        raise FeatureError(f"features {path} can't be read: {error.strerror}") from error
    source = {"path": str(path), "size": state.st_size, "modified": state.st_mtime, "layout": layout}
    mark = folder.with_name(f"{folder.name}.import.json")
    if _marked(mark) != source:
        import_features(path, folder, layout)
        write_json(mark, source)
    return folder


def _marked(mark: Path) -> Any:
    """What a folder was made of; None where that isn't known, or damaged: it is then made anew."""
    try:
        return read_json(mark)
    except ReadError:
        return None


def _concatenated(choice: FeatureChoice, paths: list[Path], suite: Suite, folder: Path) -> FeatureSet:
    """Join feature sets, once; anew where one of them has changed."""
    alone = {(other.path, other.layout): slug(other.name) for other in suite.features if other.path is not None}
    sets = [
        _stored(path, None, folder.with_name(alone.get((path, None), f"{folder.name}-part{number}")))
        for number, path in enumerate(paths, 1)
    ]
    digest = hashlib.sha256()
    for features in sets:
        digest.update(features.spec.hash.encode())
        digest.update(repr([(r.video_id, r.sha256, r.fps) for r in features.records.values()]).encode())
    joined = {"sets": [str(path) for path in paths], "sha256": digest.hexdigest(), "fps": choice.fps}
    mark = folder.with_name(f"{folder.name}.concat.json")
    if _marked(mark) == joined:
        return open_feature_set(folder)
    if mark.is_file():
        shutil.rmtree(folder, ignore_errors=True)
    report = concat_feature_sets([features.folder for features in sets], folder, fps=choice.fps)
    if report.failed and choice.missing == "error":
        raise FeatureError(
            f"features {choice.name}: {len(report.failed)} videos can't be joined "
            f"({'; '.join(list(report.failed.values())[:3])}). `missing: drop` leaves them out"
        )
    write_json(mark, joined)
    return open_feature_set(folder)


def _extracted(
    choice: FeatureChoice, dataset: DatasetChoice, manifest: Manifest, folder: Path, tell: Tell
) -> FeatureSet:
    """Extract the features of the dataset's videos."""
    videos = {video.video_id: video.path for video in manifest.videos if video.path is not None}
    if not videos:
        raise FeatureError(f"{dataset.label}: there are no video files below {dataset.root} to extract from")
    backbone = create_backbone(
        str(choice.backbone), choice.weights, crops=choice.crops, stride=choice.stride, preset=choice.preset
    )

    def count(done: float, total: float, _: str) -> None:
        tell(f"{dataset.label}: features {choice.name}, {done:.0f} of {total:.0f} videos extracted")

    report = extract(videos, create_engine(backbone), folder, count)
    if report.failed and choice.missing == "error":
        named = "; ".join(f"{name}: {why}" for name, why in list(report.failed.items())[:5])
        raise FeatureError(f"{dataset.label}: {len(report.failed)} videos can't be extracted ({named})")
    return open_feature_set(folder)

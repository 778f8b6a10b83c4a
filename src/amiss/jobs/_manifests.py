"""amiss dataset: manifests built of a dataset's files, and checked by decoding every video."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amiss.datasets import (
    Manifest,
    Problem,
    build_dataset,
    check_dataset,
    first_names,
    read_manifest,
    summarise,
    write_manifest,
)
from amiss.features import FeatureSet, near_duplicates, open_feature_set
from amiss.jobs._progress import OnProgress, silent


@dataclass(frozen=True)
class ManifestReport:
    """A manifest, and what was found about its videos."""

    manifest: Manifest
    problems: Sequence[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: classes and lengths by split, and the problems."""
        return {
            "videos": len(self.manifest.videos),
            "classes": [summary.to_dict() for summary in summarise(self.manifest)],
            "errors": [str(problem) for problem in self.problems if problem.is_error],
            "warnings": [str(problem) for problem in self.problems if not problem.is_error],
        }

    @property
    def n_errors(self) -> int:
        """Problems that are errors; the others are warnings."""
        return sum(problem.is_error for problem in self.problems)


def build_manifest(
    name: str,
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    class_name: str | None = None,
    picture_fps: float | None = None,
    on_progress: OnProgress = silent,
) -> ManifestReport:
    """Build the manifest of a dataset, and write it.

    Args:
        name: of the dataset, see `amiss datasets`; `folder` for own videos.
        root: folder of its files.
        out: file of the manifest.
        class_name: only this class of anomalies.
        picture_fps: see `amiss.datasets.build_dataset`.
        on_progress: told videos decoded, and of how many.

    Raises:
        UsageError: unknown dataset or class.
        ManifestError, VideoError: its files are wrong or missing.
        OutputError: the manifest can't be written.
    """
    built = build_dataset(
        name, Path(root), class_name, lambda done, total: on_progress(done, total, "videos"), picture_fps
    )
    write_manifest(built.manifest, out)
    return ManifestReport(built.manifest, built.problems)


def check_manifest(
    path: str | os.PathLike[str],
    features: str | os.PathLike[str] | None = None,
    on_progress: OnProgress = silent,
) -> ManifestReport:
    """Decode every video of a manifest and compare it with what is written there.

    Args:
        path: the manifest.
        features: feature set in which to look for copies, also ones that were encoded anew.
        on_progress: told videos decoded, and of how many.

    Returns:
        The manifest, with frame counts and rates of the feature set where it has none, and the problems.

    Raises:
        ManifestError: the manifest can't be read.
        FeatureError: the feature set can't be read.
    """
    manifest = read_manifest(path)
    stored = open_feature_set(features) if features is not None else None
    problems = check_dataset(manifest, lambda done, total: on_progress(done, total, "videos"))
    if stored is not None:
        told = {str(problem.video_id) for problem in problems if problem.kind in ("leak", "duplicate")}
        problems += _look_alike(manifest, stored, told)
        manifest = Manifest(tuple(map(stored.measured, manifest.videos)), manifest.source)
    return ManifestReport(manifest, problems)


def _look_alike(manifest: Manifest, features: FeatureSet, told: set[str]) -> Iterator[Problem]:
    """Copies by features; those of the same bytes have been `told`."""
    lacking = [video.video_id for video in manifest.videos if video.video_id not in features]
    if lacking:
        text = f"{len(lacking)} of {len(manifest.videos)} videos have no features: {first_names(lacking)}"
        yield Problem("note", f"{text}; copies among them are not found")
    known = [video.video_id for video in manifest.videos if video.video_id in features]
    for copy in near_duplicates(features, known):
        if copy.is_exact and not told.isdisjoint((copy.first, copy.second)):
            continue
        a, b = sorted((manifest.by_id[copy.first], manifest.by_id[copy.second]), key=lambda v: v.split == "test")
        how = "has the same features as" if copy.is_exact else f"looks like a copy (likeness {copy.likeness:.3f}) of"
        text = f"{a.video_id} ({a.split}) {how} {b.video_id} ({b.split})"
        if b.split == "test" and a.split != "test":
            yield Problem("leak", f"{text}: the test set leaks into training", a.video_id)
        elif a.label != b.label:
            yield Problem("duplicate", f"{text}, and their labels differ: which one is right?", a.video_id)
        else:
            yield Problem("duplicate", text, a.video_id)

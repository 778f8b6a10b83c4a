"""amiss dataset: manifests built of a dataset's files, and checked by decoding every video."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amiss.datasets import Manifest, Problem, build_dataset, check_dataset, read_manifest, write_manifest
from amiss.jobs._progress import OnProgress, silent


@dataclass(frozen=True)
class ManifestReport:
    """A manifest, and what was found about its videos."""

    manifest: Manifest
    problems: Sequence[Problem]

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


def check_manifest(path: str | os.PathLike[str], on_progress: OnProgress = silent) -> ManifestReport:
    """Decode every video of a manifest and compare it with what is written there.

    Raises:
        ManifestError: the manifest can't be read.
    """
    manifest = read_manifest(path)
    problems = check_dataset(manifest, lambda done, total: on_progress(done, total, "videos"))
    return ManifestReport(manifest, problems)

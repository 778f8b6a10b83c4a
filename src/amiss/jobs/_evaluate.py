"""amiss evaluate: a run, a detector, or anyone's scores → frame-level metrics under a named protocol."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from amiss.datasets import Manifest, first_names, read_manifest
from amiss.detection import check_detector_folder
from amiss.errors import DetectorError, UsageError, VideoError
from amiss.evaluation import METRICS, Scores, read_scores
from amiss.features import FeatureSet, import_features, open_feature_set
from amiss.files import write_json
from amiss.jobs._extract import extract
from amiss.jobs._missing import Missing, with_features
from amiss.jobs._progress import OnProgress, silent
from amiss.jobs._score_videos import score_videos, with_lengths

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.detection import Detector
    from amiss.evaluation import EvaluationResult
    from amiss.jobs._evaluation_plots import Measured

SEED_METRICS = (*METRICS, "brier", "ece")


def detector_folders(folder: Path) -> dict[str, list[Path]]:
    """`last` and `selected` detectors of a run directory, one per seed; empty where `folder` is no run."""
    seeds = sorted((p for p in folder.glob("seed*") if p.name[4:].isdecimal()), key=lambda p: int(p.name[4:])) or [
        folder
    ]
    found = {kind: [s / kind for s in seeds if (s / kind / "detector.json").is_file()] for kind in ("last", "selected")}
    return found if any(found.values()) else {}


def evaluate_detector(
    detector: Detector, manifest: Manifest, features: FeatureSet, protocol: str = "exact"
) -> EvaluationResult:
    """Evaluate a detector on the test videos of a manifest; events are what it finds at its own threshold."""
    return _measure_detector(detector, manifest, features, protocol)[0]


def _measure_detector(
    detector: Detector, manifest: Manifest, features: FeatureSet, protocol: str
) -> tuple[EvaluationResult, Measured]:
    manifest = with_lengths(manifest, features)
    scores, unscored = score_videos(detector, features, manifest.split("test"))
    return _measure(scores, manifest, protocol, unscored, threshold=detector.calibration.threshold)


def _measure(
    scores: Scores,
    manifest: Manifest,
    protocol: str,
    exclude: Sequence[str] = (),
    threshold: float | None = None,
) -> tuple[EvaluationResult, Measured]:
    """As `evaluate`, and what it was measured on."""
    from amiss.evaluation import evaluate_frames, score_frames
    from amiss.jobs._evaluation_plots import Measured

    frames = score_frames(scores, manifest, protocol, exclude=exclude)
    result = evaluate_frames(frames, n_excluded=len(set(exclude)), threshold=0.5 if threshold is None else threshold)
    return result, Measured(frames, threshold)


def evaluate_run(
    folder: Path, manifest: Manifest, features: FeatureSet, protocol: str = "exact"
) -> dict[str, list[EvaluationResult]]:
    """Evaluate the `last` and the `selected` detector of every seed of a run, and without smoothing where they smooth.

    Raises:
        DetectorError: no run directory, or one that has not finished.
    """
    measured = _measure_run(folder, manifest, features, protocol)
    return {kind: [result for result, _ in seeds] for kind, seeds in measured.items()}


def _measure_run(
    folder: Path, manifest: Manifest, features: FeatureSet, protocol: str
) -> dict[str, list[tuple[EvaluationResult, Measured]]]:
    found = detector_folders(folder)
    if not found or len(found["last"]) != len(found["selected"]):
        raise DetectorError(
            f"{folder} is not a finished run: it needs last/ and selected/ (train with --resume to finish it)"
        )
    from amiss.detection import Detector

    results: dict[str, list[tuple[EvaluationResult, Measured]]] = {}
    for kind, folders in found.items():
        for path in folders:
            detector = Detector.load(path)
            seed = detector.provenance.get("seed")
            for name, one in _with_plain(kind, detector).items():
                result, measured = _measure_detector(one, manifest, features, protocol)
                result = replace(result, selection=kind, seeds=() if seed is None else (seed,))
                results.setdefault(name, []).append((result, measured))
    return results


def evaluate_any(
    what: str | os.PathLike[str],
    manifest: Manifest | str | os.PathLike[str],
    features: FeatureSet | str | os.PathLike[str] | None = None,
    protocol: str = "exact",
    *,
    missing: Missing = "error",
    split: Literal["test", "all"] = "test",
    out: str | os.PathLike[str] | None = None,
    plots: str | os.PathLike[str] | None = None,
    on_progress: OnProgress = silent,
) -> dict[str, Any]:
    """Evaluate a run directory, a detector, or a score file; what `amiss evaluate` prints and writes.

    Args:
        what: path of a run directory, of a detector, or of scores.
        manifest: whose test videos are measured, or its file.
        features: of them, or the folder, or features in another project's layout; None: of the videos themselves, by
            the detector's own backbone. What is imported or extracted isn't kept. Scores need none.
        protocol: id, see `amiss protocols`.
        missing: whether test videos without features are an error, or left out and named in the notes.
        split: `all`: every video is a test video, whatever the manifest says; a warning says where the detector was
            trained on videos of the same ids.
        out: file that the result is written to as JSON.
        plots: folder for figures: ROC, precision-recall, and the scores of every test video against its ground truth
            (of a run, by the `selected` detector of the first seed).
        on_progress: told videos whose frames must be counted first (see `with_lengths`), and then figures written, and
            of how many.

    Returns:
        The evaluation result. Of a run, that of its `selected` detectors, as means over the seeds, with `std` beside
        them, and `rows`: the same for `last` and `selected`. `not_beaten` says which shortcuts it isn't better than.
        Of detectors that smooth their scores `rows` also has what they are without (`selected, not smoothed`).

    Raises:
        DetectorError: `what` is none of these.
        UsageError: a run or detector with neither features nor video files.
        ManifestError, FeatureError, VideoError: manifest, features or videos can't be read.
        WeightsError: those of the detector's backbone are missing.
    """
    path = Path(what)
    read = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    if split == "all":
        read = Manifest(tuple(replace(video, split="test") for video in read.videos), read.source)
    dropped: tuple[str, ...] = ()
    with _features_at_hand(path, features, read, missing, on_progress) as stored:
        if stored is not None and path.is_dir():
            read, dropped = with_features(read, stored, missing, "test")
            read = with_lengths(read, stored, on_progress)
        result, measured = _evaluate(path, read, stored, protocol)
    if split == "all" and path.is_dir():
        _warn_of_videos_trained_on(path, read)
    from amiss.evaluation import not_beaten  # with scikit-learn, once `what` has been found

    for row in (result, *result.get("rows", {}).values()):
        row["not_beaten"] = not_beaten(row["shortcuts"])
    if dropped:
        note = f"left out of the test videos, as they have no features: {first_names(dropped)}"
        for row in (result, *result.get("rows", {}).values()):
            row |= {"dropped": list(dropped), "notes": [*row["notes"], note]}
    if out is not None:
        write_json(out, result)
    if plots is not None:
        from amiss.jobs._evaluation_plots import write_plots

        write_plots(Path(plots), measured, next(iter(measured)), on_progress)
    return result


@contextmanager
def _features_at_hand(
    path: Path,
    features: FeatureSet | str | os.PathLike[str] | None,
    manifest: Manifest,
    missing: Missing,
    on_progress: OnProgress,
) -> Iterator[FeatureSet | None]:
    """The features that `path` is evaluated on: stored ones, or made for this once; None where `path` is scores."""
    if isinstance(features, FeatureSet) or not path.is_dir():
        yield features if isinstance(features, FeatureSet | None) else open_feature_set(features)
        return
    if features is not None and ((Path(features) / "spec.json").is_file() or not os.path.lexists(features)):
        yield open_feature_set(features)
        return
    with TemporaryDirectory(prefix="amiss-") as scratch:
        folder = Path(scratch) / "features"
        if features is not None:
            import_features(features, folder)
        else:
            _extract_tests(_some_detector(path), manifest, folder, missing, on_progress)
        yield open_feature_set(folder)


def _extract_tests(
    detector: Detector, manifest: Manifest, folder: Path, missing: Missing, on_progress: OnProgress
) -> None:
    """The features that a detector takes, of the test videos."""
    videos = {v.video_id: v.path for v in manifest.split("test") if v.path is not None and v.path.exists()}
    if not videos:
        raise UsageError(
            f"{manifest.source or 'the manifest'} has no video files of its test videos: name their features with "
            "--features"
        )
    report = extract(videos, detector.prepare(), folder, on_progress)
    if report.failed and missing == "error":
        named = "; ".join(f"{name}: {why}" for name, why in list(report.failed.items())[:3])
        raise VideoError(f"{len(report.failed)} videos can't be scored ({named}); --missing drop leaves them out")


def _some_detector(path: Path) -> Detector:
    """A detector, or the first one that a run selected."""
    folder = next(iter(detector_folders(path).get("selected", ())), path)
    check_detector_folder(folder)
    from amiss.detection import Detector  # with torch, once there is one

    return Detector.load(folder)


def _warn_of_videos_trained_on(path: Path, manifest: Manifest) -> None:
    known = set(_some_detector(path).provenance.get("videos", ()))
    if seen := sorted(video.video_id for video in manifest.split("test") if video.video_id in known):
        warnings.warn(
            f"{path} was trained on videos of the same ids as {len(seen)} of these ({first_names(seen)}): if they are "
            "the same videos, these numbers say nothing about others",
            stacklevel=3,
        )


def _evaluate(
    path: Path, manifest: Manifest, features: FeatureSet | None, protocol: str
) -> tuple[dict[str, Any], dict[str, Measured]]:
    """The result, and what was measured by name, the one to draw over time first."""
    if path.exists() and not path.is_dir():
        result, measured = _measure(read_scores(path, manifest), manifest, protocol)
        return result.to_dict(), {path.stem: measured}
    if features is not None and not (path / "detector.json").is_file() and detector_folders(path):
        results = _measure_run(path, manifest, features, protocol)
        rows = {kind: _over_seeds(seeds) for kind, seeds in results.items()}
        by_name = {
            " ".join([kind, *(f"seed {seed}" for seed in result.seeds if len(seeds) > 1)]): measured
            for kind, seeds in sorted(results.items(), reverse=True)
            for result, measured in seeds
        }
        return {**rows["selected"], "rows": rows}, by_name
    if features is None:
        raise DetectorError(
            f"{path} does not exist; it can be a run directory, a detector, or scores (.json, .npz, .npy)"
        )
    check_detector_folder(path)
    from amiss.detection import Detector

    found = {
        name: _measure_detector(one, manifest, features, protocol)
        for name, one in _with_plain(path.name, Detector.load(path)).items()
    }
    first = found[path.name][0].to_dict()
    rows = {name: result.to_dict() for name, (result, _) in found.items()}
    return first | ({"rows": rows} if len(rows) > 1 else {}), {name: measured for name, (_, measured) in found.items()}


def _with_plain(name: str, detector: Detector) -> dict[str, Detector]:
    """A detector by name, and what it is without smoothing where it smooths: that is reported apart."""
    plain = detector.not_smoothed()
    return {name: detector} if plain is None else {name: detector, f"{name}, not smoothed": plain}


def _over_seeds(seeds: Sequence[tuple[EvaluationResult, Measured]]) -> dict[str, Any]:
    """Means over seeds with their standard deviations; what is not a number is that of the first seed."""
    results = [result for result, _ in seeds]
    mean = results[0].to_dict()
    if len(results) == 1:
        return mean
    from amiss.evaluation import compare_with_shortcuts

    if mean["shortcuts"]:
        mean["shortcuts"] = compare_with_shortcuts([measured.frames for _, measured in seeds])
    per_seed = [result.to_dict() for result in results]
    spread = {name: mean_std(row[name] for row in per_seed) for name in SEED_METRICS}
    mean |= {name: value and value[0] for name, value in spread.items()}
    mean["macro_auc"] = mean["within"]
    mean["std"] = {name: value and value[1] for name, value in spread.items()}
    mean["seeds"] = [seed for result in results for seed in result.seeds]
    mean["per_seed"] = [{name: row[name] for name in SEED_METRICS} for row in per_seed]
    for name in ("per_class", "events", "ci95", "n_bootstrap"):  # of one seed; they say nothing about the mean
        del mean[name]
    return mean


def mean_std(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Mean and sample standard deviation; None where a value is undefined."""
    numbers = list(values)
    if not numbers or any(value is None for value in numbers):
        return None
    array = np.array(numbers, dtype=float)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0

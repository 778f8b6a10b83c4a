"""amiss retrain: a detector learns anew, from more bags; both are compared on bags that neither has seen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from amiss.backbones import check_same_features
from amiss.datasets import Manifest, Video, read_manifest
from amiss.errors import ManifestError, UsageError
from amiss.evaluation import bootstrap_metrics, compare, resample_videos, score_frames
from amiss.features import FeatureSet, FeatureSetWriter, near_duplicates, open_feature_set
from amiss.jobs._missing import with_features
from amiss.jobs._progress import OnProgress, silent
from amiss.jobs._score_videos import score_videos, with_lengths
from amiss.training import DataCheck, Recipe, keep_copies_together, load_recipe

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.detection import Detector
    from amiss.evaluation import ScoredFrames

_METRIC = "video_auc"
_REPLICATES = 1000
_FEW = 10  # held-out bags of one kind, below which an interval says little

Bags = tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""A manifest, and the folder of its features."""


@dataclass(frozen=True)
class Judged:
    """A detector on the held-out bags."""

    video_auc: float
    """How well the highest scores tell anomalous bags from normal ones, 0 to 1; 0.5 = not at all."""
    ci95: tuple[float, float]
    threshold: float
    """Its own."""
    found: int
    """Anomalous bags that reach it."""
    false_alarms: int
    """Normal bags that reach it."""


@dataclass(frozen=True)
class RetrainReport:
    """What the new detector learned from, and whether it is better."""

    recipe: str
    n_normal: int
    """Bags that it learned from …"""
    n_anomalous: int
    n_reviewed: int
    """… and how many of these are reviewed events or plain footage; the others are those of before."""
    held_out_normal: int
    held_out_anomalous: int
    old: Judged | None
    """None where the held-out bags are of one kind only."""
    new: Judged | None
    difference: float | None
    """Of the video AUC, new less old."""
    difference_ci95: tuple[float, float] | None
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def retrain_detector(
    detector: str | os.PathLike[str],
    reviews: Bags,
    out: str | os.PathLike[str],
    *,
    base: Bags | None = None,
    recipe: str | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> RetrainReport:
    """Train anew on the bags of before and the reviewed ones; the new detector is `out/selected`.

    Both detectors are judged by the test rows of `reviews` that the old one did not learn from. No test row is trained
    on.

    Args:
        detector: the old one.
        reviews: bags of `export_reviews`, with features of the old one's kind.
        out: run directory.
        base: what the old one learned from; its test rows are left alone.
        recipe: name or file; None = the old one's own.
        seed: of everything random.
        on_progress: told steps done, and of how many.

    Raises:
        UsageError: unknown recipe, the old detector doesn't say its own, or `out` holds something else.
        ManifestError: there are no normal or no anomalous bags to learn from.
        FeatureError: features are missing, or aren't of the old one's kind.
    """
    from amiss.detection import Detector
    from amiss.training import train

    old = Detector.load(detector)
    chosen = load_recipe(recipe) if recipe is not None else _recipe_of(old)
    sources = [open_bags(bags, old) for bags in ((reviews,) if base is None else (reviews, base))]
    joined = Path(out) / "features"
    try:
        manifest, features = _join(sources, joined)
        learned = manifest.split("train", "val")
        copies = near_duplicates(features, [video.video_id for video in learned])
        manifest = keep_copies_together(manifest, copies)
        run = Path(out) / "run"
        train(chosen, manifest, features, run, seed=seed, progress=on_progress, data=DataCheck(copies=copies))
        new = Detector.load(run / "selected")
        held_out = [video for video in manifest.split("test") if video.video_id not in _learned_from(old)]
        judged = _judge(old, new, with_lengths(Manifest(tuple(held_out), manifest.source), features), features)
    finally:
        shutil.rmtree(joined, ignore_errors=True)
    labels = np.bincount([video.label for video in learned], minlength=2)
    n_held_out = np.bincount([video.label for video in held_out], minlength=2)
    remarks = _remarks(n_held_out, judged, base is None)
    return RetrainReport(
        recipe=chosen.name,
        n_normal=int(labels[0]),
        n_anomalous=int(labels[1]),
        n_reviewed=sum(video.video_id in sources[0][0].by_id for video in learned),
        held_out_normal=int(n_held_out[0]),
        held_out_anomalous=int(n_held_out[1]),
        old=judged.old,
        new=judged.new,
        difference=judged.difference,
        difference_ci95=judged.ci95,
        remarks=remarks,
    )


@dataclass(frozen=True)
class _Comparison:
    old: Judged | None = None
    new: Judged | None = None
    difference: float | None = None
    ci95: tuple[float, float] | None = None


def _recipe_of(detector: Detector) -> Recipe:
    """What it was trained by, with all that was set."""
    try:
        return Recipe.model_validate(detector.provenance["recipe"])
    except (KeyError, ValidationError):
        raise UsageError(
            f"{detector.name} doesn't say by which recipe it was trained: name one, see `amiss recipes`"
        ) from None


def _learned_from(detector: Detector) -> frozenset[str]:
    return frozenset(map(str, detector.provenance.get("videos", ())))


def open_bags(bags: Bags, detector: Detector) -> tuple[Manifest, FeatureSet]:
    """A manifest and the features of its videos, for a detector to learn from.

    Args:
        bags: manifest and features.
        detector: that is to be retrained.

    Raises:
        ManifestError, FeatureError: they can't be read, or features are missing or not of the detector's kind.
    """
    manifest, features = read_manifest(bags[0]), open_feature_set(bags[1])
    check_same_features(features.spec, detector.spec, str(features.folder))
    return with_features(manifest, features, "error", "train", "val")[0], features


def _join(sources: Sequence[tuple[Manifest, FeatureSet]], folder: Path) -> tuple[Manifest, FeatureSet]:
    """One manifest and one feature set of all; of all but the first, no test rows."""
    videos: list[Video] = []
    with FeatureSetWriter(folder, sources[0][1].spec) as writer:
        for index, (manifest, features) in enumerate(sources):
            for video in manifest.videos if index == 0 else manifest.split("train", "val"):
                if video.video_id not in writer.done and video.video_id in features:
                    known, times = features.records[video.video_id], features.times(video.video_id)
                    rows = features.load(video.video_id)
                    writer.add(video.video_id, rows, known.n_frames, known.fps, known.engine, times=times)
                    videos.append(video)
    manifest = Manifest(tuple(videos), sources[0][0].source)
    for label, kind in enumerate(("normal", "anomalous")):
        if not any(video.label == label for video in manifest.split("train", "val")):
            raise ManifestError(
                f"there is no {kind} bag to learn from: review more events, or give plain footage and the videos that "
                "the detector learned from"
            )
    return manifest, open_feature_set(folder)


def _judge(old: Detector, new: Detector, held_out: Manifest, features: FeatureSet) -> _Comparison:
    if {video.label for video in held_out.videos} != {0, 1}:
        return _Comparison()
    scored = {}
    for name, detector in (("new", new), ("old", old)):
        scores, unscored = score_videos(detector, features, held_out.videos)
        scored[name] = score_frames(scores, held_out, exclude=unscored)
    (difference,) = compare({name: [frames] for name, frames in scored.items()}, _METRIC, n_bootstrap=_REPLICATES)
    return _Comparison(
        old=_judged(old, scored["old"]),
        new=_judged(new, scored["new"]),
        difference=difference.difference,
        ci95=difference.ci95,
    )


def _judged(detector: Detector, frames: ScoredFrames) -> Judged:
    weights = resample_videos(frames.anomalous, _REPLICATES, 0)
    replicates = bootstrap_metrics(frames, weights, only=(_METRIC,))[_METRIC]
    low, high = np.nanpercentile(replicates, [2.5, 97.5])
    threshold = detector.calibration.threshold
    reached = frames.video_scores >= threshold
    auc = float(bootstrap_metrics(frames, np.ones((1, len(frames.videos))), only=(_METRIC,))[_METRIC][0])
    return Judged(
        video_auc=auc,
        ci95=(float(low), float(high)),
        threshold=threshold,
        found=int((reached & frames.anomalous).sum()),
        false_alarms=int((reached & ~frames.anomalous).sum()),
    )


def _remarks(held_out: NDArray[np.intp], judged: _Comparison, alone: bool) -> tuple[str, ...]:
    said = []
    if alone:
        said.append("learned from reviewed events and plain footage alone: what the old one learned from wasn't given")
    if judged.new is None:
        said.append(
            f"not compared: {held_out[0]} normal and {held_out[1]} anomalous bags are held out; it takes both kinds. "
            "Review more events"
        )
    elif held_out.min() < _FEW:
        said.append(f"only {held_out[0]} normal and {held_out[1]} anomalous bags are held out: the intervals say more "
                    "than the numbers")  # fmt: skip
    if judged.ci95 is not None and judged.ci95[0] <= 0 <= judged.ci95[1]:
        said.append("the difference may be chance: its interval holds 0")
    return tuple(said)

"""Frame-level and video-level metrics of scored frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from amiss.evaluation._scored_frames import ScoredFrames
from amiss.evaluation._undefined import Metric, Undefined

_FAR_THRESHOLD = 0.5
_CALIBRATION_BINS = 15


@dataclass(frozen=True, eq=False)
class Runs:
    """Stretches of consecutive frames of one video that share score and label: frames, 16 times fewer to look at."""

    video: NDArray[np.int64]
    """[R] index of the video of each run."""
    score: NDArray[np.float64]
    """[R]"""
    label: NDArray[np.bool_]
    """[R] True = anomalous."""
    length: NDArray[np.int64]
    """[R] frames."""

    def select(self, which: NDArray[np.bool_]) -> "Runs":
        """Some of the runs."""
        return Runs(self.video[which], self.score[which], self.label[which], self.length[which])


def runs_of(frames: ScoredFrames) -> Runs:
    """All runs of a test set, in order."""
    changes = (np.diff(frames.scores) != 0) | (np.diff(frames.labels.astype(np.int8)) != 0)
    starts = np.union1d(np.flatnonzero(changes) + 1, frames.offsets[:-1])
    lengths = np.diff(np.append(starts, len(frames.scores)))
    return Runs(frames.video_of_frame[starts], frames.scores[starts], frames.labels[starts], lengths)


def roc_auc(runs: Runs) -> float:
    """Area under the ROC curve over frames, of which some must be normal and some anomalous."""
    return float(roc_auc_score(runs.label, runs.score, sample_weight=runs.length))


def average_precision(runs: Runs) -> float:
    """Average precision over frames, step-wise: sum of (R_n - R_{n-1}) P_n. Some must be anomalous."""
    return float(average_precision_score(runs.label, runs.score, sample_weight=runs.length))


def pr_auc_trapezoid(runs: Runs) -> float:
    """Area under the precision-recall curve by the trapezoid rule, as RTFM and its successors call "AP"."""
    precision, recall, _ = precision_recall_curve(runs.label, runs.score, sample_weight=runs.length)
    return float(auc(recall, precision))


def per_video_auc(frames: ScoredFrames) -> NDArray[np.float64]:
    """[V] ROC-AUC within each video; NaN where all its frames have the same label."""
    values = np.full(len(frames.videos), np.nan)
    for index in range(len(values)):
        scores, labels = frames.of_video(index)
        if labels.any() and not labels.all():
            values[index] = _auc_of_ranks(labels, scores)
    return values


def _auc_of_ranks(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """ROC-AUC by Mann and Whitney; where there are many small sets, scikit-learn's checks take ten times as long."""
    n_positive = int(labels.sum())
    above = float(rankdata(scores)[labels].sum()) - n_positive * (n_positive + 1) / 2
    return above / (n_positive * (len(labels) - n_positive))


def false_alarm_frames(frames: ScoredFrames, threshold: float = _FAR_THRESHOLD) -> NDArray[np.int64]:
    """[V] frames of each normal video with a score at or above the threshold; 0 for anomalous videos."""
    above = np.add.reduceat(frames.scores >= threshold, frames.offsets[:-1], dtype=np.int64)
    return np.where(frames.anomalous, 0, above)


def brier_score(runs: Runs) -> float:
    """Mean squared difference of score and label over frames; scores in 0..1."""
    return float(np.average((runs.score - runs.label) ** 2, weights=runs.length))


def calibration_error(runs: Runs) -> float:
    """Expected calibration error over frames: mean distance of mean score and share of anomalous frames.

    Over 15 bins of equal width (Guo et al. 2017); scores in 0..1.
    """
    bins = np.minimum((runs.score * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, runs.length * (runs.score - runs.label))
    return float(np.abs(gaps).sum() / runs.length.sum())


def frame_metrics(frames: ScoredFrames) -> dict[str, Metric]:
    """All frame-level and video-level metrics of one set of scores."""
    runs = runs_of(frames)
    own = runs.select(frames.anomalous[runs.video])  # of anomalous videos
    unknown = frame_labels_unknown(frames)
    one_class = unknown or _one_class(runs.label)
    each = per_video_auc(frames)
    no_video_has_both = (
        Undefined("no test video has both normal and anomalous frames") if np.isnan(each).all() else None
    )
    uncalibrated = unknown or _not_probabilities(runs)
    n_normal = int(np.diff(frames.offsets)[~frames.anomalous].sum())
    no_normal = None if n_normal else Undefined("there is no normal test video")
    return {
        "auc": one_class or roc_auc(runs),
        "ano_auc": unknown or _one_class(own.label) or roc_auc(own),
        "ap": one_class or average_precision(runs),
        "pr_auc_trapezoid": one_class or pr_auc_trapezoid(runs),
        "within": unknown or no_video_has_both or float(np.nanmean(each)),
        "video_auc": video_auc(frames),
        "far": no_normal or _not_probabilities(runs) or float(false_alarm_frames(frames).sum() / n_normal),
        "brier": uncalibrated or brier_score(runs),
        "ece": uncalibrated or calibration_error(runs),
    }


def video_auc(frames: ScoredFrames) -> Metric:
    """ROC-AUC over videos, each with its largest frame score."""
    if frames.anomalous.all() or not frames.anomalous.any():
        return Undefined(f"the test videos are all {'anomalous' if frames.anomalous.any() else 'normal'}")
    return float(roc_auc_score(frames.anomalous, frames.video_scores))


def frame_labels_unknown(frames: ScoredFrames) -> Undefined | None:
    """Why frame metrics are undefined for a test set that has labels on whole videos only; None where they aren't."""
    if frames.has_frame_labels:
        return None
    return Undefined("the anomalous test videos have no events: only labels of whole videos are known")


def _one_class(labels: NDArray[np.bool_]) -> Undefined | None:
    if not labels.any():
        return Undefined("the test set has no anomalous frames")
    return Undefined("the test set has no normal frames") if labels.all() else None


def _not_probabilities(runs: Runs) -> Undefined | None:
    low, high = runs.score.min(), runs.score.max()
    if low >= 0 and high <= 1:
        return None
    return Undefined(f"scores go from {low:.4g} to {high:.4g}; they must lie in 0..1 for this")


def per_class_metrics(frames: ScoredFrames) -> dict[str, dict[str, Metric]]:
    """Metrics for each class of anomalous videos: its videos against all normal ones.

    Returns:
        For each class `n_videos`, `n_frames`, `n_positive` (of its own videos), `auc` and `ap` (with all normal videos)
        and `ano_auc` (its own videos only). Empty where frames have no labels or videos no class.
    """
    if not frames.has_frame_labels:
        return {}
    runs = runs_of(frames)
    class_of = np.array([video.class_name or "" for video in frames.videos])
    result: dict[str, dict[str, Metric]] = {}
    for name in sorted(set(class_of[frames.anomalous].tolist()) - {""}):
        of_class = frames.anomalous & (class_of == name)
        own = runs.select(of_class[runs.video])
        against_normal = runs.select((of_class | ~frames.anomalous)[runs.video])
        one_class = _one_class(against_normal.label)
        result[name] = {
            "n_videos": int(of_class.sum()),
            "n_frames": int(own.length.sum()),
            "n_positive": int(own.length[own.label].sum()),
            "auc": one_class or roc_auc(against_normal),
            "ano_auc": _one_class(own.label) or roc_auc(own),
            "ap": one_class or average_precision(against_normal),
        }
    return result

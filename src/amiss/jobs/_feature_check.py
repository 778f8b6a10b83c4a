"""amiss features check: is a feature set whole, and do two of them agree?"""

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from amiss.errors import FeatureError
from amiss.features import FeatureSet, open_feature_set, verify


@dataclass(frozen=True)
class FeatureCheck:
    """What a check found."""

    summary: dict[str, Any]
    problems: tuple[str, ...]
    comparison: dict[str, Any] | None = None
    """With another feature set, see `compare_feature_sets`; None where there was none."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def check_feature_set(folder: str | os.PathLike[str], other: str | os.PathLike[str] | None = None) -> FeatureCheck:
    """Read every file: shape, dtype, checksum, finite values, rows that are all zero.

    Args:
        folder: of the feature set.
        other: of another one to compare it with.

    Raises:
        FeatureError: not a feature set, or the two share no video.
    """
    features = open_feature_set(folder)
    problems = [fault.text for fault in verify(features)]
    zero_videos, rows, norms = 0, 0, []
    for video_id in features.records:
        with suppress(FeatureError):  # told above
            array = features.load(video_id)
            rows += len(array)
            zero_videos += not array.any()
            norms.append(float(np.linalg.norm(array, axis=-1).mean()))
    summary = {
        "backbone": features.spec.backbone,
        "weights": features.spec.weights,
        "dim": features.spec.dim,
        "crops": features.spec.crops,
        "rows are": f"{features.spec.segments} segments" if features.spec.segments else "clips",
        "videos": len(features.records),
        "rows": rows,
        "videos with only zeros": zero_videos,
        "mean row norm": float(np.mean(norms)) if norms else None,
        "spec hash": features.spec.hash[:12],
    }
    return FeatureCheck(summary, tuple(problems), compare_feature_sets(folder, other) if other is not None else None)


def compare_feature_sets(folder: str | os.PathLike[str], other: str | os.PathLike[str]) -> dict[str, Any]:
    """Compare two feature sets where they have the same videos: spec, lengths, norms, cosine of the mean rows.

    Raises:
        FeatureError: one is no feature set, or they share no video.
    """
    a, b = open_feature_set(folder), open_feature_set(other)
    common = [video_id for video_id in a.records if video_id in b.records]
    if not common:
        raise FeatureError(f"{folder} and {other} have no video in common")
    differing = [name for name, value in asdict(a.spec).items() if asdict(b.spec)[name] != value]
    result: dict[str, Any] = {"videos in both": len(common), "spec fields that differ": ", ".join(differing) or "none"}
    lengths = [a.records[v].n_clips / b.records[v].n_clips for v in common]
    result["length ratio, median"] = float(np.median(lengths))
    result["norm ratio, median"] = float(np.median([_norm(a, v) / max(_norm(b, v), 1e-12) for v in common]))
    if a.spec.dim == b.spec.dim:
        cosines = [_cosine(a.load(v).mean((0, 1)), b.load(v).mean((0, 1))) for v in common]
        result |= {"cosine, median": float(np.median(cosines)), "cosine, lowest": float(np.min(cosines))}
    return result


def _norm(features: FeatureSet, video_id: str) -> float:
    return float(np.linalg.norm(features.load(video_id), axis=-1).mean())


def _cosine(u: np.ndarray, v: np.ndarray) -> float:
    scale = float(np.linalg.norm(u) * np.linalg.norm(v))
    return float(u @ v) / scale if scale else 0.0

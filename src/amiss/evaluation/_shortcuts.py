"""Shortcuts: rankings that look at no picture. A result that doesn't beat them proves nothing about the pictures."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.evaluation._bootstrap import bootstrap_metrics, intervals
from amiss.evaluation._event_evaluation import event_summary
from amiss.evaluation._frame_metrics import frame_metrics
from amiss.evaluation._metric_names import METRIC_NAMES
from amiss.evaluation._scored_frames import ScoredFrames
from amiss.evaluation._undefined import settle
from amiss.registry import Registry

Values = NDArray[np.float64]

_STEPS = 32  # stretches of a video whose frames have the same distance from its middle
_COMPARED = ("auc", "ano_auc", "within", "ap", "video_auc")
_OF_PROBABILITIES = ("far", "brier", "ece")  # which a ranking has not


def _shorter(frames: ScoredFrames) -> Values:
    """The shortest video 1, one of twice its frames 0.5, …"""
    lengths = np.diff(frames.offsets)
    return np.repeat(lengths.min() / lengths, lengths)


def _middle(frames: ScoredFrames) -> Values:
    """From 1/32 at both ends of a video to 31/32 in its middle, in 32 stretches."""
    lengths = np.diff(frames.offsets)
    at = np.concatenate([np.arange(length) * _STEPS // length for length in lengths])
    nearness: Values = 1 - np.abs(2 * at + 1 - _STEPS) / _STEPS
    return nearness


_SHORTCUTS: dict[str, Callable[[ScoredFrames], Values]] = {
    "shorter video first": _shorter,
    "middle first": _middle,
}
SHORTCUTS = tuple(_SHORTCUTS)
"""Names of the shortcuts."""
_BY_NAME = Registry("shortcut", _SHORTCUTS)


def shortcut_frames(frames: ScoredFrames, name: str) -> ScoredFrames:
    """The same frames, scored by a shortcut.

    Args:
        frames: whose scores are not looked at.
        name: one of `SHORTCUTS`. `shorter video first` scores a whole video by how short it is; `middle first` scores
            a frame by how near it is to the middle of its video, in 32 steps.

    Raises:
        UsageError: there is no such shortcut.
    """
    return replace(frames, scores=_BY_NAME[name](frames))


def against_shortcuts(
    frames: ScoredFrames, values: Mapping[str, float | None], replicates: Mapping[str, Values], weights: Values | None
) -> dict[str, dict[str, Any]]:
    """How a result stands to each shortcut.

    Args:
        frames: whatever was measured; scores are not looked at.
        values: metrics of the result.
        replicates: the same of resampled videos, [R] each; empty where nothing was resampled.
        weights: [R, V] the videos of each replicate: the shortcuts are measured on the same ones.

    Returns:
        Shortcut → its own metrics (None where undefined), `ci95` of those that are compared, and their `gains`: the
        `difference` result - shortcut, its `ci95` (None where nothing was resampled), and whether the result `beats`
        the shortcut: the whole interval, or without one the difference, lies above 0. Compared are AUC, Ano-AUC,
        `within`, AP and video AUC, as far as they are defined.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in SHORTCUTS:
        scored = shortcut_frames(frames, name)
        own, _ = settle(frame_metrics(scored) | event_summary(scored))
        own = {metric: value for metric, value in own.items() if metric not in _OF_PROBABILITIES}
        drawn = {} if weights is None else bootstrap_metrics(scored, weights, only=_COMPARED)
        gains = {}
        for metric in _COMPARED:
            value, shortcut = values.get(metric), own[metric]
            if value is None or shortcut is None:
                continue
            ci95 = None
            if metric in replicates and metric in drawn:
                ci95 = intervals({metric: replicates[metric] - drawn[metric]}).get(metric)
            least = value - shortcut if ci95 is None else ci95[0]
            gains[metric] = {"difference": value - shortcut, "ci95": ci95, "beats": least > 0}
        found[name] = {**own, "ci95": intervals(drawn), "gains": gains}
    return found


def not_beaten(shortcuts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a result doesn't beat, in words, one sentence per shortcut; empty where it beats all.

    Args:
        shortcuts: of `against_shortcuts`.
    """
    said = []
    for name, own in shortcuts.items():
        failed = []
        for metric, gain in own["gains"].items():
            if not gain["beats"]:
                interval = "" if gain["ci95"] is None else " [{:+.3f}, {:+.3f}]".format(*gain["ci95"])
                failed.append(f"{METRIC_NAMES[metric]} {own[metric]:.3f} ({gain['difference']:+.3f}{interval})")
        if failed:
            said.append(
                f'not clearly better than "{name}", which looks at no picture: {", ".join(failed)}; in brackets the '
                "difference and its 95 % interval"
            )
    return said

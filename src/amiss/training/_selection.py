"""Choosing the step whose weights are kept, from held-out videos and their video-level labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from amiss.evaluation import glance_rank
from amiss.training._recipe import SelectionSettings


@dataclass(frozen=True)
class HeldOutScore:
    """How well scores tell held-out anomalous videos from normal ones."""

    clip_auc: float
    """ROC-AUC over clips (or segments), each with the label of its video. Clips of anomalous videos are a mixture of
    anomalous and normal ones; as long as the latter look like those of normal videos, this AUC is a rising linear
    function of the unknown clip-level one (Menon et al., ICML 2015), which is what frame-level AUC measures."""
    video_auc: float
    """ROC-AUC over videos, by bag score."""
    spread: float = 0.5
    """ROC-AUC over videos, by the standard deviation of a video's scores: where something happens at some time, scores
    must differ more than where nothing does. Whatever is added to all scores of a video has no part in it."""
    glance_rank: float | None = None
    """Share of the other clips of its video that a clicked clip outscores; None where no clicks were given."""

    @classmethod
    def of(
        cls,
        scores: Sequence[NDArray[np.floating]],
        bag_scores: NDArray[np.floating],
        labels: NDArray[np.intp],
        clicks: Sequence[NDArray[np.float64]] = (),
        logits: Sequence[NDArray[np.floating]] | None = None,
    ) -> Self:
        """Measure scores [T] of each video and bag scores [B] against labels [B], and clicks, see `Bags.clicks`.

        `logits` [T] order clips where scores of a head that is sure of itself are rounded to 1, many of them alike;
        None = the scores do.
        """
        order = scores if logits is None else logits
        clip_labels = np.repeat(labels, [len(own) for own in order])
        clip_auc = roc_auc_score(clip_labels, np.concatenate(order))
        ranks = [
            glance_rank(own, np.minimum((at * len(own)).astype(np.intp), len(own) - 1))
            for own, at in zip(order, clicks, strict=bool(clicks))
            if len(at) and len(own) > 1
        ]
        rank = float(np.mean(ranks)) if ranks else None
        spread = roc_auc_score(labels, [np.std(own) for own in scores])
        return cls(float(clip_auc), float(roc_auc_score(labels, bag_scores)), float(spread), rank)

    def value(self, settings: SelectionSettings) -> float:
        """What the settings choose by."""
        if settings.by == "glances":
            assert self.glance_rank is not None  # checked where clicks are given
            return self.glance_rank
        return self.spread if settings.by == "spread" else self.clip_auc


@dataclass
class Selection:
    """Keeps track of the best step so far, by what the settings say, smoothed, and of when to stop."""

    settings: SelectionSettings
    """How it is chosen."""
    history: list[HeldOutScore] = field(default_factory=list)
    """Score of every evaluation so far."""
    best: float = 0.0
    """Smoothed value at the selected step."""
    best_step: int = 0
    """The selected step; 0 = none yet."""
    without_gain: int = 0
    """Evaluations since the selected step."""

    def add(self, score: HeldOutScore, step: int) -> bool:
        """Note the score of a step; True where this step is the best so far, which takes `smoothing` evaluations."""
        self.history.append(score)
        recent = self.history[-self.settings.smoothing :]
        if len(recent) < self.settings.smoothing:
            return False
        smoothed = float(np.mean([s.value(self.settings) for s in recent]))
        if self.best_step and smoothed < self.best + self.settings.min_gain:
            self.without_gain += 1
            return False
        self.best, self.best_step, self.without_gain = smoothed, step, 0
        return True

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self.settings.patience is not None and self.without_gain >= self.settings.patience

    def state(self) -> dict[str, Any]:
        """What `restore` takes, in plain types."""
        return {
            "history": [asdict(score) for score in self.history],
            "best": self.best,
            "best_step": self.best_step,
            "without_gain": self.without_gain,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.history = [HeldOutScore(**values) for values in state["history"]]
        self.best, self.best_step, self.without_gain = state["best"], state["best_step"], state["without_gain"]

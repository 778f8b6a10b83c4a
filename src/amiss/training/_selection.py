"""Choosing the step whose weights are kept, from held-out videos."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

from amiss.training._recipe import SelectionSettings


@dataclass(frozen=True)
class HeldOutScore:
    """How well bag scores of held-out videos tell anomalous from normal ones."""

    auc: float
    """Video-level ROC-AUC."""
    cross_entropy: float
    """Mean binary cross-entropy of the bag scores, nats."""

    @classmethod
    def of(cls, bag_scores: NDArray[np.float64], labels: NDArray[np.intp]) -> Self:
        """Measure bag scores [B] in 0..1 against labels [B]."""
        clipped = np.clip(bag_scores, 1e-6, 1 - 1e-6)
        return cls(float(roc_auc_score(labels, bag_scores)), float(log_loss(labels, clipped, labels=[0, 1])))


@dataclass
class Selection:
    """Keeps track of the best step so far and of when to stop."""

    settings: SelectionSettings
    history: list[HeldOutScore] = field(default_factory=list)
    best: HeldOutScore | None = None
    """Smoothed, at the selected step."""
    best_step: int = 0
    without_gain: int = 0

    def add(self, score: HeldOutScore, step: int) -> bool:
        """Note the score of a step; True where this step is the best so far, which takes `smoothing` evaluations."""
        self.history.append(score)
        recent = self.history[-self.settings.smoothing :]
        if len(recent) < self.settings.smoothing:
            return False
        smoothed = HeldOutScore(
            float(np.mean([s.auc for s in recent])), float(np.mean([s.cross_entropy for s in recent]))
        )
        if not self._is_gain(smoothed):
            self.without_gain += 1
            return False
        self.best, self.best_step, self.without_gain = smoothed, step, 0
        return True

    def _is_gain(self, score: HeldOutScore) -> bool:
        if self.best is None or score.auc >= self.best.auc + self.settings.min_gain:
            return True
        return score.auc == self.best.auc == 1 and score.cross_entropy < self.best.cross_entropy * 0.99

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self.settings.patience is not None and self.without_gain >= self.settings.patience

    def state(self) -> dict[str, Any]:
        """What `restore` takes, in plain types."""
        return {
            "history": [asdict(score) for score in self.history],
            "best": None if self.best is None else asdict(self.best),
            "best_step": self.best_step,
            "without_gain": self.without_gain,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.history = [HeldOutScore(**values) for values in state["history"]]
        self.best = None if state["best"] is None else HeldOutScore(**state["best"])
        self.best_step, self.without_gain = state["best_step"], state["without_gain"]

"""Scoring as clips come: causal, in constant memory."""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.detection._detector import Detector
from amiss.errors import DetectorError, UsageError

WINDOW = 32  # clips; the bag length that most heads are trained with

FloatArray = NDArray[np.floating[Any]]


class OnlineScorer:
    """One score per clip from the clips up to it, and at most `lookahead` after it.

    A head that looks at a whole bag sees a sliding window of the last clips as its bag. A head that looks at a few
    clips before, or at none (`Detector.context`), needs neither window nor lookahead: it sees what it looks at, and the
    scores are those of the whole video. Holds `window` feature rows, no more.

    `causal_offline_scores` of the same features gives exactly the same scores.

    Args:
        detector: its head scores; the backbone isn't used.
        window: clips that the head sees at once.
        lookahead: clips to wait for before a clip is scored; later scores, which know a little of what follows.

    Raises:
        UsageError: not 0 <= lookahead < window, or a detector whose smoothing needs whole videos.
    """

    def __init__(self, detector: Detector, *, window: int = WINDOW, lookahead: int = 0) -> None:
        if not 0 <= lookahead < window:
            raise UsageError(f"window is {window} and lookahead {lookahead}; needs 0 <= lookahead < window")
        self.detector = detector
        self.window, self.lookahead_clips = _reach(detector, window, lookahead)
        """Clips that must come after a clip before its score does."""
        self.classes: list[str] | None = None
        """Of the scores that the last `push` or `finish` gave, in their order: what each clip shows if it is anomalous;
        None where the head doesn't tell classes apart."""
        self._rows: deque[FloatArray] = deque(maxlen=self.window)
        self._n_waiting = 0

    def push(self, features: FloatArray) -> float | None:
        """Add a clip.

        Args:
            features: [C, D] crops x dim, as they lie in a feature set.

        Returns:
            The score of the clip `lookahead_clips` before this one; None while there is none.

        Raises:
            DetectorError: other shape, or values that are not finite. The clip is then forgotten: it can't spoil the
                scores of those after it.
        """
        head = self.detector.head
        if features.ndim != 2 or features.shape[1] != head.feature_dim or not features.size:
            raise DetectorError(f"features are {features.shape}; expected (crops, {head.feature_dim})")
        if self._rows and features.shape != self._rows[-1].shape:
            raise DetectorError(f"features are {features.shape}; those before were {self._rows[-1].shape}")
        if not np.isfinite(features).all():
            raise DetectorError("features have values that are not finite")
        self._rows.append(features)
        self._n_waiting += 1
        if self._n_waiting <= self.lookahead_clips:
            return None
        self._n_waiting -= 1
        return self._scores(slice(-1 - self.lookahead_clips, -self.lookahead_clips or None))[0]

    def finish(self) -> list[float]:
        """The stream ends or has a gap: the scores of the clips that still wait, and a fresh start."""
        self.classes = None
        waiting = self._scores(slice(-self._n_waiting, None)) if self._n_waiting else []
        self._rows.clear()
        self._n_waiting = 0
        return waiting

    def _scores(self, which: slice) -> list[float]:
        rows = np.stack(self._rows)
        classes = self.detector.clip_classes(rows)
        self.classes = None if classes is None else classes[which]
        return [float(score) for score in self.detector.score_features(rows)[which]]


def causal_offline_scores(
    detector: Detector, features: FloatArray, *, window: int = WINDOW, lookahead: int = 0
) -> NDArray[np.float64]:
    """What an OnlineScorer would have given for a whole video.

    Args:
        detector: its head scores.
        features: [T, C, D] clips x crops x dim.
        window: clips that the head sees at once.
        lookahead: clips after the scored one among them.

    Returns:
        [T] scores in 0..1: clip t's is its score in the bag of clips `(e - window, e]`, e = min(t + lookahead, T - 1).
    """
    window, lookahead = _reach(detector, window, lookahead)
    scores = np.empty(len(features))
    for clip in range(len(features)):
        end = min(clip + lookahead + 1, len(features))
        start = max(0, end - window)
        scores[clip] = detector.score_features(features[start:end])[clip - start]
    return scores


def _reach(detector: Detector, window: int, lookahead: int) -> tuple[int, int]:
    """Window and lookahead that the head makes use of."""
    form = detector.scoring.smoothing_form
    if form != "around":
        raise UsageError(
            f"this detector has smoothing_form {form}, which needs whole videos: for streams train without "
            "scoring.smoothing_form"
        )
    context = detector.context
    return (window, lookahead) if context is None else (context, 0)

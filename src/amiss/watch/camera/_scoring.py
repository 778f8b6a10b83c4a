"""The scoring side of a camera: features of clips → scores of clips."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.detection import Detector, OnlineScorer
from amiss.watch.camera._clips import LiveClip
from amiss.watch.camera._pool import Result
from amiss.watch.camera._reference import ReferenceClips

MOST_FAILURES = 50  # clips in a row; then something is wrong with more than a clip
GAP_S = 2.0  # clips before a longer gap are no context for those after it


@dataclass(frozen=True)
class SentClip:
    """A clip on its way through the pool, without its pixels."""

    clip: LiveClip
    reference: int | None = None
    """In a still scene: the number of the clip whose features it takes, or its own if others take its features."""
    error: Exception | None = None
    """Why it couldn't be prepared."""


@dataclass(frozen=True)
class ScoredClip:
    """A clip with its score."""

    clip: LiveClip
    score: float
    """0 to 1."""
    class_name: str | None = None
    """What it shows if it is anomalous; None where the detector tells no classes apart."""
    features: NDArray[np.float32] | None = None
    """Of the clip, [C, D]."""


class ClipScorer:
    """Scores clips in their order. After a gap it starts afresh: what was before is no context for what comes.

    A clip that can't be scored costs its score and nothing else.

    Args:
        detector: its head scores.
        references: have the features of clips that were spared.
        window: clips that the head sees at once.
        lookahead: clips to wait for before a clip is scored.
    """

    def __init__(self, detector: Detector, references: ReferenceClips, *, window: int, lookahead: int) -> None:
        self.n_spared = 0
        self.n_dropped = 0
        """Spared clips whose reference clip was dropped."""
        self.n_failed = 0
        self.failures = 0
        """Clips in a row that couldn't be scored."""
        self.error: Exception | None = None
        """What was wrong with the last of them."""
        self._scorer = OnlineScorer(detector, window=window, lookahead=lookahead)
        self._references = references
        # given to the scorer, not scored yet; with their features
        self._waiting: deque[tuple[LiveClip, NDArray[np.float32]]] = deque()
        self._last: LiveClip | None = None  # that was given to it

    @property
    def lookahead_clips(self) -> int:
        """Clips that must come after a clip before its score does."""
        return self._scorer.lookahead_clips

    @property
    def problem(self) -> str:
        """In words, where too many clips in a row couldn't be scored; else empty."""
        if self.failures < MOST_FAILURES:
            return ""
        return f"{self.failures} clips in a row couldn't be scored: {self.error}"

    def push(self, sent: SentClip, result: Result) -> list[ScoredClip]:
        """Add a clip and what the pool made of it; returns the clips that can be scored now."""
        scored = self.finish() if self._is_after_gap(sent.clip) else []
        error = sent.error or (result if isinstance(result, Exception) else None)
        features = result if isinstance(result, np.ndarray) else None
        if error is not None:
            self._references.forget()
            self._fail(error)
            return scored
        if features is not None:
            self._references.keep(sent.reference, features)
        elif (features := self._references.features(sent.reference)) is not None:
            self.n_spared += 1
        else:
            self.n_dropped += 1  # like its reference
            return scored
        try:
            score = self._scorer.push(features)
        except Exception as caught:
            self._fail(caught)
            return scored
        self.failures, self._last = 0, sent.clip
        self._waiting.append((sent.clip, features))
        return scored if score is None else [*scored, *self._scored([score])]

    def finish(self) -> list[ScoredClip]:
        """The clips end, or have a gap: those that still wait."""
        self._last = None
        return self._scored(self._scorer.finish())

    def _scored(self, scores: list[float]) -> list[ScoredClip]:
        """The clips that the scorer gave these scores, the oldest that wait."""
        classes: Sequence[str | None] = self._scorer.classes or [None] * len(scores)
        scored = []
        for score, name in zip(scores, classes, strict=True):
            clip, features = self._waiting.popleft()
            scored.append(ScoredClip(clip, score, name, features))
        return scored

    def _is_after_gap(self, clip: LiveClip) -> bool:
        if self._last is None:
            return False
        return clip.connection != self._last.connection or (clip.started - self._last.ended).total_seconds() > GAP_S

    def _fail(self, error: Exception) -> None:
        self.n_failed += 1
        self.failures += 1
        self.error = error

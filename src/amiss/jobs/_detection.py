"""Detection as a job of an executor: one video is one task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.errors import AmissError
from amiss.executors import Feed, Job, Perform, Tell

if TYPE_CHECKING:
    from amiss.detection import Detector


@dataclass(frozen=True, kw_only=True)
class DetectorChoice:
    """What a detector is made of that is ready to score, on any machine; see `detect_targets`."""

    folder: Path
    threshold: float | None = None
    per_hour: float | None = None
    weights: Path | None = None
    engine: str = "auto"
    precision: str = "auto"
    compiled: bool = False

    def load(self) -> Detector:
        """The detector with its threshold."""
        from amiss.detection import Detector

        loaded = Detector.load(self.folder)
        loaded.calibration = loaded.calibration.chosen(self.threshold, self.per_hour)
        return loaded

    def prepare(self, detector: Detector, threads: int | None = None) -> None:
        """Build what runs its backbone here."""
        detector.prepare(
            self.weights, engine=self.engine, precision=self.precision, compiled=self.compiled, threads=threads
        )


class Detection(Job):
    """Videos → ScoreResults.

    Args:
        detector: scores in this process; or what it is made of, elsewhere.
    """

    name = "detect"

    def __init__(self, detector: Detector | DetectorChoice) -> None:
        self._detector = detector

    def start(self, cpus: int | None) -> Perform:
        """Load the detector and build its engine.

        Raises:
            DetectorError, WeightsError, UsageError: see `Detector.load` and `Detector.prepare`.
        """
        detector = self._detector
        if isinstance(detector, DetectorChoice):
            choice, detector = detector, detector.load()
            choice.prepare(detector, cpus)

        def perform(feed: Feed, tell: Tell) -> Iterator[tuple[str, Any]]:
            for item in feed:
                if item is not None:
                    tell(item[0], 0.0)
                    yield item[0], score(*item, tell)

        def score(task: str, path: Path | str, tell: Tell) -> Any:
            try:
                return detector.score(path, lambda share: tell(task, share))
            except AmissError as error:
                return error

        return perform

    def clips_of(self, result: Any) -> int:
        """That were scored."""
        return len(result.clips)

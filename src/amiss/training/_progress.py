"""How far a run is, over all the trainings that it takes."""

from collections.abc import Callable
from dataclasses import dataclass

OnProgress = Callable[[float, float, str], None]
"""Called with (steps done, steps at most, what is under way or how good it is); folds count as many steps as the run's
own training."""


@dataclass(frozen=True)
class RunProgress:
    """Tells of a run's own training, and of those before and after it: teachers, folds."""

    on_progress: OnProgress | None
    """Whom to tell."""
    steps: int
    """Of one training, at most."""
    before: int
    """Trainings before the run's own."""
    after: int
    """Trainings after it."""

    def teaching(self, share: float, what: str) -> None:
        """So much of what comes before is done, 0..1."""
        self._tell(share * self.before, what)

    def step(self, step: int, what: str) -> None:
        """A step of the run's own training."""
        self._tell(self.before + step / self.steps, what)

    def fold(self, done: float, folds: int) -> None:
        """So many folds are done, a part of the one under way among them."""
        at = min(int(done) + 1, folds)
        self._tell(self.before + 1 + self.after * done / folds, f"cross-fitting: {at} of {folds}")

    def _tell(self, done: float, what: str) -> None:
        if self.on_progress is not None:
            trainings = self.before + 1 + self.after
            self.on_progress(self.steps * min(done, trainings), self.steps * trainings, what)

"""How long to wait before trying again."""

import random as random_module
from collections.abc import Callable
from dataclasses import dataclass

from amiss.errors import UsageError


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts: `first_s`, then each `factor` times longer up to `cap_s`, spread by ±`jitter`."""

    first_s: float = 1.0
    """The first wait."""
    factor: float = 2.0
    """How many times longer the next one is."""
    cap_s: float = 60.0
    """The longest wait."""
    jitter: float = 0.3
    """How much longer or shorter each may be, as a share of it: cameras that were lost together don't come together."""

    def __post_init__(self) -> None:
        if not (0 < self.first_s <= self.cap_s and self.factor >= 1 and 0 <= self.jitter < 1):
            raise UsageError(f"{self}: needs 0 < first_s <= cap_s, factor >= 1 and 0 <= jitter < 1")

    def wait_s(self, attempt: int, random: Callable[[], float] = random_module.random) -> float:
        """Seconds before the attempt after `attempt` failures (from 1)."""
        # the exponent is bounded: a camera may be away for years
        wait_s = min(self.cap_s, self.first_s * self.factor ** min(attempt - 1, 100))
        return wait_s * (1 + self.jitter * (2 * random() - 1))

"""How jobs tell how far they are; the command line draws it."""

from collections.abc import Callable
from dataclasses import dataclass, field

OnProgress = Callable[[float, float, str], None]
"""Called with (done, total, what is being done), in the job's own unit; done may be fractional."""


def silent(done: float, total: float, what: str) -> None:
    """Progress that nobody watches."""


@dataclass
class JobReport:
    """What became of each video of a job: in folders and manifests the rest is finished before failures are told."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Complete from an earlier run."""
    failed: dict[str, str] = field(default_factory=dict)
    """Video id → what was wrong."""
    warnings: dict[str, str] = field(default_factory=dict)
    """Video id → what is missing although it was done."""
    notes: list[str] = field(default_factory=list)
    """What was left out of the folders given, and why."""

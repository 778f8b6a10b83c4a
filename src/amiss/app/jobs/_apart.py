"""Jobs in processes of their own: what goes wrong there, or is stopped, ends there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from amiss.app.jobs._jobs import StoppedError, Work
from amiss.errors import AmissError
from amiss.reading import apart


class Asker(Protocol):
    """Whom a job's process works for."""

    def tell(self, kind: str, **values: Any) -> None:
        """Something on the way."""


def run_apart(
    do: str, request: dict[str, Any], title: str, work: Work, on_told: Callable[[Any], None] = lambda _: None
) -> Any:
    """Have a function called in a process of its own, and wait for what it gives.

    Args:
        do: the function, `module:name`, made by `answering`.
        request: what it is asked; ready for JSON.
        title: what is done, in words.
        work: is told of progress, and stops it.
        on_told: given what it tells on the way.

    Raises:
        StoppedError: it was stopped.
        AmissError: as it raised it there, or that it ended early.
    """
    answers = apart.run(do, request, title, stop=work.stop, error=AmissError, is_bounded=False)
    try:
        for answer in answers:
            match answer.kind:
                case "progress":
                    work.progress(*answer.values["of"])
                case "told":
                    on_told(answer.values["told"])
                case "end":
                    return answer.values["result"]
    finally:
        answers.close()
    raise StoppedError


class Told:
    """What the function in the process says."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def progress(self, done: float, total: float, what: str = "") -> None:
        """How far it is; an `OnProgress`."""
        self._asker.tell("progress", of=[done, total, what])

    def tell(self, told: Any) -> None:
        """Something on the way; ready for JSON."""
        self._asker.tell("told", told=told)


def answering(does: Callable[[dict[str, Any], Told], Any]) -> Callable[[Asker, Path, dict[str, Any]], None]:
    """The function as `run_apart` has it called; its result must be ready for JSON."""

    def do(asker: Asker, _: Path, request: dict[str, Any]) -> None:
        asker.tell("end", result=does(request, Told(asker)))

    return do

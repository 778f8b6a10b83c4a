"""What the commands share: messages, progress, tables, errors as one line."""

import functools
import json
import math
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from amiss.errors import AmissError, Notice, UsageError, showable

if TYPE_CHECKING:  # commands import what they run when they run: torch takes seconds
    from amiss.jobs import JobReport, OnProgress

P = ParamSpec("P")
R = TypeVar("R")
_PLAIN_STEPS = 10  # progress lines where there is no terminal, but
_LEAST_S, _MOST_S = 2.0, 60.0  # at least and at most so long after the one before
_COUNT = re.compile(r"\d+ of \d+ ")  # of a job that counts for itself

out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that amiss raises on purpose into one line on stderr and their exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            for name, value in kwargs.items():
                _check_path(name, value)
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return command(*args, **kwargs)
        except AmissError as error:
            fail(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            fail("stopped. What was finished is kept")
            raise typer.Exit(1) from None
        finally:
            _tell_counts()

    return run


def _check_path(name: str, value: object) -> None:
    """Refuse a URL where a path of this machine is meant: pathlib would take it for a folder called `s3:`.

    Raises:
        UsageError: it is one.
    """
    if isinstance(value, Path) and ":" in str(value):
        from amiss.storage import is_address

        if is_address(value):
            raise UsageError(f"--{name.replace('_', '-')} {value}: here a path of this machine is meant, not a URL")


# What differs between warnings of one kind: what stands in quotes, and names and numbers.
_DIFFERS = re.compile(r"""'[^']*'|"[^"]*"|\S*[\d/\\_]\S*""")
_warned: dict[str, list[str]] = {}  # kind → its texts, each once


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, Notice):
        note(_one_line(str(message)))
    elif issubclass(category, UserWarning):
        told = _warned.setdefault(_kind(str(message)), [])
        if not told:
            warn(str(message))
        if str(message) not in told:
            told.append(str(message))


def _tell_counts() -> None:
    for told in _warned.values():
        if len(told) > 1:
            more = f"{len(told) - 1} more warnings like the first of them; the last: " if len(told) > 2 else ""
            warn(more + told[-1])
    _warned.clear()


def was_warned(text: str) -> bool:
    """Whether a warning has said this in this run of a command."""
    return any(text in told for told in _warned.values())


def _kind(message: str) -> str:
    return _DIFFERS.sub("…", message)


def fail(message: str) -> None:
    """Print an error line."""
    err.print("[bold red]error:[/]", _one_line(message), markup=True)


def warn(message: str) -> None:
    """Print a warning line."""
    err.print("[yellow]warning:[/]", _one_line(message), markup=True)


def note(message: str) -> None:
    """Print a remark that is not the result."""
    err.print(message, markup=False)


def shipped_detector() -> Path:
    """The detector that comes with amiss, and what to know of it."""
    from amiss.jobs import shipped_detector

    note("the detector that comes with amiss: it learned fights and drawn scenes. Your own videos train a better one")
    return shipped_detector()


def _one_line(message: str) -> str:
    return showable(" ".join(message.split())).replace("[", r"\[")


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """Print a table on stdout; None is shown as a dash, fractions with three digits."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    numeric = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    for name, is_number in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    out.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value).replace("[", r"\[")


@contextmanager
def progress(action: str) -> "Iterator[OnProgress]":
    """A bar with words on a terminal, some plain lines elsewhere; both on stderr."""
    words = _Words()
    if not err.is_terminal:
        yield _plain_progress(action, words)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(max(8, min(err.width // 8, 40))),
        TextColumn("{task.fields[words]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
    )
    with Progress(*columns, console=err, transient=True, expand=True) as bar:
        task = bar.add_task(action, total=None, words="starting")

        def show(done: float, total: float, what: str) -> None:
            text = words.of(time.monotonic(), done, total, what)
            bar.update(task, completed=done, total=total or None, words=text)

        yield show


class _Words:
    """Share, time left, how many of how many, and what: the most important first, as terminals are narrow."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None  # second and share from where time left is reckoned

    def of(self, now: float, done: float, total: float, what: str) -> str:
        """What is shown at a second `now`."""
        share = done / total if total else 1.0
        if self._first is None or share <= self._first[1]:  # also where the next part of a job begins anew
            self._first = now, share
        passed_s, gained = now - self._first[0], share - self._first[1]
        words = [] if done and not total else [f"{int(100 * share)}%"]
        if gained > 0 and share < 1:
            words.append(f"{timedelta(seconds=round(passed_s * (1 - share) / gained))} left")
        words.append(showable(f"{_count(done, total, what)}{what}".rstrip()))
        return ", ".join(filter(None, words))


def _count(done: float, total: float, what: str) -> str:
    """How many of how many; a total of 0 stands for one that nobody knows, and of 1 the share says all."""
    if total == 1 or _COUNT.match(what):
        return ""
    return f"{int(done)} " if done and not total else f"{int(done)} of {total:.0f} "


def _plain_progress(action: str, words: _Words) -> "OnProgress":
    shown, last = -1, -math.inf

    def show(done: float, total: float, what: str) -> None:
        nonlocal shown, last
        now, share = time.monotonic(), done / total if total else 1.0
        step = int(_PLAIN_STEPS * share)
        text = words.of(now, done, total, what)
        is_due = step > shown and (now - last >= _LEAST_S or share >= 1)
        if is_due or now - last >= _MOST_S:
            note(f"{action}: {text}")
            shown, last = step, now

    return show


def counted(number: int, what: str) -> str:
    """`1 video`, `2 videos`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def finish(report: "JobReport", done: str) -> None:
    """Tell what was left out, warnings and failures at the end, and what was `done` with how many videos.

    Raises:
        typer.Exit: with code 1, where something failed.
    """
    for text in report.notes:
        note(text)
    kinds: dict[str, list[str]] = {}
    for video_id, message in report.warnings.items():
        kinds.setdefault(_kind(message), []).append(f"{video_id}: {message}")
    for same in kinds.values():
        warn(same[0] if len(same) == 1 else f"{len(same)} videos, such as {same[0]}")
    for video_id, message in report.failed.items():
        fail(f"{video_id}: {message}")
    skipped = f", {len(report.skipped)} already there" if report.skipped else ""
    failed = f", {len(report.failed)} failed" if report.failed else ""
    note(f"{counted(len(report.done), 'video')} {done}{skipped}{failed}")
    if report.failed:
        raise typer.Exit(1)

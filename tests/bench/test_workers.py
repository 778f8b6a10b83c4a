"""Worker processes: outcomes in order, none left behind, a death told in words."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from amiss.bench._workers import Workers
from amiss.errors import AmissError


def children() -> set[str]:
    """Processes that this one started, by id."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found.update((task / "children").read_text().split())
    return found


def test_outcomes_are_in_order_and_no_worker_is_left() -> None:
    with Workers(2) as workers:
        assert workers.map(math.sqrt, [1.0, 4.0, 9.0, 16.0]) == [1, 2, 3, 4]
        first = children()
        assert workers.map(math.sqrt, [25.0, 36.0]) == [5, 6]
        assert children() == first, "the same workers serve the next tasks"
    assert len(first - children()) >= 2


def test_no_more_are_started_than_there_are_tasks() -> None:
    with Workers(4) as workers:
        workers.map(math.sqrt, [1.0, 4.0])
        first = children()
        assert workers.map(math.sqrt, [1.0, 4.0, 9.0]) == [1, 2, 3]
        assert first < children()
        assert len(children()) == len(first) + 1


def test_one_worker_is_this_process() -> None:
    with Workers(1) as workers:
        before = children()
        assert dict(workers.each(id, [workers, before])) == {0: id(workers), 1: id(before)}
        assert children() == before


def test_a_worker_that_dies_is_told() -> None:
    with Workers(2) as workers, pytest.raises(AmissError, match=r"a worker process died.*fewer --workers"):
        workers.map(os._exit, [1, 1, 1])
    with Workers(2) as workers:
        assert workers.map(math.sqrt, [1.0, 4.0]) == [1, 2]


def test_workers_can_be_used_beside_the_main_thread() -> None:
    def use() -> list[float]:
        with Workers(2) as workers:
            return workers.map(math.sqrt, [1.0, 4.0])

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(use).result() == [1, 2]

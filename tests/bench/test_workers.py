"""Functions called on an executor: results in order, one thread each, what fails told."""

import math
import os
import sys
from types import ModuleType

import pytest
import torch

from amiss.bench._workers import Workers
from amiss.errors import AmissError, Notice
from amiss.executors import InProcess, LocalProcesses
from helpers.jobs import threads


def test_results_are_in_order_and_of_one_thread_each() -> None:
    before = torch.get_num_threads()
    with Workers(InProcess()) as workers:
        assert workers.map(math.sqrt, [1.0, 4.0, 9.0]) == [1, 2, 3]
        assert workers.map(threads, [None]) == [1]
    assert torch.get_num_threads() == before


def refuse(number: int) -> int:
    raise AmissError(f"not {number}")


def test_what_failed_leaves_nothing_for_the_next_call() -> None:
    with Workers(InProcess()) as workers:
        with pytest.raises(AmissError, match="not 1"):
            workers.map(refuse, [1, 2, 3])
        assert workers.map(math.sqrt, [9.0, 16.0]) == [3, 4]


def test_processes_stay_and_one_that_dies_takes_nothing_with_it() -> None:
    with Workers(LocalProcesses(2)) as workers:
        assert workers.map(math.sqrt, [1.0, 4.0, 9.0, 16.0]) == [1, 2, 3, 4]
        assert workers.map(threads, [None]) == [1]
        with pytest.warns(Notice, match="what it had is done again"), pytest.raises(AmissError, match="set aside"):
            workers.map(os._exit, [1])
        found = dict(workers.each(math.sqrt, [25.0, 36.0], ["a", "b"]))
        assert found == {0: 5, 1: 6}


def test_what_a_process_cannot_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ModuleType("only_here")
    exec("def double(number): return 2 * number", here.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", here)
    with Workers(LocalProcesses(1)) as workers, pytest.raises(ModuleNotFoundError, match="only_here"):
        workers.map(here.double, [1])

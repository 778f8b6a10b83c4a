"""Executors: the same outcomes wherever tasks run; what dies with a worker is done again."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amiss.errors import AmissError, Notice, UsageError
from amiss.executors import Executor, InProcess, LocalProcesses, Outcome, Run, TaskLostError, executor_for
from helpers.jobs import Trouble


def outcomes(run: Run, work: dict[str, Any]) -> dict[str, Outcome]:
    for task, what in work.items():
        run.add(task, what)
    found = list(run)
    assert sorted(one.id for one in found) == sorted(work)
    return {one.id: one for one in found}


@pytest.mark.parametrize("executor", [InProcess(), LocalProcesses(2)], ids=["here", "processes"])
def test_outcomes_are_the_same_everywhere(executor: Executor, tmp_path: Path) -> None:
    shares: dict[str, float] = {}
    with executor.start(Trouble(tmp_path), shares.__setitem__) as run:
        found = outcomes(run, {"a": 3, "b": "wrong", "c": "slow"})
        assert {one.id: one.result for one in found.values()} == {"a": 9, "b": None, "c": "slept"}
        assert str(found["b"].error) == "it is wrong"
        assert shares == {"a": 0.5, "b": 0.5, "c": 0.5}
        run.add("d", 5)
        seen = []
        for outcome in run:  # more may come meanwhile
            seen.append(outcome.result)
            if outcome.id == "d":
                run.add("e", 6)
        assert seen == [25, 36]
        with pytest.raises(KeyError, match="no work 'nonsense'"):
            outcomes(run, {"f": "nonsense"})
    assert Trouble(tmp_path).attempts("starts") <= 2


def test_processes_outlive_each_other(tmp_path: Path) -> None:
    job = Trouble(tmp_path)
    with LocalProcesses(2).start(job) as run:
        with pytest.warns(Notice) as told:
            found = outcomes(
                run, {"once": "kills once", "bad": "kills", "w": "warns", **{f"n{i}": i for i in range(6)}}
            )
        assert {task: one.result for task, one in found.items() if task.startswith("n")} == {
            f"n{i}": i * i for i in range(6)
        }
        assert found["once"].result == "survived"
        assert isinstance(found["bad"].error, TaskLostError)
        assert "set aside: 3 workers ended" in str(found["bad"].error)
        assert "SIGKILL" in str(found["bad"].error)
        assert job.attempts("bad") in (2, 3), "the first of them may have died of another task"
        assert job.attempts("once") <= 3
        texts = {str(one.message) for one in told}
        assert "look here" in texts
        assert any("what it had is done again" in text for text in texts)
        workers = {one.result for one in outcomes(run, {"p": "process"}).values()}
        assert os.getpid() not in workers
    with pytest.raises(ProcessLookupError):
        os.kill(workers.pop(), 0)


def test_what_may_go_away_is_tried_again(tmp_path: Path) -> None:
    job = Trouble(tmp_path)
    with LocalProcesses(1).start(job) as run:
        assert outcomes(run, {"b": "busy"})["b"].result == "then"
        assert job.attempts("b") == 2


def test_a_job_that_no_worker_can_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "unable").touch()
    for executor in InProcess(), LocalProcesses(1):
        with executor.start(Trouble(tmp_path)) as run, pytest.raises(AmissError, match="the weights are missing"):
            outcomes(run, {"a": 1})


_SCRIPT = """
from amiss.executors import Job, executor_for, one_by_one

class Sums(Job):
    def start(self, cpus):
        return one_by_one(sum)

def main():
    with executor_for(workers=2).start(Sums()) as run:
        run.add("first", [1, 2])
        print([outcome.result for outcome in run])
"""


def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    guard = 'if __name__ == "__main__":'
    found = {}
    for name, end in ("guarded", f"{guard} main()"), ("open", "main()"):
        script = tmp_path / f"{name}.py"
        script.write_text(f"{_SCRIPT}\n{end}\n")
        found[name] = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (found["guarded"].stdout, found["guarded"].stderr) == ("[3]\n", "")
    assert found["open"].stderr.count("Traceback") == 1
    assert guard in found["open"].stderr.splitlines()[-1]


_ONE_STARTS = """
import os, signal, time, sys
from pathlib import Path
from amiss.executors import Job, executor_for, one_by_one

starts = Path(sys.argv[1])

def work(number):
    while len(list(starts.iterdir())) < 4:  # until three others have ended
        time.sleep(0.01)
    time.sleep(0.2)
    return number

class Narrow(Job):
    def start(self, cpus):
        (starts / str(os.getpid())).touch()
        if len(list(starts.iterdir())) > 1:
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        return one_by_one(work)

if __name__ == "__main__":
    with executor_for(workers=2).start(Narrow()) as run:
        for number in range(3):
            run.add(str(number), number)
        print(sorted(outcome.result for outcome in run))
"""


def test_where_a_second_worker_can_not_start_the_first_one_does_all(tmp_path: Path) -> None:
    (tmp_path / "starts").mkdir()
    (tmp_path / "script.py").write_text(_ONE_STARTS)
    command = [sys.executable, tmp_path / "script.py", tmp_path / "starts"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stdout == "[0, 1, 2]\n", found.stderr
    assert "3 workers in a row ended before they could do anything (killed by SIGKILL); it goes on" in found.stderr


def test_choosing() -> None:
    assert executor_for().is_here
    assert executor_for(workers=1).is_here
    assert not executor_for(workers=2).is_here
    with pytest.raises(UsageError, match="workers is 0"):
        executor_for(workers=0)

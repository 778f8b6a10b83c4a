"""Jobs wait for each other, tell how far they are, and can be stopped; what they do apart ends apart."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amiss.app.jobs import Job, Jobs, StoppedError, Work, run_apart
from amiss.errors import AmissError, UsageError

WAIT_S = 20


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


def over(jobs: Jobs, job: Job) -> Job:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        found = jobs.get(job.job_id)
        assert found is not None
        if found.ended is not None:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{job.title} didn't end")


def test_jobs_run_one_after_the_other_and_tell_how_far_they_are() -> None:
    told: list[tuple[str, str, float, str]] = []
    jobs = Jobs(lambda job: told.append((job.title, job.state, job.n_done, job.what)))
    go = threading.Event()

    def first(work: Work) -> dict[str, Any]:
        work.progress(1, 2, "a.mp4")
        assert go.wait(WAIT_S)
        return {"scored": 2}

    one, two = jobs.submit("score", "one", "ada", first), jobs.submit("score", "two", "bob", lambda _: None)
    while not any(state == "running" for _, state, _, _ in told):
        time.sleep(0.01)
    assert [job.state for job in jobs.all()] == ["waiting", "running"]
    go.set()
    assert over(jobs, one).result == {"scored": 2}
    assert over(jobs, two).state == "done"
    jobs.close()
    assert ("one", "running", 1, "a.mp4") in told
    order = [title for title, state, _, _ in told if state in ("running", "done")]
    assert order == sorted(order)


def test_a_job_that_fails_says_why_and_the_next_one_runs(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Work) -> None:
        raise AmissError("rtsp://ada:secret@camera/1 is no detector")

    def breaks(_: Work) -> None:
        raise KeyError("x")

    one = over(jobs, jobs.submit("score", "one", "ada", fails))
    assert (one.state, one.problem) == ("failed", "rtsp://***@camera/1 is no detector")
    two = over(jobs, jobs.submit("score", "two", "ada", breaks))
    assert (two.state, two.problem) == ("failed", "KeyError; the log says more")
    assert "job two failed" in caplog.text
    assert over(jobs, jobs.submit("score", "three", "ada", lambda _: None)).state == "done"


def test_what_runs_and_what_waits_can_be_stopped(jobs: Jobs) -> None:
    begun = threading.Event()

    def endless(work: Work) -> None:
        begun.set()
        while True:
            work.progress(0, 0)
            time.sleep(0.01)

    one, two = jobs.submit("score", "one", "ada", endless), jobs.submit("score", "two", "ada", endless)
    assert begun.wait(WAIT_S)
    waiting = jobs.stop(two.job_id)
    assert waiting is not None
    assert (waiting.state, waiting.started) == ("stopped", None)
    jobs.stop(one.job_id)
    assert over(jobs, one).state == "stopped"
    assert jobs.stop("0" * 32) is None


def test_nobody_waits_for_what_watches(jobs: Jobs) -> None:
    end = threading.Event()
    watching = jobs.submit("calibrate", "door", "ada", lambda _: {"ended": end.wait(WAIT_S)}, watches=True)
    behind = jobs.submit("calibrate", "yard", "ada", lambda _: None, watches=True)
    assert over(jobs, jobs.submit("score", "one", "ada", lambda _: None)).state == "done"
    assert [job.state for job in (jobs.get(watching.job_id), jobs.get(behind.job_id)) if job] == ["running", "waiting"]
    assert jobs.stop(behind.job_id) is not None
    end.set()
    assert over(jobs, watching).state == "done"


def test_only_so_many_wait(jobs: Jobs) -> None:
    go = threading.Event()

    def waits(_: Work) -> None:
        go.wait(WAIT_S)

    with pytest.raises(UsageError, match="jobs are waiting already"):
        for number in range(100):
            jobs.submit("score", str(number), "ada", waits)
    go.set()


SCRIPT = """
import os, sys, time
from amiss.app.jobs import answering
from amiss.errors import AmissError

def works(request, asker):
    print("a library says something")
    asker.progress(1, 4, request["what"])
    asker.tell({"begun": 1})
    if request["what"] == "error":
        raise AmissError("no such thing")
    if request["what"] == "crash":
        print("out of luck", file=sys.stderr, flush=True)
        os.abort()
    while request["what"] == "long":
        time.sleep(0.05)
        asker.progress(2, 4)
    return {"got": request["what"]}

do = answering(works)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "worked_apart.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "worked_apart:do"


def test_a_process_answers_tells_and_ends_alone(module: str) -> None:
    progress: list[tuple[float, float, str]] = []
    told: list[object] = []
    work = Work(lambda *values: progress.append(values))
    assert run_apart(module, {"what": "é"}, "it", work, told.append) == {"got": "é"}
    assert (progress, told) == ([(1, 4, "é")], [{"begun": 1}])
    with pytest.raises(AmissError, match="no such thing"):
        run_apart(module, {"what": "error"}, "it", work)
    with pytest.raises(AmissError, match=r"the process of it ended early.*out of luck"):
        run_apart(module, {"what": "crash"}, "it", work)


def test_a_process_that_is_stopped_ends(module: str) -> None:
    stopped: list[float] = []

    def stop(*_: object) -> None:
        stopped.append(time.monotonic())
        work.stop.set()

    work = Work(stop)
    with pytest.raises(StoppedError):
        run_apart(module, {"what": "long"}, "it", work)
    assert time.monotonic() - stopped[0] < WAIT_S

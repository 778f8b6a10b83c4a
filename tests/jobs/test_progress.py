"""What is told of a job whose tasks are done by several workers."""

from amiss.jobs._progress import JobReport, TaskProgress


def test_videos_are_finished_once_and_parts_count_as_parts() -> None:
    told: list[tuple[float, str]] = []
    report = JobReport()
    progress = TaskProgress(
        3, report, lambda done, total, what: told.append((done / total, what)), lambda task: task.partition("/")[0]
    )
    progress.share("a", 1.0)
    assert told[-1] == (0.99 / 3, "0 of 3 videos, a")  # it isn't there yet
    progress.finished("a")
    report.done.append("a")
    progress.show("a")
    progress.share("a", 1.0)  # what a worker said before may come late
    assert told[-1] == (1 / 3, "1 of 3 videos, a")

    progress.split("b", 4)
    progress.share("b/0", 1.0)
    half = told[-1][0]
    progress.share("b/1", 0.0)
    assert told[-1][0] == half == (1 + 0.99 / 4) / 3  # it doesn't go back
    progress.finished("b")
    report.failed["b"] = "damaged"
    progress.show("b")
    assert told[-1] == (2 / 3, "2 of 3 videos, 1 failed, b")
    progress.end()
    assert told[-1] == (1.0, "3 of 3 videos")

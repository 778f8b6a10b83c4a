"""How far a job is, for Prometheus."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amiss.errors import UsageError, how_to_install
from amiss.executors._base import Executor, Job, Outcome, Run, Tell

_HOST = "127.0.0.1"  # whoever is to read it from elsewhere gets it through a proxy that knows who asks


class RunMetrics:
    """Counts of all jobs that were started by executors which have it (`executor_for`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._added, self._clips, self._seconds = Counter[str](), Counter[str](), Counter[str]()
        self._ended = Counter[tuple[str, str]]()  # job, done or failed
        self._of_workers = Counter[tuple[str, int]]()
        self._runs: dict[str, Run] = {}

    def begin(self, job: Job, run: Run) -> None:
        """A job begins."""
        with self._lock:
            self._runs[job.name] = run

    def add(self, job: Job) -> None:
        """It has a task more."""
        with self._lock:
            self._added[job.name] += 1

    def end(self, job: Job, outcome: Outcome) -> None:
        """A task is finished."""
        with self._lock:
            self._ended[job.name, "failed" if outcome.error is not None else "done"] += 1
            self._of_workers[job.name, outcome.worker] += 1
            if outcome.error is None:
                self._clips[job.name] += job.clips_of(outcome.result)
            self._seconds[job.name] = round(time.time())

    def describe(self) -> list[Any]:
        """Nothing: names depend on what runs."""
        return []

    def collect(self) -> Iterator[Any]:
        """The metrics as they are now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        tasks = GaugeMetricFamily(
            "amiss_job_tasks", "Tasks (videos, ranges of long ones, trainings) by state", labels=("job", "state")
        )
        clips = CounterMetricFamily("amiss_job_clips", "Clips of finished tasks", labels=("job",))
        workers = GaugeMetricFamily("amiss_job_workers", "Workers that are ready", labels=("job",))
        each = CounterMetricFamily("amiss_job_worker_tasks", "Tasks that a worker has ended", labels=("job", "worker"))
        last = GaugeMetricFamily(
            "amiss_job_last_task_timestamp_seconds", "When a task was finished last", labels=("job",)
        )
        with self._lock:
            for job, run in self._runs.items():
                ended = {state: self._ended[job, state] for state in ("done", "failed")}
                for state, count in {"left": self._added[job] - sum(ended.values()), **ended}.items():
                    tasks.add_metric((job, state), count)
                clips.add_metric((job,), self._clips[job])
                workers.add_metric((job,), run.n_workers)
                if job in self._seconds:
                    last.add_metric((job,), self._seconds[job])
            for (job, worker), count in sorted(self._of_workers.items()):
                each.add_metric((job, str(worker)), count)
        yield from (tasks, clips, workers, each, last)


class Metered(Executor):
    """Another executor, whose jobs are counted."""

    def __init__(self, executor: Executor, metrics: RunMetrics) -> None:
        self._executor, self._metrics = executor, metrics
        self.is_here = executor.is_here

    def start(self, job: Job, on_share: Tell = lambda *_: None) -> Run:
        run = self._executor.start(job, on_share)
        self._metrics.begin(job, run)
        return _MeteredRun(run, job, self._metrics)


class _MeteredRun(Run):
    def __init__(self, run: Run, job: Job, metrics: RunMetrics) -> None:
        self._run, self._job, self._metrics = run, job, metrics

    @property
    def n_workers(self) -> int:  # type: ignore[override]
        return self._run.n_workers

    def add(self, task: str, work: Any) -> None:
        self._metrics.add(self._job)
        self._run.add(task, work)

    def __iter__(self) -> Iterator[Outcome]:
        for outcome in self._run:
            self._metrics.end(self._job, outcome)
            yield outcome

    def close(self) -> None:
        self._run.close()


@contextmanager
def serve_metrics(port: int | None) -> Iterator[RunMetrics | None]:
    """Metrics at http://127.0.0.1:PORT/metrics while the block runs; None = none.

    Raises:
        UsageError: prometheus-client is not installed, or the port can't be had.
    """
    if port is None:
        yield None
        return
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise UsageError(
            f"prometheus_client is not installed; --metrics-port needs {how_to_install('watch')}"
        ) from None
    metrics, registry = RunMetrics(), CollectorRegistry()
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, _HOST, registry)
    except OSError as error:
        raise UsageError(f"port {port} of {_HOST} can't be had for metrics: {error.strerror}; take another") from error
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Executors: tasks in, outcomes out as they are finished; in this process, in local processes, or on a Ray cluster.

    class Sums(Job):
        def start(self, cpus):                       # once on each worker: load what all tasks need
            return one_by_one(sum)

    with executor_for(cluster="auto").start(Sums()) as run:
        run.add("first", [1, 2])
        for outcome in run:                          # as they are finished; more may be added meanwhile
            print(outcome.id, outcome.result, outcome.error)

The results don't depend on the executor. A worker that dies is replaced, and what it had is done again elsewhere; a
task that ends its workers is set aside, with the reason. Nothing in here knows of video.
"""

from amiss.executors._base import Executor, Feed, Job, Outcome, Perform, Run, TaskLostError, Tell, one_by_one
from amiss.executors._choice import executor_for
from amiss.executors._in_process import InProcess
from amiss.executors._metrics import RunMetrics, serve_metrics
from amiss.executors._processes import LocalProcesses
from amiss.executors._ray import RayCluster, connect_ray, reason_of_loss

__all__ = [
    "Executor",
    "Feed",
    "InProcess",
    "Job",
    "LocalProcesses",
    "Outcome",
    "Perform",
    "RayCluster",
    "Run",
    "RunMetrics",
    "TaskLostError",
    "Tell",
    "connect_ray",
    "executor_for",
    "one_by_one",
    "reason_of_loss",
    "serve_metrics",
]

"""Which executor."""

from amiss.errors import UsageError
from amiss.executors._base import Executor
from amiss.executors._in_process import InProcess
from amiss.executors._metrics import Metered, RunMetrics
from amiss.executors._processes import LocalProcesses
from amiss.executors._ray import RayCluster


def executor_for(
    cluster: str | None = None,
    workers: int | None = None,
    cpus: int | None = None,
    metrics: RunMetrics | None = None,
) -> Executor:
    """The executor that was asked for.

    Args:
        cluster: `local` (Ray on this machine), `auto` (the cluster that this machine is part of), `host:port`, or
            `ray://host:port`; None = without Ray.
        workers: most of them at a time. None = on Ray, one per GPU, or as many as its CPUs allow; else this process.
        cpus: of each worker; None = the executor's choice.
        metrics: count its jobs.

    Raises:
        UsageError: not one worker, no such cluster, or Ray is not installed.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    chosen: Executor
    if cluster is not None:
        chosen = RayCluster(cluster, workers, cpus)
    else:
        chosen = InProcess() if workers in (None, 1) else LocalProcesses(workers or 1, cpus)
    return chosen if metrics is None else Metered(chosen, metrics)

"""Tasks on a Ray cluster."""

import logging
import os
import re
import time
from pathlib import Path
from typing import Any

from amiss.errors import UsageError, how_to_install
from amiss.executors._base import Executor, Job, Run, Tell
from amiss.executors._dispatch import Pool, PoolRun, Worker
from amiss.executors._ray_worker import OTHER_CALLS, RayWorker
from amiss.executors._worker import Message

_CPUS_PER_WORKER = 2  # one that decodes, one for the network
_MOST_CPUS = 16  # of a worker with a GPU: so many processes decode for one at most
_TOLD_S = 5.0
_PATIENCE = "RAY_gcs_server_port_wait_time_s"


class RayCluster(Executor):
    """Runs tasks on a Ray cluster; Ray places the workers, each on a GPU of its own where there are some.

    Args:
        address: `local` (this machine alone), `auto` (the cluster that this machine is part of), `host:port`, or
            `ray://host:port` (Ray's client port).
        workers: most at a time; None = one per GPU, or as many as the CPUs allow that are there at the start.
        cpus: of each; None = 2, or beside a GPU its share of them.

    Raises:
        UsageError: Ray is not installed.
    """

    def __init__(self, address: str, workers: int | None = None, cpus: int | None = None) -> None:
        _import_ray()
        self._address, self._workers, self._cpus = address, workers, cpus

    def start(self, job: Job, on_share: Tell = lambda *_: None) -> Run:
        pool = _Actors(self._address, job, self._workers, self._cpus)
        return PoolRun(pool, job, on_share)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UsageError(f"ray is not installed; a cluster needs {how_to_install('cluster')}") from None
    return ray


class _Actor(Worker):
    def __init__(self, number: int, handle: Any) -> None:
        super().__init__(number)
        self.handle = handle


class _Actors(Pool):
    def __init__(self, address: str, job: Job, workers: int | None, cpus: int | None) -> None:
        self._job = job
        self.where = f"the Ray cluster {address!r}"
        ray, self._is_ours = connect_ray(address)
        self._ray = ray
        there = ray.cluster_resources()
        self._n_gpus = 1 if there.get("GPU", 0) >= 1 else 0
        n_cpus = int(there.get("CPU", 1))
        if self._n_gpus:
            self.size = workers or int(there["GPU"])
            self._n_cpus = cpus or max(1, min(_MOST_CPUS, n_cpus // int(there["GPU"])))
        else:
            self._n_cpus = cpus or max(1, min(_CPUS_PER_WORKER, *(int(n) for n in _cpus_of_nodes(ray))))
            self.size = workers or max(1, n_cpus // self._n_cpus)
        self._environment = {name: value for name, value in os.environ.items() if name.startswith("AMISS_")}
        self._calls: dict[Any, _Actor] = {}

    def start(self, number: int) -> Worker:
        actor = self._ray.remote(RayWorker).options(
            name=f"amiss {self._job.name} {os.getpid()}-{number}",
            num_cpus=self._n_cpus,
            num_gpus=self._n_gpus,
            max_concurrency=1 + self._job.ahead + OTHER_CALLS,
            max_restarts=0,  # a worker that died is another one afterwards: what it had is looked at
        )
        worker = _Actor(number, actor.remote(self._job, self._n_cpus, self._environment, str(Path.cwd())))
        self._calls[worker.handle.ready.remote()] = worker
        return worker

    def give(self, worker: Worker, task: str, work: Any) -> None:
        assert isinstance(worker, _Actor)
        call = worker.handle.do.options(name=f"{self._job.name} {task}").remote(task, work)
        self._calls[call] = worker

    def wait(self, timeout_s: float) -> list[tuple[Worker, Message]]:
        if not self._calls:
            time.sleep(timeout_s)
            return []
        calls = list(self._calls)
        ended, _ = self._ray.wait(calls, num_returns=1, timeout=timeout_s)
        if ended:  # all that have, not only the first
            ended, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        heard: list[tuple[Worker, Message]] = []
        for call in ended:
            worker = self._calls.pop(call, None)
            if worker is not None:
                heard.extend((worker, message) for message in self._said(call, worker))
        return heard

    def _said(self, call: Any, worker: _Actor) -> list[Message]:
        try:
            said = self._ray.get(call)
        except self._ray.exceptions.RayError as error:  # it died, or what it said was lost with its node
            self._dismiss(worker)
            return [Message("died", value=reason_of_loss(error))]
        messages = said if isinstance(said, list) else [said]
        if isinstance(said, list) or said.kind == "ready":
            self._calls[worker.handle.told.remote(_TOLD_S)] = worker
        return messages

    def _dismiss(self, worker: _Actor) -> None:
        for call in [call for call, whose in self._calls.items() if whose is worker]:
            del self._calls[call]
        self._ray.kill(worker.handle)

    def close(self) -> None:
        for worker in set(self._calls.values()):
            self._dismiss(worker)
        if self._is_ours:
            self._ray.shutdown()


def connect_ray(address: str) -> tuple[Any, bool]:
    """Ray, connected to a cluster, and whether it wasn't before: then whoever called shuts it down.

    Args:
        address: see `RayCluster`.

    Raises:
        UsageError: no such cluster, or Ray is not installed.
    """
    ray = _import_ray()
    is_new = not ray.is_initialized()
    if is_new:
        _connect(ray, address)
    return ray, is_new


def _connect(ray: Any, address: str) -> None:
    was_patient = os.environ.get(_PATIENCE)
    os.environ[_PATIENCE] = was_patient or "1"  # where nobody is there, Ray would ask for ten minutes
    try:
        ray.init(address=address, namespace="amiss", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, OSError, TimeoutError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UsageError(
            f"no Ray cluster at {address!r} ({reason}): start one (`ray start --head`), or take --cluster local"
        ) from error
    finally:
        if was_patient is None:
            del os.environ[_PATIENCE]


def _cpus_of_nodes(ray: Any) -> list[float]:
    """Of each node that has some."""
    found = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return [count for count in found if count >= 1] or [1.0]


_SIGNS = {
    "node died": "its node was lost",
    "NODE_DIED": "its node was lost",
    "OUT_OF_MEMORY": "it was ended for want of memory",
    "ray.kill": "it was ended",
}
_ERROR = re.compile(r"^\w+(?:\.\w+)*(?:Error|Exception): .+", re.MULTILINE)


def reason_of_loss(error: Exception) -> str:
    """What Ray says of a worker's end, in few words."""
    text = str(error)
    for sign, words in _SIGNS.items():
        if sign in text:
            return words
    raised: list[str] = _ERROR.findall(text)
    return raised[-1].strip() if raised else "its process ended"

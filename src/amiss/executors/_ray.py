"""Tasks on a Ray cluster."""

import logging
import os
import re
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from amiss.errors import AmissError, UsageError, how_to_install
from amiss.executors._base import Executor, Job, Run, Tell
from amiss.executors._dispatch import Pool, PoolRun, Worker
from amiss.executors._ray_worker import OTHER_CALLS, Answer, RayWorker
from amiss.executors._worker import Message

_CPUS_PER_WORKER = 2  # one that decodes, one for the network
_MOST_CPUS = 16  # of a worker with a GPU: so many processes decode for one at most
_TOLD_S = 5.0
_REACHED_S = 10.0
_TRIES = 5
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
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # else Ray looks for another cluster where one is lost
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
        self.n_heard = 0  # of what it told beside results


class _Actors(Pool):
    def __init__(self, address: str, job: Job, workers: int | None, cpus: int | None) -> None:
        self._job = job
        self.where = f"the Ray cluster {address!r}"
        self._calls: dict[Any, _Actor] = {}
        self._ray, self._is_ours = connect_ray(address)
        try:
            with self._connected():
                nodes = _nodes(self._ray)
        except Exception:
            self.close()
            raise
        n_gpus = sum(gpus for _, gpus in nodes)
        if n_gpus:
            self._n_cpus = cpus or min(_MOST_CPUS, *(max(1, there // gpus) for there, gpus in nodes if gpus))
            self.size = workers or n_gpus
        else:
            self._n_cpus = cpus or min(_CPUS_PER_WORKER, *(there for there, _ in nodes))
            self.size = workers or max(1, sum(there // self._n_cpus for there, _ in nodes))
        self._n_gpus = min(1, n_gpus)
        self._environment = {name: value for name, value in os.environ.items() if name.startswith("AMISS_")}

    def start(self, number: int) -> Worker:
        with self._connected():
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
        with self._connected():
            call = worker.handle.do.options(name=f"{self._job.name} {task}").remote(task, work)
            self._calls[call] = worker  # Ray's client asks the cluster for a call's hash

    def wait(self, timeout_s: float) -> list[tuple[Worker, Message]]:
        if not self._calls:
            time.sleep(timeout_s)
            return []
        calls = list(self._calls)
        heard: list[tuple[Worker, Message]] = []
        with self._connected():
            ended, _ = self._ray.wait(calls, num_returns=1, timeout=timeout_s)
            if ended:  # all that have, not only the first
                ended, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
            for call in ended:
                worker = self._calls.pop(call, None)
                if worker is not None:
                    heard.extend((worker, message) for message in self._said(call, worker))
        return heard

    def _said(self, call: Any, worker: _Actor) -> list[Message]:
        try:
            said: Answer = self._ray.get(call)
        except self._ray.exceptions.RayError as error:  # it died, or what it said was lost with its node
            if not self._ray.is_initialized():  # or all is lost
                raise
            self._dismiss(worker)
            return [Message("died", value=reason_of_loss(error))]
        messages = said.told[worker.n_heard - said.first :]  # the rest was in other answers
        worker.n_heard += len(messages)
        if said.result is None or said.result.kind == "ready":
            self._calls[worker.handle.told.remote(worker.n_heard, _TOLD_S)] = worker
        return messages if said.result is None else [*messages, said.result]

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Within, the loss of the cluster itself is told in our words."""
        try:
            yield
        except Exception as error:  # Ray's client raises a plain one, too
            if self._ray.is_initialized() and not isinstance(error, ConnectionError):
                raise
            raise AmissError(
                f"{self.where} was lost ({_first_line(error)}): see that its first machine runs, and give the same "
                "command again"
            ) from error

    def _dismiss(self, worker: _Actor) -> None:
        for call in [call for call, whose in self._calls.items() if whose is worker]:
            del self._calls[call]
        self._ray.kill(worker.handle)

    def close(self) -> None:
        with suppress(Exception):  # of a cluster that was lost, and they with it; Ray's client raises plain ones, too
            if self._ray.is_initialized():
                for worker in set(self._calls.values()):
                    self._dismiss(worker)
        if self._is_ours:
            with suppress(Exception):
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
    _check_address(address)
    was_patient = os.environ.get(_PATIENCE)
    if address != "local":  # one that starts here may take longer than a second
        os.environ[_PATIENCE] = was_patient or "1"  # where nobody is there, Ray would ask for ten minutes
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # of a cluster that is lost our error tells
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the error tells
            _init_with_patience(ray, address)
    except Exception as error:  # of many kinds, some of them a bare Exception
        if address == "local":
            raise UsageError(
                f"Ray doesn't start on this machine ({_first_line(error)}): where it has much else to do, try again "
                "later, or take --workers"
            ) from error
        raise UsageError(
            f"no Ray cluster at {address!r} ({_first_line(error)}): start one (`ray start --head`), or take --cluster "
            "local; where it asks for a token, set RAY_AUTH_MODE=token"
        ) from error
    finally:
        if was_patient is None:
            os.environ.pop(_PATIENCE, None)


def _init_with_patience(ray: Any, address: str) -> None:
    """Ray's head forks a process for each driver of the client's port, which now and then dies as it is born."""
    for _ in range(_TRIES - 1):
        with suppress(ConnectionAbortedError):
            return _init(ray, address)
    return _init(ray, address)


def _init(ray: Any, address: str) -> None:
    ray.init(address=address, namespace="amiss", log_to_driver=False, logging_level=logging.ERROR)


def _check_address(address: str) -> None:
    """Refuse at once what Ray would try for more than a minute."""
    if address in ("local", "auto"):
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("", "ray"):
        raise UsageError(f"cluster is {address!r}; it must be local, auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), _REACHED_S).close()
    except OSError as error:
        raise UsageError(
            f"no Ray cluster at {address!r} ({error.strerror or error}): start one (`ray start --head`), or see that "
            "its port can be reached from here"
        ) from error


def _first_line(error: Exception) -> str:
    """And the last one, where the first only announces it."""
    lines = (str(error).strip() or type(error).__name__).split("\n")
    return f"{lines[0]} {lines[-1].strip()}" if lines[0].endswith(":") and lines[1:] else lines[0]


def _nodes(ray: Any) -> list[tuple[int, int]]:
    """CPUs and GPUs of each node on which a worker could be."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = [(int(there.get("CPU", 0)), int(there.get("GPU", 0))) for there in resources]
    return [(cpus, gpus) for cpus, gpus in found if cpus] or [(1, 0)]


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

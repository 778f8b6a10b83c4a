"""A small Ray cluster on this machine, whose workers and nodes can be lost."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers import ROOT
from helpers.streams import free_port
from helpers.waiting import wait_until
from helpers.workers import send

HEAD = "127.0.0.2"  # Ray takes 127.0.0.1 for the machine's name in its network
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


DRIVER = f"""
import ray, sys
from amiss.jobs import extract_targets
ray.init(address=sys.argv[1], _node_ip_address={HEAD!r}, **{QUIET!r})
extract_targets([sys.argv[2]], "motion", sys.argv[3], cluster="auto")
"""
"""Extracts in a process of its own: arguments are the cluster, a folder of videos, the feature set."""


def node(number: int, cpus: int, gpus: int = 0) -> dict[str, Any]:
    """Cheap, silent, and reached from this machine alone."""
    return {
        "num_cpus": cpus,
        "num_gpus": gpus,
        "node_ip_address": f"127.0.0.{number}",
        "object_store_memory": 80 << 20,
        "include_dashboard": False,
        "include_log_monitor": False,
    }


class Nodes:
    """A head on which nothing is run, and two nodes with one CPU each."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args=node(2, 0))
        self.lost = self.cluster.add_node(**node(3, 1))
        self.cluster.add_node(**node(4, 1))
        ray.init(address=self.cluster.address, _node_ip_address=HEAD, **QUIET)

    def replace(self) -> None:
        """One is lost, a new one comes."""
        self.cluster.remove_node(self.lost, allow_graceful=False)
        self.lost = self.cluster.add_node(**node(5, 1))

    @contextmanager
    def one_more(self, cpus: int, gpus: int) -> Iterator[None]:
        """Within, there is another node; Ray only counts its GPUs."""
        added = self.cluster.add_node(**node(6, cpus, gpus))
        try:
            yield
        finally:
            self.cluster.remove_node(added)

    def workers(self, name: str = "RayWorker") -> list[int]:
        """Processes of these nodes in which actors of this class live."""
        raylets = {
            process.process.pid for one in self.cluster.list_all_nodes() for process in one.all_processes["raylet"]
        }
        return [pid for pid in children(raylets) if name.encode() in read(Path(f"/proc/{pid}/cmdline"))]

    def close(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()


class Head:
    """What `ray start --head` starts, with a port for drivers of other machines. All of it can be lost."""

    def __init__(self, log: Path) -> None:
        self.environment = os.environ | {
            "RAY_AUTH_MODE": "disabled",
            "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
        }
        gcs, client = free_port(), free_port()
        self.address = f"ray://127.0.0.1:{client}"
        options = ["--head", "--block", "--num-cpus=1", "--include-dashboard=false", "--object-store-memory=80000000"]
        options += ["--node-ip-address=127.0.0.8", f"--port={gcs}", f"--ray-client-server-port={client}"]
        options += ["--min-worker-port=0", "--max-worker-port=0"]  # any that are free, not those two
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *options],
                env=self.environment, stdout=file, stderr=file,
            )  # fmt: skip
        wait_until(lambda: b"Ray runtime started" in read(log) or self._process.poll() is not None, 120)
        assert self._process.poll() is None, log.read_text()

    def kill(self) -> None:
        if self._process.poll() is None:
            send(signal.SIGKILL, (*children({self._process.pid}), self._process.pid))
            self._process.wait()


def children(parents: set[int]) -> list[int]:
    return [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if (status := read(folder / "stat")) and int(status.rpartition(b")")[2].split()[1]) in parents
    ]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """They can import what tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else whatever runs beside the tests goes before
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
        )
        try:
            nodes = Nodes()
        except Exception:  # Ray's own: on a busy machine a node may not be there within its 30 s
            nodes = Nodes()
        try:
            yield nodes
        finally:
            nodes.close()


@contextmanager
def ray_head(log: Path) -> Iterator[Head]:
    """What it says goes to a file."""
    try:
        head = Head(log)
    except AssertionError:  # see `ray_nodes`
        head = Head(log)
    try:
        yield head
    finally:
        head.kill()

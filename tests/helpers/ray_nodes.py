"""A small Ray cluster on this machine, whose workers and nodes can be lost."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from helpers import ROOT

HEAD = "127.0.0.2"  # Ray takes 127.0.0.1 for the machine's name in its network
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


def node(number: int, cpus: int) -> dict[str, Any]:
    """Cheap, silent, and reached from this machine alone."""
    return {
        "num_cpus": cpus,
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

    def workers(self, name: str = "RayWorker") -> list[int]:
        """Processes of these nodes in which actors of this class live."""
        raylets = {
            process.process.pid for one in self.cluster.list_all_nodes() for process in one.all_processes["raylet"]
        }
        return [
            int(folder.name)
            for folder in Path("/proc").glob("[0-9]*")
            if name.encode() in read(folder / "cmdline")
            and int(read(folder / "stat").rpartition(b")")[2].split()[1]) in raylets
        ]

    def close(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()


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

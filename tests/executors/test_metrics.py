"""Metrics of a job, as Prometheus reads them."""

import re
import urllib.request
from pathlib import Path

import pytest

from amiss.errors import UsageError
from amiss.executors import executor_for, serve_metrics
from helpers.jobs import Trouble
from helpers.streams import free_port

pytest.importorskip("prometheus_client", reason="needs amiss[watch]")


def read(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(amiss_\S+) (\S+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_and_what_is_left(workers: int, tmp_path: Path) -> None:
    port = free_port()
    with serve_metrics(port) as metrics, executor_for(workers=workers, metrics=metrics).start(Trouble(tmp_path)) as run:
        for task, work in {"a": 3, "b": 4, "wrong": "wrong"}.items():
            run.add(task, work)
        seen = []
        for _ in run:
            found = read(port)
            seen.append([found[f'amiss_job_tasks{{job="square",state="{s}"}}'] for s in ("left", "done", "failed")])
        assert [row[0] for row in seen] == [2, 1, 0]
        assert seen[-1] == [0, 2, 1]
        assert 1 <= found['amiss_job_workers{job="square"}'] <= workers
        assert sum(value for name, value in found.items() if name.startswith("amiss_job_worker_tasks_total")) == 3
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1"), serve_metrics(port):
            pass
    with pytest.raises(OSError, match="refused"):
        read(port)


def test_none_without_a_port() -> None:
    with serve_metrics(None) as metrics:
        assert metrics is None

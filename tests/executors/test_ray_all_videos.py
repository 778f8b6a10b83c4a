"""All real videos, extracted on a Ray cluster into a store, through every fault: the bytes of an undisturbed run."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amiss.errors import Notice
from amiss.features import FeatureSetWriter
from amiss.jobs import extract_targets
from amiss.storage import Url, listed
from helpers.ray_nodes import DRIVER, Nodes, ray_nodes
from helpers.s3 import S3Server
from helpers.waiting import wait_until

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

REFUSES_S = 5.0


@pytest.fixture(scope="module")
def nodes(s3_server: S3Server) -> Iterator[Nodes]:
    """They know the store."""
    with ray_nodes() as nodes:
        yield nodes


def test_a_lost_driver_worker_node_and_store_change_no_byte(
    nodes: Nodes,
    shared: Path,
    bucket: str,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    videos, out = shared / "data", Url(bucket) / "features"
    here = extract_targets([videos], "motion", tmp_path / "here")
    assert len(here.done) > 500

    arguments = [nodes.cluster.address, str(videos), str(out)]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.DEVNULL)
    wait_until(lambda: driver.poll() is not None or sum(name.endswith(".npy") for name in listed(out)) >= 30, 3600)
    driver.kill()
    driver.wait()

    n_before = s3_server.n_turned_away

    def refuse() -> None:
        with s3_server.closed("refuse"):
            wait_until(lambda: s3_server.n_turned_away > n_before, 3600)
            time.sleep(REFUSES_S)

    faults: dict[str, Callable[[], object]] = {  # each after 20 more videos
        "worker killed": lambda: os.kill(nodes.workers()[0], signal.SIGKILL),
        "node killed": nodes.replace,
        f"store refuses for {REFUSES_S:g} s": lambda: threading.Thread(target=refuse, daemon=True).start(),
    }
    happened = {"driver killed": time.monotonic()}
    added: list[float] = []
    add = FeatureSetWriter.add

    def add_and_note(*arguments: Any, **named: Any) -> None:
        add(*arguments, **named)
        added.append(time.monotonic())

    def on_progress(done: float, total: float, what: str) -> None:
        if faults and len(added) >= 20 * len(happened) and nodes.workers():
            name = next(iter(faults))
            happened[name] = time.monotonic()
            faults.pop(name)()

    monkeypatch.setattr(FeatureSetWriter, "add", add_and_note)
    with pytest.warns(Notice, match="what it had is done again"):
        there = extract_targets([videos], "motion", str(out), cluster="auto", on_progress=on_progress)
    with capsys.disabled():
        for name, since in happened.items():
            print(f"{name}: the next video was there after {next(t for t in added if t > since) - since:.1f} s")
    assert not faults
    assert s3_server.n_turned_away > n_before
    assert len(there.skipped) >= 25
    assert there.failed == here.failed
    found = {name: (out / name).open("rb").read() for name in listed(out)}
    files = {path.relative_to(tmp_path / "here").as_posix(): path for path in (tmp_path / "here").rglob("*.*")}
    assert found.keys() == files.keys()
    assert [name for name, data in found.items() if data != files[name].read_bytes()] == []

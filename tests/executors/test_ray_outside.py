"""A driver outside of the cluster: through the port of Ray's client, and to addresses where no cluster is."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from amiss.errors import UsageError
from amiss.executors import connect_ray
from amiss.jobs import extract_targets
from helpers.ray_nodes import Head, ray_head
from helpers.streams import free_port
from helpers.videos import write_video
from helpers.waiting import wait_until

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    with ray_head(tmp_path / "log") as head:
        yield head


def test_through_the_port_of_the_client_until_the_head_is_lost(head: Head, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(30):
        write_video(folder / f"v{number:02}.mp4", 40)
    few = sorted(folder.iterdir())[:2]
    extract_targets(few, "motion", tmp_path / "here")

    def extract(*videos: Path, out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "amiss", "extract", *videos, "--backbone", "motion", "--out", tmp_path / out]
        return subprocess.Popen(
            [*map(str, command), "--cluster", head.address], env=head.environment, stderr=subprocess.PIPE, text=True
        )

    driver = extract(*few, out="there")
    assert "2 videos extracted" in driver.communicate(timeout=300)[1]
    assert {p.name: p.read_bytes() for p in (tmp_path / "there").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "here").iterdir()
    }
    driver = extract(folder, out="lost")
    wait_until(lambda: driver.poll() is not None or list((tmp_path / "lost").glob("[!.]*.npy")), 300)
    head.kill()
    said = driver.communicate(timeout=120)[1]
    assert driver.returncode == 1
    assert said.count("error: ") == 1
    assert f"the Ray cluster '{head.address}' was lost" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("failures", [4, 5])
def test_a_head_may_fail_to_start_a_process_for_a_driver_a_few_times(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in ten to twenty of these processes dies as it is born, where the machine is busy."""
    import ray

    left = [ConnectionAbortedError("Starting Ray client server failed.")] * failures

    def init(**_: object) -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        if failures < 5:
            connect_ray(address)
        else:
            with pytest.raises(UsageError, match=r"no Ray cluster at .* \(Starting Ray client"):
                connect_ray(address)
    assert not left


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:1", "ray://127.0.0.1", "127.0.0.1:x", "ray://:1"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(UsageError, match=r"it must be local, auto, HOST:PORT or ray://HOST:PORT"):
        connect_ray(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nobody_answers_is_told_at_once(scheme: str) -> None:
    with pytest.raises(UsageError, match=r"no Ray cluster at .* \(Connection refused\)"):
        connect_ray(f"{scheme}127.0.0.1:{free_port()}")

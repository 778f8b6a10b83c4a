"""A driver outside of the cluster: through the port of Ray's client, and to addresses where no cluster is."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amiss.errors import AmissError, UsageError
from amiss.executors import Job, Perform, connect_ray, executor_for, one_by_one
from amiss.executors._ray_worker import Answer
from amiss.executors._worker import Message
from amiss.jobs import extract_targets
from helpers.ray_nodes import Head, ray_head
from helpers.streams import free_port
from helpers.videos import write_video
from helpers.waiting import wait_until

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


class Sums(Job):
    name = "sums"

    def start(self, cpus: int | None) -> Perform:
        return one_by_one(sum)


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


class LostRay:
    """Ray's client, which finds its cluster lost at one place of those that ask it something."""

    class exceptions:  # noqa: N801 - Ray's name
        RayError = KeyError

    def __init__(self, place: str) -> None:
        self._place = place

    def at(self, place: str) -> None:
        if place == self._place:
            raise ConnectionError("Failed during this or a previous request.")

    def is_initialized(self) -> bool:
        return True  # Ray's client learns of it later

    def nodes(self) -> list[dict[str, Any]]:
        self.at("nodes")
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def remote(self, _: type) -> Any:
        actor = SimpleNamespace(ready=LostCall(self, "ready"), do=LostCall(self, "do"), told=LostCall(self, "told"))
        start = SimpleNamespace(remote=lambda *_: self.at("actor") or actor)
        return SimpleNamespace(options=lambda **_: start)

    def wait(self, calls: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self.at("wait")
        return calls, []

    def get(self, call: "LostCall") -> Answer:
        self.at("get")
        return Answer(Message("ready") if call.name == "ready" else None, 0, [])

    def kill(self, _: Any) -> None:
        raise ConnectionError


class LostCall:
    """A method of an actor, and what a call of it gives."""

    def __init__(self, ray: LostRay, name: str) -> None:
        self._ray, self.name = ray, name

    def __hash__(self) -> int:
        self._ray.at(f"hash of {self.name}")  # Ray's client asks for it
        return id(self)

    def options(self, **_: Any) -> "LostCall":
        return self

    def remote(self, *_: Any) -> "LostCall":
        self._ray.at(self.name)
        return self


@pytest.mark.parametrize(
    "place",
    ["nodes", "actor", "ready", "hash of ready", "wait", "get", "do", "hash of do", "told", "hash of told"],
)
def test_a_lost_cluster_is_told_wherever_it_is_noticed(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", LostRay(place))
    with (
        pytest.raises(AmissError, match=r"the Ray cluster 'auto' was lost \(Failed during .*give the same command"),
        executor_for("auto").start(Sums()) as run,
    ):
        run.add("first", [1, 2])
        list(run)


def test_a_connection_of_ours_that_is_lost_at_once_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    class New(LostRay):
        is_open = was_closed = False

        def is_initialized(self) -> bool:
            return self.is_open

        def init(self, **_: Any) -> None:
            self.is_open = True

        def shutdown(self) -> None:
            self.is_open, self.was_closed = False, True

    ray = New("nodes")
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(AmissError, match="was lost"):
        executor_for("local").start(Sums())
    assert ray.was_closed


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

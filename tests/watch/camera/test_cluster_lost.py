"""A whole cluster is lost under its cameras, as Ray's client tells it: by plain errors."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from amiss.detection import Detector
from amiss.errors import AmissError
from amiss.watch.camera import DetectorIdentity, ProcessLostError, model_key
from amiss.watch.camera._cluster import CameraCluster, ClusterWorker
from amiss.watch.config import CameraSettings, ClusterSettings, WorkerSettings

LOST = ConnectionError("Client is shutting down.")


class TaskError(ConnectionError):
    """As Ray gives what a task raised there: also of the kind of its cause."""


class LostRay:
    """Is lost when it is asked for something at `place`, and whatever comes after that."""

    exceptions = SimpleNamespace(
        GetTimeoutError=KeyError, ActorUnavailableError=KeyError, RayTaskError=TaskError, RayError=KeyError
    )

    def __init__(self, place: str, error: Exception = LOST) -> None:
        self._place, self._error, self.n_killed = place, error, 0

    def remote(self, _: type) -> Any:
        handle = SimpleNamespace(
            watch=SimpleNamespace(remote=lambda _: self._at("watch")),
            told=SimpleNamespace(remote=lambda *_: self._at("told")),
            forget=SimpleNamespace(remote=self.lost),
        )
        start = SimpleNamespace(remote=lambda *_: self._at("start") or handle)
        return SimpleNamespace(options=lambda **_: start)

    def wait(self, calls: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self._at("wait")
        return calls, []

    def get(self, _: Any, **__: Any) -> str:
        self._at("get")
        return ""

    def _at(self, place: str) -> None:
        if place == self._place:
            raise self._error

    def lost(self, *_: Any) -> Any:
        raise LOST

    def kill(self, _: Any) -> None:
        self.n_killed += 1
        self.lost()

    shutdown = lost


def watch(ray: LostRay, detector: Path, tmp_path: Path, patch: pytest.MonkeyPatch) -> tuple[CameraCluster, Any, Any]:
    patch.setattr("amiss.watch.camera._cluster.connect_ray", lambda _: (ray, True))
    cluster = CameraCluster(ClusterSettings(), WorkerSettings())
    key, states = model_key(detector, None), []
    made: ClusterWorker = cluster.worker(
        "door",
        CameraSettings(url=SecretStr("rtsp://127.0.0.1:9/none")),
        Detector.load(detector),
        key,
        tmp_path,
        once=False,
        reading="1",
        identity=DetectorIdentity(str(detector), key.sha256, Detector.load(detector).spec.hash),
        on_event=lambda _: None,
        on_state=lambda *told: states.append(told),
        on_score=lambda _: None,
    )
    made.start()
    made.join(10)
    return cluster, made, states


@pytest.mark.parametrize("place", ["watch", "wait", "get", "told"])
def test_a_camera_is_told_of_and_leaves_a_process_that_is_lost_with_its_cluster(
    place: str, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = LostRay(place)
    cluster, worker, states = watch(ray, detector, tmp_path, monkeypatch)
    assert isinstance(worker.error, ProcessLostError)  # it is watched again, in another process
    why = "its process on the cluster has gone: Client is shutting down."
    assert states == [("door", "stopped", why)]
    assert ray.n_killed == 1  # nobody enters it any more
    cluster.close()
    assert ray.n_killed == 1


def test_where_no_process_can_be_started_the_error_names_the_cluster(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, worker, states = watch(LostRay("start"), detector, tmp_path, monkeypatch)
    assert type(worker.error) is AmissError
    assert str(worker.error).startswith("the Ray cluster 'auto' was lost (Client is shutting down.): see that")
    assert states == []
    cluster.close()


def test_what_was_raised_there_is_no_loss_of_the_process(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, worker, _ = watch(LostRay("get", TaskError("refused")), detector, tmp_path, monkeypatch)
    assert isinstance(worker.error, TaskError)
    cluster.close()

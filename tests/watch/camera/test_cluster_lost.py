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


class LostRay:
    """Starts processes for as long as `is_there`; whatever else is asked of it fails."""

    exceptions = SimpleNamespace(GetTimeoutError=KeyError, ActorUnavailableError=KeyError, RayTaskError=KeyError)

    def __init__(self, *, is_there: bool) -> None:
        self.is_there, self.n_killed = is_there, 0

    def remote(self, _: type) -> Any:
        handle = SimpleNamespace(watch=SimpleNamespace(remote=self.lost), forget=SimpleNamespace(remote=self.lost))
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *_: self._start(handle)))

    def _start(self, handle: Any) -> Any:
        return handle if self.is_there else self.lost()

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


def test_a_camera_is_told_of_and_leaves_a_process_that_is_lost_with_its_cluster(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = LostRay(is_there=True)
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
    cluster, worker, states = watch(LostRay(is_there=False), detector, tmp_path, monkeypatch)
    assert type(worker.error) is AmissError
    assert str(worker.error).startswith("the Ray cluster 'auto' was lost (Client is shutting down.): see that")
    assert states == []
    cluster.close()

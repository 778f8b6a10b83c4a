"""Health, metrics and live pictures: what a monitor and a browser get."""

# ruff: noqa: E402  # what can't be imported skips the tests

import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs amiss[watch]")
httpx = pytest.importorskip("httpx", reason="needs amiss[dev]")

from PIL import Image as PilImage

from amiss.watch.camera import CameraCounters, CameraStatus
from amiss.watch.camera._counters import total
from amiss.watch.config import HttpSettings
from amiss.watch.http import Health, HttpServer, Metrics, Preview, ShownEvent, Watched, WatcherView, create_app
from amiss.watch.store import StoreStatus
from helpers.events import make_event

PICTURE = np.full((120, 160, 3), 90, np.uint8)


@dataclass(frozen=True)
class Picture:
    """A frame of a camera."""

    time: datetime
    image: np.ndarray


class FakeView:
    """A watcher with one camera and one event."""

    def __init__(self, media: Path) -> None:
        self.status = CameraStatus("door", "rtsp://***@192.0.2.7/", "detector", 0.7, 0.5, "by hand")
        self.picture: Picture | None = None
        self.shown = Preview(self.status, 2, lambda: self.picture)
        self.metrics = Metrics(lambda: [self.status], lambda: {"amiss_spool_events": ("Events that wait", 3)},
                               lambda: {"sent": 2})  # fmt: skip
        self.reasons: list[str] = []
        self.media = media

    def cameras(self) -> list[dict[str, Any]]:
        return [self.status.to_dict()]

    def alive(self) -> bool:
        return True

    def not_ready(self) -> list[str]:
        return self.reasons

    def metrics_text(self) -> bytes:
        return self.metrics.text()

    def preview(self, camera: str) -> Preview | None:
        return self.shown if camera == "door" else None

    def event(self, event_id: str) -> ShownEvent | None:
        if event_id == "e3":
            return ShownEvent(replace(make_event(clip="x.mp4"), event_id="e3"), clip_parts=3)
        if event_id != "e1":
            return None
        event = make_event(camera="<door>", file="<a>.mp4", file_s=62.0, peak_score=0.9, threshold_on=0.7,
                           snapshot="x.jpg", trace=((-1.0, 0.1), (0.0, 0.8), (1.0, 0.9)))  # fmt: skip
        return ShownEvent(replace(event, event_id="e1"))

    def media_file(self, event_id: str, kind: str, part: int = 1) -> Path | None:
        if (event_id, kind) == ("e3", "clip"):
            return self.media if part == 2 else None
        return self.media if (event_id, kind) == ("e1", "snapshot") else None


def watcher_view(folder: Path, health: Health = Health(), **store: Any) -> WatcherView:  # noqa: B008  # frozen
    """The view of a watcher whose store answers so."""
    fake: Any = SimpleNamespace(**store)
    watched = Watched(fake, folder, folder / "state", cameras=list, preview=lambda _: None, health=lambda: health)
    return WatcherView(watched)


@pytest.fixture
def view(tmp_path: Path) -> FakeView:
    (tmp_path / "e1.jpg").write_bytes(b"picture")
    return FakeView(tmp_path / "e1.jpg")


@pytest.fixture
def server(view: FakeView) -> Iterator[HttpServer]:
    server = HttpServer(create_app(view), HttpSettings(port=0))
    server.start()
    yield server
    server.stop()


def test_health(view: FakeView, server: HttpServer) -> None:
    assert httpx.get(f"{server.url}/health/live").status_code == 200
    assert httpx.get(f"{server.url}/health/ready").json() == {"ready": True, "reasons": []}
    view.reasons = ["the database is lost"]
    answer = httpx.get(f"{server.url}/health/ready")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["the database is lost"])


def test_metrics(view: FakeView, server: HttpServer) -> None:
    view.status.set_state("running")
    view.status.counts = total(CameraCounters(frames=100, dropped_frames=4), CameraCounters(frames=11))
    view.status.set_score(datetime.now(UTC), 0.25)
    view.metrics.event_latency.labels("door").observe(1.2)
    text = httpx.get(f"{server.url}/metrics").text
    for line in (
        'amiss_camera_state{camera="door",state="running"} 1.0',
        'amiss_camera_state{camera="door",state="stalled"} 0.0',
        'amiss_frames_total{camera="door"} 111.0',
        'amiss_frames_dropped_total{camera="door"} 4.0',
        'amiss_score_ratio{camera="door"} 0.25',
        'amiss_deliveries{state="sent"} 2.0',
        "amiss_spool_events 3.0",
        'amiss_event_latency_seconds_bucket{camera="door",le="1.5"} 1.0',
    ):
        assert line in text
    assert "process_resident_memory_bytes" in text


def test_what_the_disk_of_the_spool_did_not_take_is_said(tmp_path: Path) -> None:
    status = StoreStatus(waiting=3, waiting_bytes=10, waiting_s=1, in_memory=2, dropped=0, rejected=1, problem=None)
    view = watcher_view(tmp_path, status=lambda: status)
    (reason,) = view.not_ready()
    assert f"2 records are in memory only: make room in {tmp_path / 'state'}" in reason
    gauges = {name: value for name, (_, value) in view.gauges().items()}
    assert (gauges["amiss_spool_in_memory"], gauges["amiss_spool_rejected"]) == (2, 1)


def test_a_configuration_that_is_slow_is_not_called_wrong(tmp_path: Path) -> None:
    status = StoreStatus(waiting=0, waiting_bytes=0, waiting_s=0, in_memory=0, dropped=0, rejected=0, problem=None)
    health = Health(config_slowness="it has taken 70 s so far")
    view = watcher_view(tmp_path, health, status=lambda: status)
    assert view.not_ready() == [
        "the configuration is still being read, the one before is in use: it has taken 70 s so far"
    ]
    assert view.gauges()["amiss_config_ok"][1] == 1


def test_answers_are_not_kept_and_strangers_names_are_refused(server: HttpServer) -> None:
    answer = httpx.get(f"{server.url}/api/cameras")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()[0]["url"] == "rtsp://***@192.0.2.7/"
    assert httpx.get(f"{server.url}/api/cameras", headers={"Host": "evil.example"}).status_code == 400


def test_media_are_served_by_event_id_only(server: HttpServer) -> None:
    assert httpx.get(f"{server.url}/api/events/e1").json()["peak_score"] == 0.9
    page = httpx.get(f"{server.url}/events/e1").text
    assert "&lt;door&gt;, score 0.90" in page
    assert "&lt;a&gt;.mp4 at 0:01:02" in page
    assert '<img src="e1.jpg"' in page
    assert '<polyline points="0,0.900 1,0.200 2,0.100 "/>' in page
    assert "<dt>peak score</dt><dd>0.900</dd>" in page
    assert "<dt>problem</dt>" not in page
    answer = httpx.get(f"{server.url}/events/e1.jpg")
    assert (answer.content, answer.headers["content-type"]) == (b"picture", "image/jpeg")
    for path in (
        "e1.mp4",
        "e1-2.jpg",
        "e3-0.mp4",
        "e3-02.mp4",
        "e3-3.mp4",
        "e3-2-2.mp4",
        "e3-x.mp4",
        "e2",
        "e2.jpg",
        "e1.txt",
        "../e1.jpg",
        "..%2fe1.jpg",
        "%2e%2e/e1.jpg",
        "e1.jpg/..",
        "\\e1.jpg",
    ):
        assert httpx.get(f"{server.url}/events/{path}").status_code == 404, path


def test_all_parts_of_a_clip_are_served(server: HttpServer) -> None:
    page = httpx.get(f"{server.url}/events/e3").text
    assert 'goes on in part <a href="e3-2.mp4">2</a> <a href="e3-3.mp4">3</a></p>' in page
    answer = httpx.get(f"{server.url}/events/e3-2.mp4")
    assert (answer.content, answer.headers["content-type"]) == (b"picture", "video/mp4")
    assert "goes on" not in httpx.get(f"{server.url}/events/e1").text


def test_the_parts_of_a_clip_are_found_beside_it(tmp_path: Path) -> None:
    event = make_event(clip="day/gate/e.mp4")
    view = watcher_view(tmp_path, get_event=lambda _: SimpleNamespace(event=event, protected=False))
    folder = tmp_path / "day/gate"
    folder.mkdir(parents=True)
    shown = view.event("e")
    assert shown is not None
    assert shown.clip_parts == 0  # the retention has just removed it
    for name in ("e.mp4", "e-2.mp4", "e-4.mp4"):
        (folder / name).touch()
    shown = view.event("e")
    assert shown is not None
    assert shown.clip_parts == 2
    assert view.media_file("e", "clip") == (folder / "e.mp4").resolve()
    assert view.media_file("e", "clip", 2) == (folder / "e-2.mp4").resolve()
    assert view.media_file("e", "clip", 3) is None


def read_pictures(url: str, n: int) -> list[PilImage.Image]:
    """The first n pictures of an MJPEG stream, as a browser parses them."""
    pictures, data = [], b""
    with httpx.stream("GET", url, timeout=10) as answer:
        assert answer.status_code == 200
        boundary = ("--" + answer.headers["content-type"].partition("boundary=")[2]).encode()
        for chunk in answer.iter_raw():
            data += chunk
            while len(pictures) < n:
                head, gap, body = data.partition(b"\r\n\r\n")
                if not gap:
                    break
                assert head.startswith(boundary)
                length = int(head.partition(b"Content-Length: ")[2])
                if len(body) < length + 2:
                    break
                pictures.append(PilImage.open(io.BytesIO(body[:length])))
                data = body[length + 2 :]
            if len(pictures) == n:
                return pictures
    raise AssertionError("the stream ended")


def test_live_pictures_and_the_number_of_viewers(view: FakeView, server: HttpServer) -> None:
    stop = threading.Event()

    def play() -> None:
        now = datetime.now(UTC)
        for i in range(1000):
            view.status.set_score(now + timedelta(seconds=i), (i % 100) / 100)
            view.picture = Picture(now + timedelta(seconds=i), PICTURE)
            if stop.wait(0.02):
                return

    player = threading.Thread(target=play)
    player.start()
    try:
        url = f"{server.url}/cameras/door.mjpg"
        pictures = read_pictures(url, 3)
        assert pictures[0].size == (160, 174)
        assert abs(np.asarray(pictures[0])[60, 80].astype(int) - 90).max() < 4
        with httpx.stream("GET", url, timeout=10) as first, httpx.stream("GET", url, timeout=10) as second:
            assert (first.status_code, second.status_code) == (200, 200)
            assert httpx.get(url).status_code == 503
        until = time.monotonic() + 5
        while view.shown.viewers and time.monotonic() < until:
            time.sleep(0.05)
        assert view.shown.viewers == 0
        assert httpx.get(f"{server.url}/cameras/nobody.mjpg").status_code == 404
    finally:
        stop.set()
        player.join()


def test_a_public_address_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="no login"):
        HttpSettings(host="192.0.2.1")
    assert HttpSettings(host="::1").host == "::1"
    assert HttpSettings(host="0.0.0.0", allow_public=True).allow_public


def test_a_port_in_use_is_one_line(view: FakeView, server: HttpServer) -> None:
    from amiss.errors import OutputError

    with pytest.raises(OutputError, match=f"can't listen on 127.0.0.1:{server.port}"):
        HttpServer(create_app(view), HttpSettings(port=server.port))

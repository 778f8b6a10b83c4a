"""Prometheus metrics: read from the cameras' states when they are asked for; times are observed as they happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from amiss.video import SourceState
from amiss.watch.camera import CameraStatus

_LATENCIES = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)  # seconds

_COUNTERS = (
    ("frames", "amiss_frames", "Pictures decoded"),
    ("dropped_frames", "amiss_frames_dropped", "Pictures left out before decoding because the watcher was too slow"),
    ("damaged", "amiss_packets_damaged", "Packets not decoded, files of a folder not scored"),
    ("reconnects", "amiss_reconnects", "Connections lost, and attempts that failed"),
    ("stalls", "amiss_stalls", "Times that a connection stood but gave nothing"),
    ("clips", "amiss_clips", "Clips made of pictures"),
    ("dropped_clips", "amiss_clips_dropped", "Clips left out because the backbone was too slow"),
    ("spared_clips", "amiss_clips_spared", "Clips that the gate held to be still"),
    ("failed_clips", "amiss_clips_failed", "Clips that could not be scored"),
    ("scores", "amiss_scores", "Clips scored"),
    ("events", "amiss_events", "Events opened"),
)


class Metrics(Collector):
    """All metrics of a watcher, in a registry of their own.

    Args:
        cameras: gives the cameras' states.
        gauges: gives further numbers, name (with its unit) → (help, value).
        deliveries: gives the number of deliveries by state.
    """

    def __init__(
        self,
        cameras: Callable[[], Iterable[CameraStatus]],
        gauges: Callable[[], Mapping[str, tuple[str, float]]] = dict,
        deliveries: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._cameras, self._gauges, self._deliveries = cameras, gauges, deliveries
        self.registry = CollectorRegistry()
        self.score_latency = Histogram(
            "amiss_score_latency_seconds",
            "From the time of a clip's last frame to its score",
            ("camera",),
            registry=self.registry,
            buckets=_LATENCIES,
        )
        self.event_latency = Histogram(
            "amiss_event_latency_seconds",
            "From an event's first picture to the event on disk; the length of its clips until it opened is in it",
            ("camera",),
            registry=self.registry,
            buckets=_LATENCIES,
        )
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names depend on what runs."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        cameras = list(self._cameras())
        state = GaugeMetricFamily(
            "amiss_camera_state", "1 for the state that a camera is in", labels=("camera", "state")
        )
        offline = GaugeMetricFamily(
            "amiss_camera_offline", "1 while nothing was scored for offline_after_s", labels=("camera",)
        )
        score = GaugeMetricFamily("amiss_score_ratio", "Last smoothed score, 0 to 1", labels=("camera",))
        lag = GaugeMetricFamily(
            "amiss_lag_seconds",
            "Age of the oldest picture or clip that waits for its score",
            labels=("camera",),
        )
        drift = GaugeMetricFamily(
            "amiss_clock_drift_ratio", "Seconds that the camera's clock gains per second; 0.01: 1 % fast",
            labels=("camera",),
        )  # fmt: skip
        is_open = GaugeMetricFamily("amiss_event_open", "1 while an event is open", labels=("camera",))
        restarts = CounterMetricFamily("amiss_worker_restarts", "Workers that failed", labels=("camera",))
        counters = [(field, CounterMetricFamily(name, text, labels=("camera",))) for field, name, text in _COUNTERS]
        for camera in cameras:
            for name in get_args(SourceState):
                state.add_metric((camera.name, name), camera.state == name)
            if camera.score is not None:
                score.add_metric((camera.name,), camera.score)
            offline.add_metric((camera.name,), camera.offline_since is not None)
            lag.add_metric((camera.name,), camera.progress.lag_s)
            if camera.progress.drift is not None:
                drift.add_metric((camera.name,), camera.progress.drift)
            is_open.add_metric((camera.name,), camera.event_id is not None)
            restarts.add_metric((camera.name,), camera.restarts)
            for field, counter in counters:
                counter.add_metric((camera.name,), getattr(camera.counts, field))
        yield from (state, offline, score, lag, drift, is_open, restarts, *(counter for _, counter in counters))
        deliveries = GaugeMetricFamily("amiss_deliveries", "Messages by state", labels=("state",))
        for delivery_state, number in self._deliveries().items():
            deliveries.add_metric((delivery_state,), number)
        yield deliveries
        for name, (text, value) in self._gauges().items():
            gauge = GaugeMetricFamily(name, text)
            gauge.add_metric((), value)
            yield gauge

"""`amiss calibrate` wastes nobody's hours: mistakes are found first, and what was seen is used whatever comes after."""

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")

from amiss.backbones import create_backbone
from amiss.engines import create_engine
from amiss.engines._torch import TorchEngine
from amiss.errors import AmissError, EvaluationError, FeatureError, OutputError, UsageError, VideoError
from amiss.features import FeatureSetWriter, extract_video
from amiss.video import VideoReader, VideoWriter
from amiss.watch import Config, calibrate_camera
from amiss.watch import _calibrate as module
from amiss.watch.camera import CameraWorker
from amiss.watch.config import read_calibration, resolve_thresholds, write_calibration
from helpers.motion import write_scene

CLIPS = 10
"""Of a normal video: each takes a tenth of a second to score."""


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("normal") / "normal.mp4", [(3, 16 * CLIPS)])


@pytest.fixture
def config(detector: Path, normal: Path, tmp_path: Path) -> Callable[..., Config]:
    def make(url: str = f"replay:{normal}?loop=1&speed=0", detector: Path = detector, **options: object) -> Config:
        camera = {"url": url, "detector": detector}
        return Config.model_validate({"cameras": {"yard": camera}, "state": tmp_path / "state", **options})

    return make


def quiet(done: float, total: float, what: str) -> None:
    pass


def interrupted(after_clips: int) -> Callable[[float, float, str], None]:
    """Ctrl-C, once, as soon as so many clips were scored."""
    pressed = []

    def on_progress(done: float, total: float, what: str) -> None:
        if not pressed and int(what.split()[1]) >= after_clips:
            pressed.append(True)
            raise KeyboardInterrupt

    return on_progress


def test_what_was_seen_before_ctrl_c_is_used(config: Callable[..., Config], caplog: pytest.LogCaptureFixture) -> None:
    settings = config()
    found, path = calibrate_camera(settings, "yard", 10, hours=12, on_progress=interrupted(CLIPS))
    assert path.exists()
    kept = read_calibration(settings.state, "yard")
    assert kept == found.calibration
    assert kept.hours > CLIPS * 16 / 25 / 3600 * 0.9
    assert not kept.is_enough
    assert "of 12 hours: what was seen is used" in caplog.text


def test_a_few_seconds_do_not_replace_hours(
    config: Callable[..., Config], normal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config()
    found, path = calibrate_camera(settings, "yard", 10, videos=[normal], on_progress=quiet)
    assert "yard: too little footage" in caplog.text
    earlier = replace(found.calibration, hours=12.0, upper_per_hour=0.25, is_enough=True, threshold=0.5)
    write_calibration(settings.state, earlier)
    with pytest.raises(EvaluationError, match=r"on 12 h is kept .*too little to show 10.*alarm: \{on: 0\.\d+, off: "):
        calibrate_camera(settings, "yard", 10, videos=[normal], on_progress=quiet)
    assert read_calibration(settings.state, "yard") == earlier
    enough, _ = calibrate_camera(settings, "yard", 2000, videos=[normal], on_progress=quiet)
    assert enough.calibration.is_enough
    assert read_calibration(settings.state, "yard") == enough.calibration
    write_calibration(settings.state, replace(earlier, detector_sha256="of another one"))
    calibrate_camera(settings, "yard", 10, videos=[normal], on_progress=quiet)
    path.write_text("damaged")
    calibrate_camera(settings, "yard", 10, videos=[normal], on_progress=quiet)
    assert "it is replaced: " in caplog.text


def test_a_service_says_what_its_calibration_is_worth(config: Callable[..., Config], normal: Path) -> None:
    found = calibrate_camera(config(), "yard", 1404, videos=[normal], on_progress=quiet)[0].calibration
    alarm, sha256 = config().cameras["yard"].alarm, found.detector_sha256
    enough = replace(found, hours=12.3, upper_per_hour=0.243, is_enough=True)
    assert resolve_thresholds(alarm, enough, sha256, 0.9)[1] == (
        "its calibration (at most 0.243 false alarms an hour, 12.3 h seen)"
    )
    few = replace(found, hours=0.0021, upper_per_hour=1404.2, is_enough=False, per_hour=5)
    assert resolve_thresholds(alarm, few, sha256, 0.9)[1] == (
        "its calibration (at most 1404 false alarms an hour, 0.0021 h seen: too little footage for 5 an hour, "
        "calibrate again)"
    )


def test_a_second_ctrl_c_while_the_worker_ends_loses_nothing(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, join, asked, pressed = CameraWorker.stop, CameraWorker.join, [], []

    def noted_stop(self: CameraWorker) -> None:
        asked.append(True)
        stop(self)

    def interrupted_join(self: CameraWorker, timeout: float | None = None) -> None:
        if asked and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        join(self, timeout)

    monkeypatch.setattr(CameraWorker, "stop", noted_stop)
    monkeypatch.setattr(CameraWorker, "join", interrupted_join)
    found, path = calibrate_camera(config(), "yard", 10, hours=12, on_progress=interrupted(CLIPS))
    assert pressed
    assert path.exists()
    assert found.calibration.hours > CLIPS * 16 / 25 / 3600 * 0.9


def test_no_thread_is_left_in_torch_after_ctrl_c(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is would abort the process at its end. A real signal: it comes while the main thread waits."""
    prepare, slow = TorchEngine.prepare, threading.Event()

    def slow_prepare(self: TorchEngine, frames: NDArray[np.uint8]) -> object:
        if slow.is_set():
            time.sleep(3)  # longer than the worker waits for its reader
        return prepare(self, frames)

    monkeypatch.setattr(TorchEngine, "prepare", slow_prepare)
    pressed: list[float] = []

    def on_progress(done: float, total: float, what: str) -> None:
        if not pressed and int(what.split()[1]) >= 5:
            pressed.append(done)
            slow.set()
            main = threading.main_thread().ident
            assert main is not None
            threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT)).start()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    try:
        calibrate_camera(config(), "yard", 10, hours=0.02, on_progress=on_progress)
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("amiss-")] == []


def test_what_was_seen_before_the_camera_failed_is_used(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    score = CameraWorker._scored

    def failing(self: CameraWorker, *scored: object) -> None:
        if self._n_scores == 20:
            raise AmissError("the disk of the engine is gone")
        score(self, *scored)  # type: ignore[arg-type]

    monkeypatch.setattr(CameraWorker, "_scored", failing)
    settings = config()
    found, _ = calibrate_camera(settings, "yard", 10, hours=12, on_progress=quiet)
    assert found.calibration.hours == pytest.approx(20 * 16 / 25 / 3600, rel=0.1)
    assert "the disk of the engine is gone" in caplog.text


def test_a_result_that_cannot_be_kept_is_said(
    config: Callable[..., Config], normal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> Path:
        raise OutputError("can't write it: No space left on device")

    monkeypatch.setattr(module, "write_calibration", full)
    with pytest.raises(OutputError, match=r"No space left.*0 alarms in .*alarm: \{on: 0\.\d+, off: 0\.\d+\}"):
        calibrate_camera(config(), "yard", 10, videos=[normal], on_progress=quiet)


def test_a_video_that_fails_later_costs_only_itself(
    config: Callable[..., Config],
    normal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    extract, n_calls = module.extract_video, [0]

    def failing(*arguments: object) -> object:
        n_calls[0] += 1
        if n_calls[0] == 2:
            raise VideoError("b.mp4: cut off")
        return extract(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "extract_video", failing)
    days = [Path(shutil.copy(normal, tmp_path / name)) for name in ("b.mp4", "c.mp4")]
    found, _ = calibrate_camera(config(), "yard", 10, videos=[normal, *days, normal], on_progress=quiet)
    assert found.calibration.hours == pytest.approx(2 * CLIPS * 16 / 25 / 3600, rel=0.05)
    assert "left out: b.mp4: cut off" in caplog.text


def test_videos_of_different_rates_count_their_own_hours(
    config: Callable[..., Config], normal: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with VideoReader(normal) as reader, VideoWriter(tmp_path / "night.mp4", 5, 96, 72) as writer:
        for frame in list(reader)[:160]:
            writer.write(frame.image)
    found, _ = calibrate_camera(config(), "yard", 10, videos=[normal, tmp_path / "night.mp4"], on_progress=quiet)
    assert found.calibration.hours == pytest.approx((CLIPS * 16 / 25 + 160 / 5) / 3600, rel=0.05)
    assert "different frame rates (5, 25 a second)" in caplog.text


@pytest.mark.parametrize(
    ("per_hour", "options", "says"),
    [
        (0.0, {"hours": 1}, "must be above 0"),
        (float("nan"), {"hours": 1}, "must be above 0"),
        (1.0, {"hours": -1}, "must be above 0"),
        (1.0, {"hours": 0.0}, "must be above 0"),
        (1.0, {"videos": "missing"}, "does not exist"),
    ],
)
def test_mistakes_are_found_before_anything_is_scored(
    config: Callable[..., Config],
    normal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    per_hour: float,
    options: dict[str, object],
    says: str,
) -> None:
    if options.get("videos") == "missing":
        options = {"videos": [normal, tmp_path / "none.mp4"]}
    monkeypatch.setattr(module, "extract_video", None)
    monkeypatch.setattr(module, "CameraWorker", None)
    with pytest.raises((UsageError, VideoError), match=says):
        calibrate_camera(config(), "yard", per_hour, on_progress=quiet, **options)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_written_and_a_folder_as_camera_are_found_first(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CameraWorker", None)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="can't write"):
        calibrate_camera(config(state=tmp_path / "file"), "yard", 1, hours=1, on_progress=quiet)
    with pytest.raises(UsageError, match="give them as videos"):
        calibrate_camera(config(f"folder:{tmp_path}"), "yard", 1, hours=1, on_progress=quiet)
    settings = config()
    with pytest.raises(TypeError):  # gets as far as the worker
        calibrate_camera(settings, "yard", 1, hours=1, on_progress=quiet)
    assert list((settings.state / "calibration").iterdir()) == []


def test_folders_and_stored_features_of_a_camera(
    config: Callable[..., Config], detector: Path, normal: Path, tmp_path: Path
) -> None:
    by_video, _ = calibrate_camera(config(), "yard", 2000, videos=[normal], on_progress=quiet)
    by_folder, _ = calibrate_camera(config(), "yard", 2000, videos=[normal.parent], on_progress=quiet)
    assert replace(by_folder.calibration, made="") == replace(by_video.calibration, made="")
    engine = create_engine(create_backbone("motion", "none"))
    with FeatureSetWriter(tmp_path / "features", engine.spec) as writer:
        extracted = extract_video(normal, engine)
        writer.add("normal", extracted.features, extracted.n_frames, extracted.fps)
    stored, _ = calibrate_camera(config(), "yard", 2000, features=tmp_path / "features", on_progress=quiet)
    assert stored.calibration.hours == pytest.approx(by_video.calibration.hours)
    assert stored.calibration.threshold == by_video.calibration.threshold
    with pytest.raises(FeatureError, match="no features of video 'other'"):
        other = normal.rename(normal.with_name("other.mp4"))
        try:
            calibrate_camera(config(), "yard", 2000, videos=[other], features=tmp_path / "features", on_progress=quiet)
        finally:
            other.rename(normal)


def test_a_camera_that_could_never_alarm_gets_no_threshold(
    config: Callable[..., Config], detector: Path, normal: Path, tmp_path: Path
) -> None:
    loud = write_scene(tmp_path / "loud.mp4", [(9, 16 * CLIPS)])
    lower = Path(shutil.copytree(detector, tmp_path / "lower"))
    stored = json.loads((lower / "detector.json").read_text())
    calibration = stored["calibration"] | {"reach": 0.01, "threshold": 0.005, "n_anomalous": 20}
    (lower / "detector.json").write_text(json.dumps(stored | {"calibration": calibration}))
    with pytest.raises(EvaluationError, match=r"yard: threshold .* may never be reached.*Nothing is kept"):
        calibrate_camera(config(detector=lower), "yard", 2000, videos=[loud], on_progress=quiet)
    assert read_calibration(tmp_path / "state", "yard") is None
    found = calibrate_camera(config(), "yard", 2000, videos=[normal], on_progress=quiet)[0].calibration
    alarm = config().cameras["yard"].alarm
    resolved, source = resolve_thresholds(alarm, replace(found, threshold=1.0), found.detector_sha256, 0.9)
    assert resolved.on == 0.9
    assert "no score reaches its calibration's, 1.0000: calibrate again" in source

"""From a file's stamps to events, tables, plots and videos: all in true time."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amiss.datasets import Manifest, Video
from amiss.detection import Detector, ScoreResult, read_score_result
from amiss.errors import EvaluationError
from amiss.evaluation import evaluate
from amiss.features import open_feature_set
from amiss.jobs import DetectOutputs, detect, extract, score_figure, score_videos
from amiss.video import VideoReader, check_video
from helpers.fake_detector import SPEC, BrightnessEngine, brightness_detector
from helpers.videos import Image, write_video

CLIP_S = 16 / 5  # of the slow half
NIGHT = [i / 25 for i in range(500)] + [20 + i / 5 for i in range(500)]
EVEN = [i / 5 for i in range(600)]


def bright(n: int, first: int, after: int) -> list[Image]:
    """Frames [first, after) are white, the others black."""
    images = np.zeros((n, 48, 64, 3), np.uint8)
    images[first:after] = 255
    return list(images)


def detector_at(frame_rate: float | None, clip_len: int = 16) -> Detector:
    detector = brightness_detector(SPEC.with_(frame_rate=frame_rate, clip_len=clip_len, stride=clip_len))
    detector._engine = BrightnessEngine(detector.spec)
    return detector


def scored(path: Path, detector: Detector, out: Path | None = None, **more: object) -> ScoreResult:
    results: dict[str, ScoreResult] = {}
    report = detect({path.stem: path}, detector, out=out, on_result=results.__setitem__, **more)
    assert not report.failed, report.failed
    return results[path.stem]


@pytest.fixture(scope="module", params=["night.mp4", "night.mkv", "even.mp4"])
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 frames/s for 20 s, then 5 frames/s for 100 s; it is bright from 80 to 90 s."""
    stamps = EVEN if request.param.startswith("even") else NIGHT
    first = next(i for i, stamp in enumerate(stamps) if stamp >= 80)
    path = tmp_path_factory.mktemp("night") / request.param
    return write_video(path, bright(len(stamps), first, first + 50), fps=5 if stamps is EVEN else 25, times=stamps)


@pytest.mark.parametrize("clip_len", [32, 64])
def test_long_clips_of_files_and_of_stored_features_score_alike(night: Path, clip_len: int, tmp_path: Path) -> None:
    detector = detector_at(15.0, clip_len)
    assert detector._engine is not None
    of_file = scored(night, detector)
    extract({night.stem: night}, detector._engine, tmp_path / "features")
    of_features = scored(night, detector, features=open_feature_set(tmp_path / "features"))
    assert [clip.score for clip in of_features.clips] == [clip.score for clip in of_file.clips]
    assert [(e.start_s, e.end_s) for e in of_features.events] == [(e.start_s, e.end_s) for e in of_file.events]
    assert len(of_file.events) == 1
    clip_s = clip_len / 15
    assert of_file.events[0].start_s == pytest.approx(80, abs=clip_s)
    assert of_file.events[0].end_s == pytest.approx(90, abs=clip_s)


@pytest.mark.parametrize("frame_rate", [None, 5, 25])
def test_variable_rates_give_true_times_everywhere(night: Path, frame_rate: float | None, tmp_path: Path) -> None:
    outputs = DetectOutputs(plot=True, annotate=frame_rate is None, clips=True)
    result = scored(night, detector_at(frame_rate), tmp_path, outputs=outputs)
    (event,) = result.events
    assert (event.start_s, event.end_s) == pytest.approx((80, 90), abs=CLIP_S)
    first = 400 if "even" in night.name else 800
    assert (event.start, event.end) == pytest.approx((first, first + 50), abs=16)
    assert result.duration_s == pytest.approx(120, abs=0.2)
    assert [clip.end_s for clip in result.clips[:-1]] == [clip.start_s for clip in result.clips[1:]]
    assert result.clips[-1].end_s == result.duration_s

    written = json.loads((tmp_path / f"{night.stem}.json").read_text())
    assert written["events"][0]["start_s"] == event.start_s
    assert read_score_result(written, "night.json").times.spans([(first, first + 1)])[0] == pytest.approx((80, 80.2))
    rows = list(csv.DictReader((tmp_path / f"{night.stem}.csv").read_text().splitlines()))
    loud = [row for row in rows if row["event"] == "1"]
    assert (float(loud[0]["start_s"]), float(loud[-1]["end_s"])) == pytest.approx(
        (event.start_s, event.end_s), abs=1e-3
    )
    cut = check_video(tmp_path / f"{night.stem}.event01.mp4")
    assert cut.n_frames == event.end - event.start
    axes = score_figure(result, None).axes[0]
    assert axes.get_xlim() == pytest.approx((0, result.duration_s))
    shaded = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((event.start_s, event.end_s), abs=0.1)
    if frame_rate is None:
        assert_marked(tmp_path / f"{night.stem}.annotated.mp4", event.start_s, event.end_s)


def assert_marked(path: Path, start_s: float, end_s: float) -> None:
    """A red border from start to end, and the white line of the present where the time is."""
    with VideoReader(path) as reader:
        frames = list(reader)
    red = [f.time_s for f in frames if f.image[:2, :, 0].mean() > 150 and f.image[:2, :, 1].mean() < 120]
    assert (red[0], red[-1]) == pytest.approx((start_s, end_s), abs=0.3)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from([20, 33, 40, 41, 200, 1000]), min_size=40, max_size=90),
    first=st.integers(0, 30),
    length=st.integers(16, 60),
    stride=st.sampled_from([4, 16]),
    suffix=st.sampled_from(["mkv", "mp4"]),
    frame_rate=st.sampled_from([None, 10.0]),
)
def test_event_times_are_those_of_their_frames(
    steps: list[int], first: int, length: int, stride: int, suffix: str, frame_rate: float | None, tmp_path: Path
) -> None:
    stamps = (np.cumsum([0, *steps]) / 1000).tolist()
    path = write_video(tmp_path / f"a.{suffix}", bright(len(stamps), first, first + length), times=stamps)
    detector = detector_at(frame_rate)
    detector.spec = detector._engine.spec = detector.spec.with_(stride=stride)
    result = scored(path, detector)
    assert result.n_frames == len(stamps)
    ends = [*stamps[1:], result.duration_s]
    for what in (*result.events, *result.clips):
        assert what.start_s == pytest.approx([*stamps, result.duration_s][what.start], abs=1.1e-3)
        if what.end > what.start:
            assert what.end_s == pytest.approx(ends[what.end - 1], abs=1.1e-3)
    for event in result.events:
        assert event.peak_s == pytest.approx(stamps[event.peak_frame], abs=1.1e-3)
    folder = tmp_path / f"{suffix}{hash((*steps, first, length, stride, frame_rate))}"
    extract({"a": path}, detector._engine, folder)
    stored = scored(path, detector, features=open_feature_set(folder))
    assert stored.to_dict() == result.to_dict()


def test_hours_and_delays_are_those_of_the_clock(tmp_path: Path) -> None:
    """Half of the frames in a sixth of the time: an alarm in a normal video, and one that comes 32 frames late."""
    paths = {"normal": bright(1000, 640, 656), "odd": bright(1000, 800, 960)}
    for name, images in paths.items():
        write_video(tmp_path / f"{name}.mkv", images, times=NIGHT)
    detector = detector_at(None)
    extract({name: tmp_path / f"{name}.mkv" for name in paths}, detector._engine, tmp_path / "f")
    videos = (
        Video(video_id="normal", split="test", label=0),
        Video(video_id="odd", split="test", label=1, n_frames=1000, fps=25.0, events=((768, 960),)),
    )
    features = open_feature_set(tmp_path / "f")
    scores, _ = score_videos(detector, features, videos)
    manifest = Manifest(tuple(with_frames(videos)), source="made")
    found = evaluate(scores, manifest, threshold=0.5, n_bootstrap=0).events
    assert found["false_alarms_per_hour"] == pytest.approx(3600 / 119.84, rel=0.01)
    assert found["delay_median_s"] == pytest.approx(32 / 5)


def test_results_whose_times_make_no_sense_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", bright(64, 0, 16), times=NIGHT[460:524])
    values = scored(path, detector_at(None)).to_dict()
    for wrong in (float("nan"), -1.0, 1e9):
        clips = [dict(values["clips"][0], end_s=wrong), *values["clips"][1:]]
        with pytest.raises(EvaluationError, match=r"a\.json: the times of frames"):
            read_score_result({**values, "clips": clips}, "a.json")


def test_results_of_before_have_an_even_rate() -> None:
    old = {"video": "a", "fps": 25.0, "n_frames": 40, "detector": "d", "threshold": 0.5, "events": [], "problem": None}
    clips = [{"start": 0, "end": 16, "score": 0.1}, {"start": 16, "end": 32, "score": 0.2}]
    read = read_score_result({**old, "clips": clips}, "a.json")
    assert (read.duration_s, read.clips[1].start_s, read.clips[1].end_s, read.times.knots) == (1.6, 0.64, 1.28, None)


def with_frames(videos: Sequence[Video]) -> list[Video]:
    return [Video(**{**vars(video), "n_frames": 1000}) for video in videos]


def test_a_decade_in_sixty_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "decade.mkv", bright(60, 32, 48), times=[i * 5_256_000.0 for i in range(60)])
    for frame_rate in (None, 25):
        results: list[ScoreResult] = []
        report = detect(
            {"decade": path},
            detector_at(frame_rate),
            out=tmp_path,
            outputs=DetectOutputs(plot=True, annotate=True, clips=True),
            on_result=lambda _, result, results=results: results.append(result),
        )
        assert not report.failed
        assert ("59 gaps" in report.warnings.get("decade", "")) == (frame_rate is not None)
        (event,) = results[0].events
        assert (event.start, event.end, len(results[0].clips)) == (32, 48, 4)
        assert (event.start_s, event.end_s) == pytest.approx((32 * 5_256_000, 47 * 5_256_000 + 0.04))
        assert check_video(tmp_path / "decade.annotated.mp4").times.end_s == pytest.approx(60 / 25, abs=0.05)
        assert check_video(tmp_path / "decade.event01.mp4").times.end_s == pytest.approx(16 / 25, abs=0.05)

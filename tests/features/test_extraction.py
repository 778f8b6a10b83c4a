"""Extraction: several videos at once, decoded once, in bounded memory; what made the features is on record."""

import threading
import tracemalloc
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.backbones import Backbone, FeatureSpec, Preprocessing, create_backbone, fused_spec
from amiss.engines import FusedEngine, TorchEngine, create_engine
from amiss.errors import VideoError
from amiss.features import ExtractedVideo, FeatureSetWriter, extract_video, extract_videos, open_feature_set
from amiss.features import _readers as module
from amiss.jobs import extract
from amiss.video import ClipReader, VideoReader, iter_clips
from helpers.videos import numbered, read_number, write_video


class Numbers(Backbone):
    """The frame numbers that the pictures of a clip carry."""

    spec = FeatureSpec(backbone="numbers", weights="none", dim=16)

    def preprocess(self, frames):
        return (
            torch.tensor([read_number(frame) for frame in frames]).float().view(1, 1, 16, 1, 1).expand(1, 3, 16, 1, 1)
        )

    def forward(self, clips):
        return clips[:, 0, :, 0, 0]


@pytest.fixture
def engine():
    return TorchEngine(Numbers(), "cpu")


@pytest.fixture
def videos(tmp_path):
    """Videos of 5 to 75 frames; the numbers of video v begin at 100 v."""
    found = {}
    for v in range(8):
        images = [numbered(100 * v + i) for i in range(5 + 10 * v)]
        found[f"v{v}"] = write_video(tmp_path / f"v{v}.mp4", images)
    return found


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("readers", [1, 2, 5])
def test_every_clip_goes_to_its_video(videos, engine, monkeypatch, readers, batch):
    monkeypatch.setattr(module, "_CPU_READERS", readers)
    engine.batch = batch
    results = dict(extract_videos(videos.items(), engine))
    assert results.keys() == videos.keys()
    for name, video in results.items():
        v = int(name[1:])
        n_frames = 5 + 10 * v
        assert isinstance(video, ExtractedVideo)
        assert (video.n_frames, video.fps, video.problem) == (n_frames, 25.0, None)
        expected = 100 * v + np.minimum(np.arange(-(-n_frames // 16) * 16), n_frames - 1)  # the last frame is repeated
        assert np.array_equal(video.features.ravel(), expected)
        assert np.array_equal(extract_video(videos[name], engine).features, video.features)


class Averages(Backbone):
    """Of the colours in parts of each view."""

    spec = FeatureSpec(backbone="averages", weights="none", dim=3 * 16 * 9, crops=5)
    preprocessing = Preprocessing(resize=48, crop=36, crops=5, antialias=True)

    def forward(self, clips):
        return torch.nn.functional.avg_pool3d(clips, (1, 12, 12)).flatten(1)


class OnDevice(TorchEngine):
    """Takes the decoder's planes and makes colours of them in the network's place, as on a GPU; here on the CPU."""

    takes_planes = True
    n_planes = 0

    def prepare_planes(self, planes, yuv):
        self.n_planes += 1
        preprocessing = self._backbone.preprocessing
        with torch.inference_mode():
            return (preprocessing.on_device(torch.tensor(preprocessing.used(planes, yuv)), yuv),)


@pytest.mark.parametrize(("apart", "is_fused"), [("1", False), ("0", True)])
def test_planes_of_the_decoder_give_the_features_of_its_pictures(tmp_path, monkeypatch, apart, is_fused):
    monkeypatch.setenv("AMISS_DECODE_WORKER", apart)
    blocks = np.random.RandomState(0).randint(0, 256, (40, 12, 16, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    turned = write_video(tmp_path / "turned.mp4", blocks[:20], rotation=90)  # comes as RGB
    videos = {"a": write_video(tmp_path / "a.mp4", blocks), "b": write_video(tmp_path / "b.mp4", 20), "turned": turned}
    part, in_memory = OnDevice(Averages(), "cpu"), TorchEngine(Averages(), "cpu")
    engine = FusedEngine(fused_spec([part.spec] * 2), [part, part]) if is_fused else part
    reference = FusedEngine(engine.spec, [in_memory, in_memory]) if is_fused else in_memory
    found = dict(extract_videos(videos.items(), engine))
    expected = dict(extract_videos(videos.items(), reference))
    assert part.n_planes == (3 + 2) * (1 + is_fused)
    for name in videos:
        assert found[name].n_frames == expected[name].n_frames
        assert np.abs(found[name].features - expected[name].features).max() < 1 / 255


def test_one_bad_video_does_not_stop_the_others(videos, engine, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"")
    results = dict(extract_videos([("bad", bad), *videos.items(), ("gone", tmp_path / "gone.mp4")], engine))
    assert isinstance(results["bad"], VideoError)
    assert isinstance(results["gone"], VideoError)
    assert sum(isinstance(result, ExtractedVideo) for result in results.values()) == len(videos)
    with pytest.raises(VideoError, match="empty"):
        extract_video(bad, engine)
    engine.spec = engine.spec.with_(tail="drop")
    said = "5 frames are fewer than a clip of 16; tail rule is 'drop' .preset 'default'.: leave out the video, or"
    with pytest.raises(VideoError, match=said):
        extract_video(videos["v0"], engine)
    engine.spec = engine.spec.with_(tail="drop", frame_rate=12.5, preset="topk")
    with pytest.raises(VideoError, match=r"15 frames, taken at 12\.5 a second, are fewer than a clip of 16.*'topk'"):
        extract_video(videos["v1"], engine)


def test_features_that_are_not_finite_fail_their_video_alone(videos, engine, tmp_path, monkeypatch):
    def forward(self, clips):
        return torch.where(clips[:, 0, :, 0, 0] == 100, torch.nan, clips[:, 0, :, 0, 0])

    monkeypatch.setattr(Numbers, "forward", forward)
    report = extract(videos, engine, tmp_path / "features")
    assert list(report.failed) == ["v1"]
    assert "finite" in report.failed["v1"]
    assert sorted(report.done) == sorted(set(videos) - {"v1"})


def test_readers_stop_where_the_caller_does(videos, engine):
    before = threading.active_count()
    results = extract_videos(videos.items(), engine)
    next(results)
    results.close()
    assert threading.active_count() == before
    engine.prepare = lambda frames: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(extract_videos(videos.items(), engine))
    assert threading.active_count() == before


@pytest.mark.parametrize(("bytes_ahead", "batch"), [(1 << 28, 1), (1, 1), (1, 4)])
def test_readers_do_not_run_away(videos, engine, bytes_ahead, batch):
    """The clips that wait are bounded in number and in bytes, whatever the length of the videos.

    Where one is larger than all that is allowed it waits alone, and a batch of them still comes together.
    """
    engine.batch, engine.bytes_ahead = batch, bytes_ahead
    prepare, run, ahead, most = engine.prepare, engine.run, 0, 0
    lock = threading.Lock()

    def counted(frames):
        nonlocal ahead, most
        with lock:
            ahead += 1
            most = max(most, ahead)
        return prepare(frames)

    def slow(prepared):
        nonlocal ahead
        threading.Event().wait(0.02)
        with lock:
            ahead -= len(prepared)
        return run(prepared)

    engine.prepare, engine.run = counted, slow
    results = dict(extract_videos(videos.items(), engine))
    assert sum(len(video.features) for video in results.values()) == sum(-(-(5 + 10 * v) // 16) for v in range(8))
    in_queue = 1 if bytes_ahead == 1 else module._VIEWS_AHEAD + 1
    assert most <= in_queue + batch + 2 * module._CPU_READERS


@pytest.mark.parametrize("batch", [3, 64])
def test_batches_reach_from_one_video_to_the_next(videos, engine, batch):
    """So that short videos fill a GPU, too; and each video's features are still its own."""
    alone = {name: extract_video(path, engine).features for name, path in videos.items()}
    sizes, run = [], engine.run
    engine.run = lambda prepared: (sizes.append(len(prepared)), run(prepared))[1]
    engine.batch = batch
    together = dict(extract_videos(videos.items(), engine))
    assert together.keys() == alone.keys()
    assert all(np.array_equal(together[name].features, alone[name]) for name in alone)
    assert all(size == batch for size in sizes[:-1])


@contextmanager
def peak_bytes():
    """A list that gets the peak of what Python and numpy allocate in the block."""
    peak = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def test_large_frames_do_not_add_up(tmp_path, engine, monkeypatch):
    """Readers of large videos take turns, and hold two clips at most."""
    picture = numbered(5, 360, 640)
    videos = [(f"v{v}", write_video(tmp_path / f"v{v}.mp4", [picture] * 40)) for v in range(4)]
    a_clip = 16 * picture.nbytes
    monkeypatch.setattr(module, "_CPU_READERS", 4)
    monkeypatch.setattr(module, "_DECODED_BYTES", 3 * a_clip)
    with peak_bytes() as peak:
        results = dict(extract_videos(videos, engine))
    assert [results[name].features.shape for name, _ in videos] == [(3, 1, 16)] * 4
    # 4 readers have decoded their first frame, one of them has one clip that is filled and one that is preprocessed
    assert peak[0] < 2 * a_clip + 4 * 3 * picture.nbytes + 2e6


def test_ten_crops_decode_once(videos, monkeypatch):
    opened = []

    def reader(path, *how, **more):
        opened.append(path)
        return ClipReader(path, *how, **more)

    monkeypatch.setattr(module, "ClipReader", reader)
    backbone = create_backbone("squeezenet1_1", "random", crops=10)
    video = extract_video(videos["v3"], create_engine(backbone, "cpu", engine="torch"))
    assert video.features.shape == (3, 10, 1024)
    assert opened == [videos["v3"]]
    first = next(iter(iter_clips(VideoReader(videos["v3"])))).images
    np.testing.assert_allclose(video.features[0], backbone.encode(first).numpy(), rtol=1e-4, atol=1e-5)


def test_the_same_videos_give_the_same_files(videos, engine, tmp_path, monkeypatch):
    extract(videos, engine, tmp_path / "one")
    monkeypatch.setattr(module, "_CPU_READERS", 5)
    extract(dict(reversed(videos.items())), engine, tmp_path / "two")
    assert sorted(videos) == list(open_feature_set(tmp_path / "one").records)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_progress_goes_up_to_the_end(videos, engine, tmp_path):
    told = []
    report = extract(videos, engine, tmp_path / "f", lambda done, total, what: told.append((done, total)))
    assert sorted(report.done) == sorted(videos)
    assert told[-1] == (8, 8)
    assert all(0 <= done <= total == 8 for done, total in told)


def test_what_made_the_features_is_on_record(videos, engine, tmp_path):
    some = {name: videos[name] for name in ("v0", "v1")}
    extract(some, engine, tmp_path / "f")
    assert {record.engine for record in open_feature_set(tmp_path / "f").records.values()} == {"torch cpu fp32"}
    with warnings.catch_warnings(action="error"):
        extract(some, engine, tmp_path / "f")
    engine.precision = "bf16"
    with pytest.warns(UserWarning, match="has features from torch cpu fp32; the rest comes from torch cpu bf16"):
        extract({"v2": videos["v2"]}, engine, tmp_path / "f")
    assert open_feature_set(tmp_path / "f").records["v2"].engine == "torch cpu bf16"


def test_an_index_without_engines_is_read(tmp_path):
    writer = FeatureSetWriter(tmp_path, Numbers.spec)
    writer.add("a", np.zeros((1, 1, 16), np.float32), 16, 25.0)
    index = tmp_path / "index.jsonl"
    index.write_text(index.read_text().replace(', "engine": null', ""))
    assert open_feature_set(tmp_path).records["a"].engine is None
    assert FeatureSetWriter(tmp_path, Numbers.spec).engines == set()


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_a_long_video(tmp_path):
    """Two minutes of 720p; benchmarks/extraction.py --memory does the same for hours."""
    picture = numbered(5, 720, 1280)
    path = write_video(tmp_path / "long.mp4", (np.roll(picture, i % 64, axis=1) for i in range(3_000)))
    engine = create_engine(create_backbone("squeezenet1_1", "random", stride=32), "cpu")
    idle, seen = resident_mb(), []
    extract_video(path, engine, lambda share: seen.append((share, resident_mb() - idle)))
    peaks = [max(mb for share, mb in seen if low <= share <= low + 0.25) for low in (0.0, 0.25, 0.5, 0.75)]
    assert max(peaks) < 1500
    assert peaks[3] < peaks[1] + 50

"""A long video that several readers share: features as in one go, and in one go where that isn't so."""

import re
import signal

import numpy as np
import pytest
import torch

from amiss.backbones import Backbone, FeatureSpec
from amiss.engines import TorchEngine
from amiss.errors import Notice
from amiss.features import _readers as module
from amiss.features import extract_video, extract_videos
from amiss.jobs import extract
from amiss.video import ClipReader, check_video
from helpers.videos import damage, write_video
from helpers.workers import children, idle, send

N_FRAMES = 300


class Sums(Backbone):
    """Sums of parts of a clip: any other pixel gives another feature."""

    spec = FeatureSpec(backbone="sums", weights="none", dim=16, tail="last")

    def preprocess(self, frames):
        return torch.from_numpy(frames.astype(np.float64).sum((2, 3))).float().view(1, 1, 16, -1, 1)

    def forward(self, clips):
        return clips[:, 0, :, :, 0].flatten(2).pow(2).mean(2)


@pytest.fixture
def engine():
    return TorchEngine(Sums(), "cpu")


@pytest.fixture
def path(tmp_path):
    return write_video(tmp_path / "long.mp4", N_FRAMES, options={"x264-params": "keyint=25"})


@pytest.fixture
def parts_read(monkeypatch):
    """The parts that are read, where readers share videos of more than 120 frames."""
    read = []

    def reader(*given, part=None, **more):
        read.append(part)
        return ClipReader(*given, part=part, **more)

    monkeypatch.setattr(module, "ClipReader", reader)
    monkeypatch.setattr(module, "_PART_FRAMES", 60)
    monkeypatch.setattr(module, "_CPU_READERS", 3)
    return read


def in_one_go(path, engine):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART_FRAMES", 10**6)
        return extract_video(path, engine)


def assert_same(found, expected):
    assert np.array_equal(found.features, expected.features)
    assert (found.n_frames, found.fps, found.problem) == (expected.n_frames, expected.fps, expected.problem)


def test_readers_share_a_long_video(path, engine, parts_read):
    shares = []
    found = extract_video(path, engine, shares.append)
    assert [part is None for part in parts_read] == [True, False, False, False]
    assert shares[-1] > 0.9
    assert_same(found, in_one_go(path, engine))
    assert len(found.features) == -(-N_FRAMES // 16)


def test_many_videos_are_read_one_by_each_and_the_last_ones_shared(path, tmp_path, engine, parts_read):
    short = write_video(tmp_path / "short.mp4", 30)
    videos = {"a": path, "b": path, "c": path, "s": short, "d": path, "t": short}
    results = dict(extract_videos(videos.items(), engine))
    expected = in_one_go(path, engine)
    for name in "abcd":
        assert_same(results[name], expected)
    assert results["s"].n_frames == results["t"].n_frames == 30
    assert any(parts_read)


def test_a_damaged_video_is_decoded_in_one_go_which_is_said(path, tmp_path, engine, parts_read):
    damaged = damage(path, tmp_path / "damaged.mp4", 0.45, 0.46)
    assert check_video(damaged).problem is not None
    with pytest.warns(Notice, match=r"damaged\.mp4 is decoded in one go, by one process: ") as told:
        found = extract_video(damaged, engine)
    assert len(told) == 1
    assert_same(found, in_one_go(damaged, engine))


def test_a_part_whose_process_ends_is_read_again_with_the_whole(path, engine, parts_read, monkeypatch):
    prepare, killed = engine.prepare, []

    def kill_one(frames):
        for worker in children() - idle():
            if not killed and len(parts_read) == 4:
                killed.extend(send(signal.SIGKILL, [worker]))
        return prepare(frames)

    monkeypatch.setattr(engine, "prepare", kill_one)
    with pytest.warns(Notice, match=r"in one go, by one process: .*ended the process that decodes it \(SIGKILL\)"):
        found = extract_video(path, engine)
    assert killed
    assert_same(found, in_one_go(path, engine))


def test_where_no_processes_are_used_this_is_said_once(path, engine, parts_read, monkeypatch):
    monkeypatch.setenv("AMISS_DECODE_WORKER", "0")
    with pytest.warns(Notice, match="^long videos are decoded in one go: .*none are used") as told:
        found = dict(extract_videos([("a", path), ("b", path)], engine))
    assert len(told) == 1
    assert [video.n_frames for video in found.values()] == [N_FRAMES] * 2
    assert not any(parts_read)


def test_a_video_that_needs_too_much_memory_fails_by_name_alone(tmp_path, engine, monkeypatch):
    large = write_video(
        tmp_path / "large.mkv", np.zeros((2, 3000, 4000, 3), np.uint8), codec="mjpeg", pix_fmt="yuvj420p"
    )
    videos = {"a": write_video(tmp_path / "a.mp4", 40), "large": large, "b": write_video(tmp_path / "b.mp4", 56)}
    monkeypatch.setenv("AMISS_DECODE_MEMORY_MB", "512")
    monkeypatch.setenv("AMISS_CLIP_PIXELS", "36000000")  # as they are: 16 frames of a clip are 576 MB
    report = extract(videos, engine, tmp_path / "features")
    assert sorted(report.done) == ["a", "b"]
    said = r"large\.mkv: decoding needs more than 512 MB of memory; AMISS_DECODE_MEMORY_MB allows more"
    assert re.search(said, report.failed["large"])


def test_workers_that_are_killed_lose_no_finished_video(path, tmp_path, engine, monkeypatch):
    """As the system does where memory is short: those videos fail by name, the others are there, and a second run has
    the rest."""
    videos = {f"v{i}": write_video(tmp_path / f"v{i}.mp4", 40 + 16 * i) for i in range(4)} | {"long": path}
    prepare, killed = engine.prepare, []

    def kill(frames):
        if not killed and len(list((tmp_path / "features").glob("*.npy"))) > 1:
            killed.extend(send(signal.SIGKILL, children() - idle()))
        return prepare(frames)

    monkeypatch.setattr(engine, "prepare", kill)
    report = extract(videos, engine, tmp_path / "features")
    assert killed
    assert report.failed
    assert all("ended the process that decodes it (SIGKILL)" in text for text in report.failed.values())
    assert sorted([*report.done, *report.failed]) == sorted(videos)
    monkeypatch.undo()
    again = extract(videos, engine, tmp_path / "features")
    assert sorted(again.done) == sorted(report.failed)
    assert sorted(again.skipped) == sorted(report.done)

import hashlib
import subprocess
import sys
from itertools import islice, pairwise

import numpy as np
import pytest

from amiss.datasets import read_manifest
from amiss.demo import _videos, make_demo_set
from amiss.demo._videos import _shots, draw_video
from amiss.video import VideoReader


def shot_of(tmp_path, seed, number, label):
    group = [shot for shot in islice(_shots(tmp_path, seed), 2 * number, 2 * number + 2) if shot.video.label == label]
    return group[0]


def digest(shot, n_frames=40):
    frames = [image for image, _ in islice(draw_video(shot.scene, shot.event, shot.rng), n_frames)]
    assert all(frame.shape == (240, 320, 3) and frame.dtype == np.uint8 for frame in frames)
    return hashlib.sha256(np.stack(frames).tobytes()).hexdigest()


def test_same_seed_same_pixels(tmp_path):
    first = digest(shot_of(tmp_path, 3, 0, 1))
    assert first == digest(shot_of(tmp_path, 3, 0, 1))
    assert first != digest(shot_of(tmp_path, 4, 0, 1))
    assert first != digest(shot_of(tmp_path, 3, 0, 0))


@pytest.mark.parametrize("place", range(5))
def test_anomalies_take_a_part_of_their_video(tmp_path, place):
    shot = shot_of(tmp_path, 0, place, 1)
    flags = [anomalous for _, anomalous in draw_video(shot.scene, shot.event, shot.rng)]
    assert 0.1 < np.mean(flags) < 0.5
    assert not any(flags[: len(flags) // 5])


def test_normal_videos_have_no_anomaly(tmp_path):
    shot = shot_of(tmp_path, 0, 0, 0)
    frames = list(draw_video(shot.scene, shot.event, shot.rng))
    assert not any(anomalous for _, anomalous in frames)
    motion = [np.abs(a[0].astype(int) - b[0]).mean() for a, b in pairwise(frames)]
    assert min(motion) > 0.3  # the sensor's noise: not a single frame repeats


def test_demo_set_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(_videos, "TRAIN_PLACES", [("corridor", "fighting")])
    monkeypatch.setattr(_videos, "TEST_PLACES", [("street", "blast")])
    monkeypatch.setattr(_videos, "N_FRAMES", (60, 70))
    seen = []
    demo = make_demo_set(tmp_path / "demo", seed=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 5) for n in range(1, 6)]
    assert read_manifest(tmp_path / "demo" / "manifest.csv").videos == demo.manifest.videos
    assert [(v.split, v.label) for v in demo.manifest.videos] == [("train", 1), ("train", 0), ("test", 1), ("test", 0)]
    train, test = demo.manifest.split("train"), demo.manifest.split("test")
    assert {video.group for video in train}.isdisjoint(video.group for video in test)
    assert len({video.group for video in train}) == 1
    assert not any(video.events for video in train)
    assert test[0].events
    assert not test[1].events
    for video in (*demo.manifest.videos, demo.unseen):
        with VideoReader(video.path) as reader:
            assert sum(1 for _ in reader) == video.n_frames
            assert reader.fps == pytest.approx(video.fps)
    assert demo.unseen.video_id not in demo.manifest.by_id


def test_every_kind_of_anomaly_can_be_learned():
    trained = {event for _, event in _videos.TRAIN_PLACES}
    assert trained == {"running", "fighting", "falling", "intrusion", "blast"}
    assert {event for _, event in _videos.TEST_PLACES} == trained
    assert len({kind for kind, _ in _videos.TRAIN_PLACES}) >= 4


def test_the_drawing_is_loaded_by_the_demo_only():
    code = "import sys, amiss.datasets; print([name for name in sys.modules if name.startswith('amiss.demo')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"

"""Copies by features: exact ones and re-encoded ones are found, look-alikes are not."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec, create_backbone
from amiss.engines import create_engine
from amiss.errors import FeatureError
from amiss.features import FeatureSet, FeatureSetWriter, extract_video, near_duplicates, open_feature_set

Rows = NDArray[np.float32]
Write = Callable[[dict[str, Rows]], FeatureSet]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(videos: dict[str, Rows]) -> FeatureSet:
        dim = next(iter(videos.values())).shape[1]
        with FeatureSetWriter(tmp_path, FeatureSpec(backbone="made-up", weights="none", dim=dim)) as writer:
            for video_id, rows in videos.items():
                writer.add(video_id, rows[:, None].astype(np.float32), n_frames=16 * len(rows), fps=25.0)
        return open_feature_set(tmp_path)

    return made


def found(features: FeatureSet) -> set[tuple[str, str, bool]]:
    return {(*sorted((copy.first, copy.second)), copy.is_exact) for copy in near_duplicates(features)}


def of_one_camera(n: int, length: int = 12) -> dict[str, Rows]:
    """Videos that differ little from each other: the same scene, other noise."""
    rng = np.random.default_rng(2)
    scene = 10 * rng.normal(size=40)
    return {f"v{i:02}": scene + rng.normal(size=(length, 40)) for i in range(n)}


def test_copies_are_found_and_videos_of_one_scene_are_not(write: Write) -> None:
    rng = np.random.default_rng(3)
    videos = of_one_camera(30)
    videos["exact"] = videos["v03"]
    videos["noisy"] = videos["v07"] + 0.1 * rng.normal(size=(12, 40))
    videos["noisier"] = videos["v07"] + 0.1 * rng.normal(size=(12, 40))
    videos["shorter"] = videos["v09"][:-1]  # the last clip was cut off
    copies = found(write(videos))
    expected = {("exact", "v03", True), ("noisy", "v07", False), ("noisier", "v07", False), ("noisier", "noisy", False)}
    assert copies - {("shorter", "v09", False)} == expected


def test_one_clip_or_few_videos_are_no_trouble(write: Write) -> None:
    videos = {"a": np.ones((1, 4)), "b": np.full((1, 4), 2.0), "c": np.ones((1, 4)), "zero": np.zeros((3, 4))}
    features = write(videos)
    assert found(features) == {("a", "c", True)}
    assert near_duplicates(features, ["b"]) == ()
    assert near_duplicates(features, []) == ()
    with pytest.raises(FeatureError, match="no features of video 'd'"):
        near_duplicates(features, ["a", "d"])


def test_a_video_that_was_encoded_anew_is_found_by_motion(shared: Path, tmp_path: Path) -> None:
    engine = create_engine(create_backbone("motion", "none"))
    names = ["fi007", "fi015", "fi016", "nofi033", "nofi056"]
    paths = [shared / f"data/surveillance_fights/videos/{name}.mp4" for name in names]
    paths.append(_encode_anew(paths[1], tmp_path / "anew.mp4"))
    with FeatureSetWriter(tmp_path / "features", engine.spec) as writer:
        for path in paths:
            extracted = extract_video(path, engine)
            writer.add(path.stem, extracted.features, extracted.n_frames, extracted.fps)
    assert found(open_feature_set(tmp_path / "features")) == {("anew", "fi015", False)}


def _encode_anew(source: Path, target: Path) -> Path:
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        source_stream = old.streams.video[0]
        rate = source_stream.average_rate
        assert rate is not None
        stream = new.add_stream("libx264", rate=rate)
        stream.width, stream.height = source_stream.width // 4 * 2, source_stream.height // 4 * 2
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "32", "preset": "veryfast"}
        for number, frame in enumerate(old.decode(video=0)):
            smaller = frame.reformat(stream.width, stream.height, "yuv420p")
            smaller.pts, smaller.time_base = number, 1 / rate
            new.mux(stream.encode(smaller))
        new.mux(stream.encode())
    return target


def test_copies_of_test_videos_in_ucf_crime_are_found(shared: Path, tmp_path: Path) -> None:
    stored = np.load(shared / "data/ucf_crime/c3d_features.npz")
    ids = [str(video_id) for video_id in stored["video_ids"]]
    pairs = {
        ("Normal_Videos267_x264", "Normal_Videos_603_x264"),
        ("Normal_Videos594_x264", "Normal_Videos_217_x264"),
        ("Normal_Videos793_x264", "Normal_Videos_686_x264"),  # not to the last bit
    }
    chosen = sorted({ids.index(video_id) for pair in pairs for video_id in pair} | set(range(0, len(ids), 12)))
    codes, low, high = (stored[name][chosen] for name in ("codes", "low", "high"))
    rows = low[..., None] + codes.astype(np.float32) / 255 * (high - low)[..., None]
    spec = FeatureSpec(backbone="c3d", weights="none", dim=4096, segments=32, pooling="sultani")
    with FeatureSetWriter(tmp_path, spec) as writer:
        for number, values in zip(chosen, rows, strict=True):
            writer.add(ids[number], values[:, None], n_frames=None, fps=None)
    assert {tuple(pair[:2]) for pair in found(open_feature_set(tmp_path))} == {tuple(sorted(pair)) for pair in pairs}

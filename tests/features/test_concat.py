"""Joining feature sets, and what a detector does with the joined ones."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from amiss.backbones import FeatureSpec, create_backbone, create_backbone_for, fused_spec
from amiss.cli import app
from amiss.detection import Detector
from amiss.errors import UsageError
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set
from amiss.video import FrameTimes
from helpers.videos import write_video

VGGISH = FeatureSpec(
    backbone="vggish", weights="audioset", dim=3, clip_len=96, stride=96, frame_rate=100.0, tail="drop"
)
"""As it is: 96 pictures of sound of 10 ms each."""


def made_by(backbone: str, dim: int = 4, **changes: object) -> FeatureSpec:
    return FeatureSpec(backbone=backbone, weights="unknown", dim=dim, **changes)  # type: ignore[arg-type]


def save(
    folder: Path, spec: FeatureSpec, lengths: dict[str, int], n_frames: int | None = None, fps: float | None = None
) -> FeatureSet:
    """A feature set in which value d of crop c of row t is `t + c / 10 + d / 100`."""
    c, d = np.arange(spec.crops)[:, None] / 10, np.arange(spec.dim) / 100
    with FeatureSetWriter(folder, spec) as writer:
        for video_id, length in lengths.items():
            writer.add(video_id, np.float32(np.arange(length)[:, None, None] + c + d), n_frames, fps)
    return open_feature_set(folder)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def concat(tmp_path: Path, *names: str, more: tuple[object, ...] = ()) -> FeatureSet:
    """The sets of these names joined from the command line."""
    ran = command("features", "concat", *(tmp_path / name for name in names), "--out", tmp_path / "out", *more)
    assert ran.exit_code == 0, ran.stderr
    return open_feature_set(tmp_path / "out")


def test_rows_of_the_same_grid_are_joined_by_number_and_one_crop_is_repeated(tmp_path: Path) -> None:
    """As seed networks were joined: [T, 10, 1024] and [T, 10, 512], and features of one view."""
    a = save(tmp_path / "swin", made_by("swin3d_b", 5, crops=10), {"v": 7, "w": 3})
    b = save(tmp_path / "r2plus1d", made_by("r2plus1d_18", 4, crops=10), {"v": 7, "w": 3})
    c = save(tmp_path / "one", made_by("own", 2), {"v": 7, "w": 3}, n_frames=112, fps=25.0)
    joined = concat(tmp_path, "swin", "r2plus1d", "one")
    for video_id in ("v", "w"):
        x = joined.load(video_id)
        np.testing.assert_array_equal(x[:, :, :5], a.load(video_id))
        np.testing.assert_array_equal(x[:, :, 5:9], b.load(video_id))
        np.testing.assert_array_equal(x[:, :, 9:], np.repeat(c.load(video_id), 10, axis=1))
    spec = joined.spec
    assert (spec.backbone, spec.weights, spec.dim) == ("swin3d_b+r2plus1d_18+own", "unknown+unknown+unknown", 11)
    assert (spec.crops, spec.parts) == (10, (a.spec, b.spec, c.spec))
    assert (joined.records["v"].n_frames, joined.records["v"].fps) == (112, 25.0)
    assert len({spec, FeatureSpec.from_dict(spec.to_dict())}) == 1
    assert list(tmp_path.glob("out/*.npy"))


def test_joined_sets_can_be_joined_again(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / name, made_by(name), {"v": 5})
    command("features", "concat", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "ab")
    twice = concat(tmp_path, "ab", "c")
    command("features", "concat", tmp_path / "a", tmp_path / "b", tmp_path / "c", "--out", tmp_path / "abc")
    once = open_feature_set(tmp_path / "abc")
    assert twice.spec == once.spec
    np.testing.assert_array_equal(twice.load("v"), once.load("v"))


def test_flow_has_a_row_less(tmp_path: Path) -> None:
    """Its first frame has none; the last row of flow stands for two, and more than a row is refused."""
    save(tmp_path / "rgb", made_by("i3d"), {"v": 8, "w": 8, "x": 8})
    save(tmp_path / "flow", made_by("i3d_flow"), {"v": 7, "w": 9, "x": 6})
    ran = command("features", "concat", tmp_path / "rgb", tmp_path / "flow", "--out", tmp_path / "out")
    assert ran.exit_code == 1
    assert "x: " in ran.stderr
    assert "8 and 6 rows, which end after 128 and 96 native frames, more than a row of each apart" in ran.stderr
    joined = open_feature_set(tmp_path / "out")
    assert set(joined.records) == {"v", "w"}
    assert joined.load("v")[:, 0, 4].tolist() == [0, 1, 2, 3, 4, 5, 6, 6]
    assert joined.load("w")[:, 0, 4].tolist() == list(range(8))


def test_sound_at_its_own_rate_goes_to_the_nearest_clip(tmp_path: Path) -> None:
    """16 frames at 25 a second are 0.64 s, a row of VGGish 0.96 s: centres 0.32, 0.96, 1.6, … and 0.48, 1.44, …"""
    save(tmp_path / "rgb", made_by("i3d", crops=5), {"v": 9}, n_frames=144, fps=25.0)
    save(tmp_path / "sound", VGGISH, {"v": 6})
    joined = concat(tmp_path, "rgb", "sound")
    assert (joined.spec.crops, joined.spec.dim, joined.spec.stride, joined.spec.frame_rate) == (5, 7, 16, None)
    assert joined.spec.parts[1] == VGGISH
    centres, sound = np.arange(9) * 0.64 + 0.32, np.arange(6) * 0.96 + 0.48
    nearest = [int(np.argmin(np.abs(sound - centre).round(6))) for centre in centres]
    assert joined.load("v")[:, 3, 4].tolist() == nearest == [0, 0, 1, 2, 2, 3, 4, 4, 5]


def test_rows_are_joined_by_the_true_times_of_frames(tmp_path: Path) -> None:
    """80 frames in 8 s, then 80 in 3.2 s: of the sound of 11.2 s more belongs to the first clips than to the last."""
    times = FrameTimes(160, 160 / 11.2, np.array([[0, 0], [80, 8], [160, 11.2]]))
    with FeatureSetWriter(tmp_path / "rgb", made_by("i3d")) as writer:
        writer.add("v", np.zeros((10, 1, 4), np.float32), None, None, times=times)
    save(tmp_path / "sound", VGGISH, {"v": 12})
    joined = concat(tmp_path, "rgb", "sound")
    centres = np.array([0.8, 2.4, 4.0, 5.6, 7.2, 8.32, 8.96, 9.6, 10.24, 10.88])
    nearest = np.abs(np.arange(12) * 0.96 + 0.48 - centres[:, None]).argmin(axis=1)
    assert joined.load("v")[:, 0, 4].tolist() == nearest.tolist() == [0, 2, 4, 5, 7, 8, 9, 9, 10, 11]
    stored = joined.times("v")
    assert stored is not None
    np.testing.assert_array_equal(stored.knots, times.knots)


def test_rates_that_nobody_knows_are_asked_for(tmp_path: Path) -> None:
    save(tmp_path / "rgb", made_by("i3d"), {"v": 9})
    save(tmp_path / "sound", VGGISH, {"v": 6})
    arguments = ("features", "concat", tmp_path / "rgb", tmp_path / "sound", "--out", tmp_path / "out")
    ran = command(*arguments)
    assert ran.exit_code == 1
    assert "nobody says what that of the video is: give it with --fps" in ran.stderr
    assert command(*arguments, "--fps", 25).exit_code == 0
    assert open_feature_set(tmp_path / "out").records["v"].fps == 25
    ran = command(*arguments[:-1], tmp_path / "other", "--fps", 60)  # 2.4 s of pictures, 5.76 s of sound
    assert ran.exit_code == 1
    assert "end after 2.4 and 5.76 seconds" in ran.stderr
    assert command(*arguments, "--fps", 0).exit_code == 2


def test_denser_native_clips_need_no_rate(tmp_path: Path) -> None:
    save(tmp_path / "a", made_by("a"), {"v": 4})
    save(tmp_path / "b", made_by("b", stride=4), {"v": 13})
    assert concat(tmp_path, "a", "b").load("v")[:, 0, 4].tolist() == [0, 4, 8, 12]


def test_backbones_on_different_clips_score_stored_features_only() -> None:
    specs = [create_backbone("motion").spec, create_backbone("squeezenet1_1", "random", stride=8).spec]
    with pytest.raises(
        UsageError, match=r"motion and squeezenet1_1 .*: stride is 16 and 8\. .*`amiss detect --features`"
    ):
        create_backbone_for(fused_spec(specs))


def test_segments_go_with_segments(tmp_path: Path) -> None:
    save(tmp_path / "a", made_by("a", segments=32, pooling="matlab"), {"v": 32})
    save(tmp_path / "b", made_by("b", segments=32, pooling="ekosman"), {"v": 32})
    save(tmp_path / "clips", made_by("c"), {"v": 32})
    joined = concat(tmp_path, "a", "b")
    assert (joined.spec.segments, joined.spec.pooling, joined.load("v").shape) == (32, "matlab", (32, 1, 8))
    ran = command("features", "concat", tmp_path / "a", tmp_path / "clips", "--out", tmp_path / "other")
    assert ran.exit_code == 2
    assert "rows of a are 32 segments of a video, rows of c are clips" in ran.stderr


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a", made_by("a"), {"v": 4, "only-a": 4})
    save(tmp_path / "again", made_by("a"), {"v": 4})
    save(tmp_path / "five", made_by("five", crops=5), {"v": 4})
    save(tmp_path / "ten", made_by("ten", crops=10), {"v": 4})
    save(tmp_path / "other", made_by("other"), {"w": 4})
    for names, code, message in (
        (("a",), 2, "1 feature set given; two or more are joined"),
        (("a", "again"), 2, "both say that they are 'a' with weights 'unknown': the same features twice?"),
        (("five", "ten"), 2, "five has 5 crops, another part 10: only one can be repeated"),
        (("a", "other"), 1, "no video in common"),
        (("a", "nothing"), 1, "does not exist"),
    ):
        ran = command("features", "concat", *(tmp_path / name for name in names), "--out", tmp_path / "out")
        assert (ran.exit_code, len(ran.stderr.strip().splitlines())) == (code, 1), ran.stderr
        assert message in ran.stderr
    assert not (tmp_path / "out").exists()
    with warnings.catch_warnings(action="always"):
        ran = command("features", "concat", tmp_path / "a", tmp_path / "five", "--out", tmp_path / "out")
    assert ran.exit_code == 0
    assert "1 of 2 videos are not in every set and left out: only-a" in ran.stderr


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 + 3 short videos in normal/ and anomalous/: a square that walks, or jumps."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for label in ("normal", "anomalous"):
        (root / label).mkdir()
        for i in range(3):
            frames = np.full((20, 48, 64, 3), 90, np.uint8) + rng.integers(0, 3, (20, 48, 64, 3), dtype=np.uint8)
            for t, frame in enumerate(frames):
                x = int(rng.integers(0, 50)) if label == "anomalous" else 10 + t // 8
                frame[16:28, x : x + 12] = 220
            write_video(root / label / f"{label[0]}{i}.mp4", list(frames))
    return root


def test_a_detector_of_joined_sets_scores_videos_where_amiss_has_every_backbone(videos: Path, tmp_path: Path) -> None:
    """The joined set is the one that the fused backbone would have made, but for an incomplete last clip."""
    for name, more in (("motion", ()), ("squeezenet1_1", ("--weights", "random"))):
        command("extract", videos, "--backbone", name, *more, "--engine", "torch", "--out", tmp_path / name)
    joined = concat(tmp_path, "motion", "squeezenet1_1")
    fused = create_backbone("motion+squeezenet1_1", {"squeezenet1_1": "random"})
    motion, network = fused.spec.parts  # fused, both see the last frames; by itself a network sees repeats of the last
    assert joined.spec == fused.spec.with_(parts=(motion, network.with_(tail="pad")))
    command("dataset", "build", "folder", "--root", videos, "--out", tmp_path / "manifest.csv")
    quick = ("--set", "steps=4", "--set", "evaluate_every=2", "--set", "calibration.folds=0")
    data = ("--data", tmp_path / "manifest.csv", "--features", tmp_path / "out")
    assert command("train", "topk", *data, "--out", tmp_path / "run", *quick).exit_code == 0
    detector = Detector.load(tmp_path / "run" / "selected")
    video = videos / "anomalous" / "a0.mp4"
    stored = [video_id for video_id in joined.records if video_id.endswith("a0")]
    detector.prepare(engine="torch")
    from_video = [clip.score for clip in detector.score(video).clips]
    from_features = detector.score_features(joined.load(stored[0]))
    np.testing.assert_allclose(from_video[:-1], from_features[:-1], atol=1e-5)


def test_parts_with_crops_of_their_own_run_together() -> None:
    """One view of `motion` beside five of a network: what joining stored sets gives."""
    motion, network = create_backbone("motion"), create_backbone("squeezenet1_1", "random", crops=5)
    frames = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    backbone = create_backbone_for(fused_spec([motion.spec, network.spec]))
    x_CD = backbone.encode(frames)
    assert x_CD.shape == (5, backbone.spec.dim)
    np.testing.assert_array_equal(x_CD[:, : motion.spec.dim], motion.encode(frames).expand(5, -1))

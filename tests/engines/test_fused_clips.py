"""Fusions whose parts see clips of different lengths and rates over the same time."""

import numpy as np
import pytest
import torch

from amiss.backbones import Backbone, FeatureSpec, FusedBackbone, create_backbone, create_backbone_for, fused_spec
from amiss.engines import FusedEngine, TorchEngine
from amiss.errors import UsageError
from amiss.features import extract_video, pool_as
from helpers.cameras import wall
from helpers.fake_detector import brightness_detector
from helpers.streams import write_stream
from helpers.videos import numbered, read_number, write_video


class Numbers(Backbone):
    """The frame numbers that the pictures of a clip carry."""

    def __init__(self, name, clip_len, **more):
        super().__init__()
        fields = {"stride": clip_len, **more}
        self.spec = FeatureSpec(backbone=name, weights="none", dim=clip_len, clip_len=clip_len, **fields)

    def preprocess(self, frames):
        numbers = torch.tensor([read_number(frame) for frame in frames]).float()
        return numbers.view(1, 1, -1, 1, 1).expand(1, 3, -1, 1, 1)

    def forward(self, clips):
        return clips[:, 0, :, 0, 0]


class Brightness(Numbers):
    """The mean of a clip."""

    def __init__(self, name, clip_len, **more):
        super().__init__(name, clip_len, **more)
        self.spec = self.spec.with_(dim=1)

    def preprocess(self, frames):
        return torch.from_numpy(frames.astype(np.float32) / 255).mean().view(1, 1, 1, 1, 1).expand(1, 3, 1, 1, 1)


def engine_of(*parts):
    fused = FusedBackbone(parts)
    return fused, FusedEngine(fused.spec, [TorchEngine(part, "cpu") for part in fused.parts])


@pytest.fixture
def path(tmp_path):
    return write_video(tmp_path / "a.mp4", [numbered(i) for i in range(75)], fps=30)


def test_a_part_with_shorter_clips_gives_the_mean_of_those_in_the_same_time(path):
    fused, engine = engine_of(Numbers("short", 8), Numbers("long", 32))
    assert (fused.spec.clip_len, fused.spec.stride, fused.spec.dim) == (32, 32, 40)
    assert [part.pooling for part in fused.spec.parts] == ["mean", None]
    found = extract_video(path, engine).features[:, 0]
    frames = np.minimum(np.arange(96), 74)
    assert np.array_equal(found[:, 8:], frames.reshape(3, 32))
    assert np.array_equal(found[:, :8], frames.reshape(3, 4, 8).mean(1))
    assert np.array_equal(fused.encode(np.stack([numbered(i) for i in range(32)]))[0], found[0])


def test_a_part_of_a_lower_rate_sees_what_it_sees_alone(path):
    alone = [extract_video(path, TorchEngine(Numbers("slow", 8, frame_rate=7.5), "cpu")).features]
    alone.append(extract_video(path, TorchEngine(Numbers("fast", 16, frame_rate=15.0), "cpu")).features)
    fused, engine = engine_of(Numbers("slow", 8, frame_rate=7.5), Numbers("fast", 16, frame_rate=15.0))
    assert (fused.spec.clip_len, fused.spec.stride, fused.spec.frame_rate) == (16, 16, 15.0)
    found = extract_video(path, engine).features
    assert np.array_equal(found[:-1], np.concatenate(alone, axis=2)[:-1])  # the last clip is filled up before
    assert [part.pooling for part in fused.spec.parts] == ["mean", None]


def test_native_clips_of_published_networks_fit():
    fused = create_backbone("r3d_18+swin3d_t", "random", preset="native")
    assert (fused.spec.clip_len, fused.spec.stride, fused.spec.frame_rate) == (32, 32, 15.0)
    again = create_backbone_for(fused.spec)
    assert [part.spec for part in again.parts] == list(fused.spec.parts)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((Numbers("a", 12), Numbers("b", 16)), "clip_len is 16 and 12"),
        ((Numbers("a", 16), Numbers("b", 16, frame_rate=15.0)), "frame_rate is"),
        ((Numbers("a", 16, frame_rate=10.0), Numbers("b", 32, frame_rate=15.0)), "frame_rate is 15.0 and 10.0"),
        ((Numbers("a", 16), Numbers("b", 16, stride=8)), "stride is 16 and 8"),
        ((Numbers("a", 16, tail="drop"), Numbers("b", 32)), "drops the last one"),
    ],
)
def test_clips_that_do_not_fill_the_same_time_are_refused(parts, reason):
    with pytest.raises(UsageError, match=reason):
        FusedBackbone(parts)


def test_joined_sets_are_no_such_fusion():
    """Their rows are the nearest ones, not means: a head trained on them doesn't score videos."""
    specs = [create_backbone(name, "random", preset="native").spec for name in ("swin3d_t", "r3d_18")]
    with pytest.raises(UsageError, match=r"clip_len is 32 and 16\. .*`amiss detect --features`"):
        create_backbone_for(fused_spec(specs))
    slow = specs[1].with_(backbone="mvit_v2_s", frame_rate=7.5)
    with pytest.raises(UsageError, match=r"frame_rate is 15\.0 and 7\.5\. .*`amiss detect --features`"):
        create_backbone_for(fused_spec([specs[0], slow]))


def test_files_streams_and_stored_features_score_alike(tmp_path):
    video = write_stream(tmp_path / "a.ts", n_frames=135, bright=((40, 80),))
    fused, engine = engine_of(Brightness("short", 16), Brightness("long", 32))
    detector = brightness_detector(fused.spec)
    stored = extract_video(video, engine)
    assert np.allclose(stored.features[..., 0], stored.features[..., 1])
    scores = detector.score_features(stored.features)
    detector._engine = engine
    assert np.array_equal([clip.score for clip in detector.score(video).clips], scores)
    with wall(engine=engine) as made:
        worker = made.watch(f"replay:{video}?speed=0")
        worker.join(20)
    assert worker.error is None
    assert [scored.score for scored in made.scores] == pytest.approx(scores.tolist())
    segments = fused.spec.with_(segments=4, pooling="rtfm")
    rows, spec = pool_as(stored.features, fused.spec, segments)
    assert (rows.shape, spec.segments) == ((4, 1, 2), 4)

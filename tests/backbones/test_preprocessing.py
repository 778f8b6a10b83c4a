from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec, Preprocessing, create_backbone, find_backbone
from amiss.backbones._preprocessing import CROPS
from amiss.backbones._presets import PRESETS
from amiss.backbones._transformers import NETWORKS
from amiss.backbones.weights import Unfetched
from amiss.errors import UsageError
from amiss.video._planes import PlanesConverter
from amiss.video._rgb import RgbConverter


def clip(height=48, width=64, frames=4, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (frames, height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18", "s3d", "swin3d_t", "mvit_v2_s"])
def test_torchvision_video_networks_see_what_torchvision_gives_them(name):
    from torchvision.models import get_model_weights

    official = get_model_weights(name).DEFAULT.transforms()
    backbone = create_backbone(name, "random")
    for size in ((240, 320), (360, 202), (90, 120), (720, 1280)):
        frames = clip(*size, frames=3)
        expected = official(torch.from_numpy(frames).permute(0, 3, 1, 2))
        assert torch.equal(backbone.preprocess(frames), expected.unsqueeze(0))


def statistics(x):
    return [x.mean(), x.std(), x.min(), x.max()]


def test_mvit_sees_what_ekosman_gives_it(golden):
    arrays = np.load(golden / "transforms.npz")
    x = (
        create_backbone("mvit_v2_s", "random", preset="ekosman")
        .preprocess(clip(240, 320, frames=16, seed=3))[0]
        .numpy()
    )
    assert x.shape == tuple(arrays["mvit_shape"])
    np.testing.assert_allclose(x[:, ::5, ::37, ::41], arrays["mvit_sub"], atol=1e-4)
    np.testing.assert_allclose(statistics(x), arrays["mvit_stat"], atol=1e-4)


def test_whole_crops_of_i3d_resnet50_equal_the_extractors(golden):
    """Made with Pillow 13's Lanczos, which the original leaves to whatever Pillow is installed."""
    extractor = create_backbone("i3d_resnet50", "random", crops=10, preset="gottimukkala")
    ten_crops = extractor.preprocess(clip(240, 320, frames=16, seed=3)).double().numpy()
    expected = np.load(golden / "transforms.npz")["tencrop_stat"]
    np.testing.assert_allclose([statistics(x) for x in ten_crops], expected, atol=1e-4)


def test_ten_crops_are_in_the_order_of_rtfm():
    frames = clip(256, 340, frames=1)
    views = Preprocessing(crop=224, crops=10, value_range=(0, 255))(frames)[:, :, 0].numpy().transpose(0, 2, 3, 1)
    image, mirrored = frames[0], frames[0, :, ::-1]
    for i, source in ((0, image), (5, mirrored)):
        expected = [
            source[:224, :224],
            source[:224, 116:],
            source[16:240, 58:282],
            source[32:, :224],
            source[32:, 116:],
        ]
        for j, crop in enumerate(expected):
            assert np.array_equal(views[i + j], crop), f"crop {i + j}"


def test_five_crops_and_the_centre_are_among_the_ten():
    frames = clip(60, 80)
    ten = Preprocessing(resize=50, crop=40, crops=10)(frames)
    assert torch.equal(Preprocessing(resize=50, crop=40, crops=5)(frames), ten[:5])
    assert torch.equal(Preprocessing(resize=50, crop=40)(frames), ten[2:3])


def test_values_are_scaled_normalised_and_reordered():
    frames = clip(8, 8)
    rgb = frames.transpose(3, 0, 1, 2)
    plain = Preprocessing(value_range=(-1.0, 1.0), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    expected = (rgb / 127.5 - 1 - np.reshape((0.1, 0.2, 0.3), (3, 1, 1, 1))) / np.reshape((0.5, 0.6, 0.7), (3, 1, 1, 1))
    np.testing.assert_allclose(plain(frames)[0].numpy(), expected, atol=1e-5)
    bgr = Preprocessing(colour="bgr", value_range=(0.0, 255.0))(frames)[0].numpy()
    assert np.array_equal(bgr, rgb[::-1])
    grey = Preprocessing(colour="grey", value_range=(0.0, 255.0))(frames)[0].numpy()
    assert np.abs(grey - rgb.transpose(1, 2, 3, 0) @ (0.299, 0.587, 0.114)).max() <= 0.51
    assert grey.shape == (3, 4, 8, 8)


def test_sampled_frames_are_spread_from_first_to_last():
    frames = clip(8, 8, frames=16)
    sampled = Preprocessing(sampled=4, value_range=(0.0, 255.0))(frames)
    assert np.array_equal(sampled[0].numpy(), frames[[0, 5, 10, 15]].transpose(3, 0, 1, 2))
    one = Preprocessing(sampled=4)(frames[:1])
    assert one.shape == (1, 3, 4, 8, 8)


def test_shrinking_by_area_averages_pixels():
    frames = clip(12, 16)
    expected = frames.reshape(4, 6, 2, 8, 2, 3).mean((2, 4)).transpose(3, 0, 1, 2)
    shrunk = Preprocessing(resize=(6, 8), interpolation="area", value_range=(0.0, 255.0))(frames)[0].numpy()
    assert np.abs(shrunk - expected).max() <= 0.5


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), crops=st.sampled_from([1, 5, 10]))
def test_any_size_fills_the_crop(height, width, crops):
    x = Preprocessing(resize=16, crop=24, crops=crops)(clip(height, width, frames=2))
    assert x.shape == (crops, 3, 2, 24, 24)
    assert x.isfinite().all()
    assert x.is_contiguous()


def test_frames_are_not_changed_and_may_be_read_only():
    frames = clip(8, 8)
    frames.flags.writeable = False
    before = frames.copy()
    Preprocessing(mean=(0.5, 0.5, 0.5))(frames)
    assert np.array_equal(frames, before)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3), np.float32), np.zeros((0, 8, 8, 3), np.uint8)],
    ids=["grey", "float", "empty"],
)
def test_what_is_no_clip_is_refused(frames):
    with pytest.raises(UsageError, match=r"a clip is uint8 \[T, H, W, 3\]"):
        Preprocessing()(frames)


def test_wrong_crops_are_refused():
    with pytest.raises(UsageError, match="crops is 3"):
        Preprocessing(crop=10, crops=3)
    with pytest.raises(UsageError, match="sees the whole frame"):
        Preprocessing(crops=10)


def test_the_spec_says_how_frames_are_preprocessed():
    preprocessing = Preprocessing(
        resize=(128, 171), crop=112, crops=10, sampled=8, colour="bgr", value_range=(0.0, 255.0), mean=(1.0, 2.0, 3.0)
    )
    spec = FeatureSpec(backbone="x", weights="random", dim=2, **preprocessing.spec_fields())
    assert (spec.resize, spec.crop, spec.crops, spec.sampled) == ("128x171 bilinear", "centre 112", 10, 8)
    assert (spec.colour, spec.value_range, spec.mean, spec.std) == ("bgr", (0.0, 255.0), (1.0, 2.0, 3.0), None)
    assert Preprocessing(resize=256, antialias=True).spec_fields()["resize"] == "shorter side 256 bilinear antialiased"


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(2, 90),
    width=st.integers(2, 90),
    resize=st.sampled_from([None, 32, (24, 40), (64, 17)]),
    interpolation=st.sampled_from(["bilinear", "bicubic", "area", "lanczos"]),
    antialias=st.booleans(),
    rounded=st.booleans(),
    crop=st.sampled_from([None, 16]),
    crops=st.sampled_from([1, 5, 10]),
    sampled=st.sampled_from([None, 2]),
    colour=st.sampled_from(["rgb", "bgr", "grey"]),
)
def test_on_a_device_pixels_are_the_same_to_one_grey_level(height, width, crop, crops, **how):
    how = {**how, "crop": crop, "crops": 1 if crop is None else crops, "value_range": (0.0, 255.0)}
    preprocessing, frames = Preprocessing(**how), clip(height, width)
    expected = preprocessing(frames)
    found = preprocessing.on_device(torch.from_numpy(preprocessing.used(frames)))
    assert found.shape == expected.shape
    assert found.is_contiguous()
    assert (found - expected).abs().max() <= 1 + 1e-3


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("colourspace", [1, 2, 5, 6, 9])
@pytest.mark.parametrize(("height", "width"), [(24, 64), (34, 50), (2, 2)])
def test_planes_give_the_colours_that_libav_makes(height, width, colourspace, is_full):
    noise = np.random.RandomState(0).randint(0, 256, (height * 3 // 2, width)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(noise, format="yuv420p")
    picture.colorspace, picture.color_range = colourspace, ColorRange.JPEG if is_full else ColorRange.MPEG
    converter, plain = PlanesConverter.of(picture), Preprocessing(value_range=(0.0, 255.0))
    found = plain.on_device(torch.from_numpy(converter(picture)[None]), converter.yuv)
    assert (found - plain(RgbConverter(picture)(picture)[None])).abs().max() <= 1  # on x86 there is no difference


DEFAULTS = ("c3d", "i3d", "i3d_resnet50", "mfnet", "resnet3d_50", "r3d_18", "swin3d_t", "s3d", "mvit_v2_s",
            "densenet3d_121", "squeezenet1_1")  # fmt: skip
PUBLISHED = {
    f"{preset}: {names[0]}": (names[0].replace("*", "50"), preset)
    for preset, published in PRESETS.items()
    for names, _ in published.networks
}


def built(name, preset="default"):
    published = [weights for weights in find_backbone(name).weights if weights not in ("default", "random", "FILE")]
    return create_backbone(name, Unfetched(published[0]) if published else "random", preset=preset)


def check_on_device(own):
    """Directions of the inputs: one grey level of few pixels is all that may differ."""
    frames = np.kron(clip(30, 40), np.ones((1, 8, 8, 1), np.uint8))  # 240x320, with edges
    for crops in (1,) if own.crop is None else CROPS:
        preprocessing = replace(own, crops=crops)
        expected, found = preprocessing(frames), preprocessing.on_device(torch.from_numpy(preprocessing.used(frames)))
        assert len(found) == crops
        a, b = found.double().flatten(), expected.double().flatten()
        assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.99999
        level = (own.value_range[1] - own.value_range[0]) / 255 / min(own.std or (1.0,))
        assert (found - expected).abs().max() <= 1.01 * level


@pytest.mark.parametrize("name", DEFAULTS)
def test_on_a_device_every_backbone_sees_what_it_sees_in_memory(name):
    check_on_device(built(name).preprocessing)


@pytest.mark.parametrize("card", NETWORKS, ids=lambda card: card.name)
def test_on_a_device_transformers_see_what_they_see_in_memory(card):
    check_on_device(card.preprocessing)


@pytest.mark.parametrize(("name", "preset"), PUBLISHED.values(), ids=PUBLISHED)
def test_on_a_device_every_preset_gives_what_it_gives_in_memory(name, preset):
    check_on_device(PRESETS[preset].preprocessing(name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "preset"), [*((name, "default") for name in DEFAULTS), *PUBLISHED.values()])
def test_on_a_device_every_preset_gives_the_same_features(name, preset):
    backbone = built(name, preset)
    own = backbone.preprocessing
    preprocessing = own if own.crop is None else replace(own, crops=5)  # of ten the others are mirrored
    frames = np.kron(clip(30, 40, frames=backbone.spec.clip_len), np.ones((1, 8, 8, 1), np.uint8))
    used = torch.from_numpy(preprocessing.used(frames))
    with torch.inference_mode():
        for a, b in zip(preprocessing(frames), preprocessing.on_device(used), strict=True):
            assert torch.nn.functional.cosine_similarity(backbone(a[None]), backbone(b[None])).min() > 0.9999

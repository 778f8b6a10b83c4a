import importlib
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from amiss.backbones import (
    CLIP_LEN,
    Backbone,
    BackboneEntry,
    BackboneInfo,
    FeatureSpec,
    FusedBackbone,
    Preprocessing,
    check_same_features,
    create_backbone,
    create_backbone_for,
    describe_presets,
    list_backbones,
    published_spec,
)
from amiss.backbones._names import FAMILIES
from amiss.errors import SpecMismatchError, UsageError, WeightsError
from helpers import ROOT
from helpers.plugins import install_plugin

FRAMES = np.random.RandomState(0).randint(0, 256, (CLIP_LEN, 60, 80, 3)).astype(np.uint8)
OWN_ROW = ("clip_", "efficientnet_lite")  # of the image networks
VIDEO_NETWORKS = {"r3d_18": 512, "mc3_18": 512, "r2plus1d_18": 512, "s3d": 1024}


class Brightness(Backbone):
    """A third party's backbone."""

    def __init__(self, weights, crops):
        super().__init__()
        self.spec = FeatureSpec(backbone="brightness", weights="none", dim=3, crops=crops)

    def preprocess(self, frames):
        return torch.from_numpy(frames).permute(3, 0, 1, 2).float().unsqueeze(0)

    def forward(self, clips):
        return clips.mean((2, 3, 4))


BRIGHTNESS = BackboneEntry(
    BackboneInfo(name="brightness", kind="formula", dim=3, input_size=(1, 1), weights=("none",), licence="MIT"),
    Brightness,
)


def _costly(weights, crops):
    raise AssertionError("its weights would be downloaded")


COSTLY = BackboneEntry(
    BackboneInfo(name="costly", kind="video network", dim=3, input_size=(1, 1), licence="MIT"), _costly
)


NAMED = BackboneEntry(
    BackboneInfo(name="named", kind="video network", dim=3, input_size=(1, 1), weights=("mine", "FILE"), licence="MIT"),
    Brightness,
)


@pytest.fixture
def third_party(monkeypatch, tmp_path):
    install_plugin(monkeypatch, tmp_path, "amiss.backbones", "brightness", f"{__name__}:BRIGHTNESS")


@pytest.mark.parametrize("family", FAMILIES)
def test_names_that_are_known_without_torch_are_those_of_the_families(family):
    assert tuple(entry.info.name for entry in importlib.import_module(family).ENTRIES) == FAMILIES[family]


def test_torchvision_is_imported_only_when_a_network_is_built():
    code = "import sys, amiss.backbones as b; b.list_backbones(); b.create_backbone('motion')"
    code += "; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_says_of_every_backbone_and_preset_what_the_program_says():
    lines = (ROOT / "docs/explanations/backbones.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]
    dims = {}
    for names, dim in (row[:2] for row in rows if len(row) == 4):
        found = re.findall("`(.+?)`", names)
        dims |= dict(zip(found, dim.split(", ") * (len(found) if ", " not in dim else 1), strict=True))
    networks = [info for info in list_backbones() if info.kind != "image network" or info.name.startswith(OWN_ROW)]
    assert dims == {info.name: str(info.dim) for info in networks}
    for preset in describe_presets():
        name = f"`{preset['name']}`"
        assert [name, str(preset["stride"]), preset["tail"]] in [[row[0], *row[2:4]] for row in rows if len(row) == 5]
        for network in preset["networks"]:
            backbones = ", ".join(f"`{backbone}`" for backbone in network["backbones"])
            if preset["name"] == "native":
                rate = f"{network['frame_rate']:g}"
                assert [backbones, rate, str(network["clip_len"])] in [row for row in rows if len(row) == 3]
                continue
            assert [name, backbones, network["resize"], network["crop"]] in [row[:4] for row in rows if len(row) == 7]


def test_every_image_classifier_of_torchvision_is_listed():
    import torchvision

    listed = {info.name: info for info in list_backbones()}
    assert set(torchvision.models.list_models(module=torchvision.models)) <= set(listed)
    assert {"motion", *VIDEO_NETWORKS} <= set(listed)
    assert listed["motion"].weights == ("none",)


@pytest.mark.parametrize("name", VIDEO_NETWORKS)
def test_video_networks_give_what_torchvision_pools(name):
    from torchvision.models import get_model

    backbone = create_backbone(name, "random")
    x = backbone.preprocess(FRAMES)
    inputs = {}
    whole = get_model(name, weights=None).eval()
    network = backbone.network.state_dict()
    whole.load_state_dict(network, strict=False)
    classifier = whole.classifier if name == "s3d" else whole.fc
    classifier.register_forward_pre_hook(lambda module, args: inputs.update(x=args[0]))
    with torch.inference_mode():
        whole(x)
        features = backbone(x)
    assert features.shape == (1, VIDEO_NETWORKS[name]) == (1, backbone.spec.dim)
    assert torch.equal(features, inputs["x"].mean((2, 3, 4)) if name == "s3d" else inputs["x"])
    assert not backbone.training
    assert not any(p.requires_grad for p in backbone.parameters())


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("swin3d_t", 768),
        ("mvit_v2_s", 768),
        pytest.param("swin3d_s", 768, marks=pytest.mark.slow),
        pytest.param("swin3d_b", 1024, marks=pytest.mark.slow),
        pytest.param("mvit_v1_b", 768, marks=pytest.mark.slow),
    ],
)
def test_video_transformers_give_the_input_of_torchvisions_classifier(name, dim):
    from torchvision.models import get_model

    backbone = create_backbone(name, "random")
    x = backbone.preprocess(FRAMES)
    whole = get_model(name, weights=None).eval()
    whole.load_state_dict(backbone.network.state_dict(), strict=False)
    inputs = {}
    last = [module for module in whole.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, args: inputs.update(x=args[0]))
    with torch.inference_mode():
        whole(x)
        features = backbone(x)
    assert features.shape == (1, dim) == (1, backbone.spec.dim)
    assert torch.equal(features, inputs["x"])


@pytest.mark.parametrize(
    "name", ["squeezenet1_1", "resnet18", "efficientnet_b0", "mobilenet_v3_small", "vit_b_32", "googlenet"]
)
def test_image_networks_give_mean_and_change_of_the_penultimate_features(name):
    backbone = create_backbone(name, "random")
    x = backbone.preprocess(FRAMES)
    with torch.inference_mode():
        frames_TF = backbone.network(x[0].transpose(0, 1)).flatten(1)
        features = backbone(x)[0]
    assert x.shape[2] == backbone.spec.sampled
    dim = frames_TF.shape[1]
    assert features.shape == (2 * dim,) == (backbone.spec.dim,)
    assert {info.name: info.dim for info in list_backbones()}[name] == 2 * dim
    torch.testing.assert_close(features[:dim], frames_TF.mean(0))
    torch.testing.assert_close(features[dim:], frames_TF.diff(dim=0).abs().mean(0))


def test_squeezenet_is_the_mean_of_its_last_map(shared):
    path = shared / "data/weights/squeezenet1_1_imagenet_features.safetensors"
    from safetensors.torch import load_file
    from torchvision.models import squeezenet1_1

    backbone = create_backbone("squeezenet1_1", path)
    original = squeezenet1_1(weights=None).eval()
    original.load_state_dict(load_file(path), strict=False)
    x = backbone.preprocess(FRAMES)
    with torch.inference_mode():
        expected = original.features(x[0].transpose(0, 1)).mean((2, 3)).mean(0)
        torch.testing.assert_close(backbone(x)[0, :512], expected)
    assert backbone.spec.weights == path.name
    assert backbone.spec.weights_sha256.startswith("c9894542")


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    one = create_backbone("resnet18", "random").encode(FRAMES)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(one, create_backbone("resnet18", "random").encode(FRAMES))


def test_a_fusion_concatenates_its_parts():
    fused = create_backbone("motion+squeezenet1_1+r3d_18", "random", stride=8, frame_rate=25)
    assert isinstance(fused, FusedBackbone)
    parts = [
        create_backbone(name, weights)
        for name, weights in (("motion", "none"), ("squeezenet1_1", "random"), ("r3d_18", "random"))
    ]
    assert torch.equal(fused.encode(FRAMES), torch.cat([part.encode(FRAMES) for part in parts], dim=1))
    spec = fused.spec
    assert spec.backbone == "motion+squeezenet1_1+r3d_18"
    assert spec.weights == "none+random+random"
    assert spec.dim == sum(part.spec.dim for part in parts)
    assert (spec.stride, spec.frame_rate) == (8, 25)
    assert [part.backbone for part in spec.parts] == ["motion", "squeezenet1_1", "r3d_18"]
    assert FeatureSpec.from_dict(spec.to_dict()) == spec


def test_weights_of_a_fusion_by_name():
    fused = create_backbone("motion+r3d_18", {"r3d_18": "random"})
    assert fused.spec.weights == "none+random"
    with pytest.raises(UsageError, match=r"weights are given for \['s3d'\]"):
        create_backbone("motion+r3d_18", {"s3d": "random"})
    with pytest.raises(UsageError, match="motion is a formula and takes no weights, not random"):
        create_backbone("motion+r3d_18", {"r3d_18": "random", "motion": "random"})


def test_parts_must_fit():
    with pytest.raises(UsageError, match="sees the whole frame"):
        create_backbone("motion+r3d_18", "random", crops=10)
    with pytest.raises(UsageError, match="can be fused once"):
        create_backbone("motion+motion")
    long = create_backbone("r3d_18", "random")
    long.spec = long.spec.with_(clip_len=24)
    with pytest.raises(UsageError, match="clip_len is 24 and 16"):
        FusedBackbone([create_backbone("motion"), long])


def test_crops_go_through():
    backbone = create_backbone("r3d_18", "random", crops=5)
    assert backbone.spec.crops == 5
    assert backbone.encode(FRAMES).shape == (5, 512)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("r3d18", "r3d_18"),
        ("moton", "motion"),
        ("squeezenet", "squeezenet1"),
        ("motion+resnet5", "resnet50"),
        ("I3D", "i3d"),
        ("C3D", "c3d"),
        ("R2Plus1D-18", "r2plus1d_18"),
        ("I3D-ResNet50", "i3d_resnet50"),
        ("Swin3D-T", "swin3d_t"),
        ("CLIP", "clip_vit_b_16"),
        ("vit", "vit_b_16"),
    ],
)
def test_unknown_names_suggest_the_closest(name, hint):
    with pytest.raises(UsageError, match=f"unknown backbone .*Did you mean .*{hint}"):
        create_backbone(name)


@pytest.mark.parametrize("name", ["", "motion+", "no such thing"])
def test_other_unknown_names(name):
    with pytest.raises(UsageError, match="unknown backbone"):
        create_backbone(name)


@pytest.mark.parametrize(
    ("option", "value"),
    [("stride", 0), ("frame_rate", 0), ("frame_rate", -1.0), ("frame_rate", float("nan")), ("crops", 2)],
)
def test_options_out_of_range(option, value):
    with pytest.raises(UsageError, match=f"{option} is {value}"):
        create_backbone("r3d_18", "random", **{option: value})


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("costly", {"preset": "nope"}, "costly has no preset 'nope'; it has .'default'"),
        ("motion+costly", {"preset": "ekosman"}, "motion has no preset 'ekosman'"),
        ("costly", {"crops": 3}, "crops is 3; it must be one of"),
        ("costly+motion", {"crops": 10}, "sees the whole frame: use crops=1"),
    ],
)
def test_what_a_backbone_does_not_have_is_told_before_weights_are_fetched(monkeypatch, tmp_path, name, options, says):
    install_plugin(monkeypatch, tmp_path, "amiss.backbones", "costly", f"{__name__}:COSTLY")
    with pytest.raises(UsageError, match=says):
        create_backbone(name, **options)


@pytest.mark.usefixtures("third_party")
def test_third_party_backbones():
    assert list_backbones()[-1] == BRIGHTNESS.info
    fused = create_backbone("motion+brightness")
    np.testing.assert_allclose(fused.encode(FRAMES)[0, -3:].numpy(), FRAMES.mean((0, 1, 2)), rtol=1e-4)
    with pytest.raises(UsageError, match="Did you mean 'brightness'"):
        create_backbone("brightnes")


def test_a_third_party_may_only_name_its_weights(monkeypatch, tmp_path):
    install_plugin(monkeypatch, tmp_path, "amiss.backbones", "named", f"{__name__}:NAMED")
    assert published_spec("named").weights == "mine"
    with pytest.raises(UsageError, match=r"named has no published weights 'theirs'; it has \['mine'\]"):
        published_spec("named", "theirs")


def test_a_third_party_may_give_its_preprocessing_only():
    class Plain(Backbone):
        def __init__(self):
            super().__init__()
            self.spec = FeatureSpec(backbone="plain", weights="none", dim=3)

        def forward(self, clips):
            return clips.mean((2, 3, 4))

    backbone = Plain()
    with pytest.raises(UsageError, match="Plain needs `preprocessing`, or a `preprocess` of its own"):
        backbone.encode(FRAMES)
    backbone.preprocessing = Preprocessing(value_range=(0.0, 255.0))
    np.testing.assert_allclose(backbone.encode(FRAMES)[0].numpy(), FRAMES.mean((0, 1, 2)), rtol=1e-4)


def test_a_third_party_that_is_no_entry_is_refused(monkeypatch, tmp_path):
    install_plugin(monkeypatch, tmp_path, "amiss.backbones", "odd", "math:pi")
    with pytest.raises(UsageError, match=r"'odd' of amiss\.backbones is 3\.14.*, not a BackboneEntry"):
        create_backbone("odd")


@pytest.mark.parametrize("name", ["resnet3d_10", "densenet3d_121", "resnext3d_50+densenet3d_121"])
def test_logits_are_features_of_another_kind(name):
    features, logits = (create_backbone(name, "random", output=output).spec for output in ("features", "logits"))
    assert logits.dim == 400 * len(name.split("+"))
    assert FeatureSpec.from_dict(logits.to_dict()) == logits != features
    assert "output" not in features.to_dict(), "specs of before keep their hash"
    assert create_backbone_for(logits).spec == logits
    with pytest.raises(SpecMismatchError, match=r"dim is 400.*output is 'logits', not 'features'|dim is 800"):
        check_same_features(logits, features, "x")


def test_networks_without_a_linear_classifier_give_no_logits():
    with pytest.raises(UsageError, match=r"c3d can't give logits; these can: resnet3d_10, "):
        create_backbone("c3d", "random", output="logits")


def test_specs_of_before_keep_their_hash():
    spec = FeatureSpec(backbone="c3d", weights="none", dim=3, tail="pad")
    assert spec.hash == "351bdca9edcb5ae40a0a51355453f5ea96dcaa06289113dbbc0b09c1c883ca5d"
    fused = FeatureSpec(backbone="a+b", weights="x+y", dim=6, tail="pad", parts=(spec, spec))
    assert fused.hash == "14532a6cf54f0c2e7058c1983093ee6fc67ca21d3802ba44b9134ee04219231b"


def test_motion_sees_the_last_frames_and_what_is_fused_with_it_does_too():
    assert create_backbone("motion").spec.tail == "last"
    assert create_backbone("squeezenet1_1", "random").spec.tail == "pad"
    fused = create_backbone("squeezenet1_1+motion", "random").spec
    assert [fused.tail, *(part.tail for part in fused.parts)] == ["last"] * 3


@pytest.mark.parametrize("name", ["motion", "r3d_18", "motion+squeezenet1_1"])
def test_a_spec_rebuilds_its_backbone(name):
    spec = FeatureSpec.from_dict(
        create_backbone(name, "none" if name == "motion" else "random", stride=4).spec.to_dict()
    )
    again = create_backbone_for(spec.with_(tail="drop", dtype="float16"))
    assert again.spec == spec.with_(tail="drop", dtype="float16")
    assert again.encode(FRAMES).shape == (1, spec.dim)


def test_a_spec_that_this_version_builds_otherwise_is_refused():
    spec = create_backbone("motion+squeezenet1_1", "random").spec
    changed = spec.with_(parts=(spec.parts[0], spec.parts[1].with_(resize="7x7 bilinear")))
    with pytest.raises(
        SpecMismatchError,
        match=r"squeezenet1_1 as this version .*resize is '224x224 bilinear antialiased', not '7x7 bilinear'",
    ):
        create_backbone_for(changed)
    with pytest.raises(SpecMismatchError, match="dim is"):
        create_backbone_for(create_backbone("motion").spec.with_(dim=7))


def test_a_spec_finds_its_weight_file(shared, tmp_path, monkeypatch):
    path = shared / "data/weights/squeezenet1_1_imagenet_features.safetensors"
    spec = create_backbone("motion+squeezenet1_1", path).spec
    monkeypatch.setenv("AMISS_WEIGHTS", str(path.parent))
    assert create_backbone_for(spec).spec == spec
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=rf"weight file {path.name} \(sha256 c9894542.*is missing.*AMISS_WEIGHTS"):
        create_backbone_for(spec)
    renamed = tmp_path / "renamed.safetensors"
    renamed.write_bytes(path.read_bytes())
    assert create_backbone_for(spec, renamed).spec == spec
    (tmp_path / path.name).write_bytes(b"another file")
    with pytest.raises(WeightsError, match=r"is not the weight file .*: its sha256 is"):
        create_backbone_for(spec)
    with pytest.raises(UsageError, match="used without a weight file"):
        create_backbone_for(create_backbone("motion").spec, renamed)


def test_a_spec_without_a_hash_takes_the_file_that_is_given(tmp_path):
    path = tmp_path / "own.pth"
    torch.save(create_backbone("resnet18", "random").network.state_dict(), path)
    made = create_backbone("motion+resnet18", {"resnet18": path}).spec
    part = made.parts[1].with_(weights="IMAGENET1K_V1", weights_sha256=None)
    assert create_backbone_for(part, path).spec == part
    fused = made.with_(parts=(made.parts[0], part))
    assert create_backbone_for(fused, path).spec == fused
    with pytest.raises(UsageError, match="used without a weight file"):
        create_backbone_for(create_backbone("resnet18", "random").spec, path)


def test_a_third_party_that_does_not_load_disables_only_itself(monkeypatch, tmp_path):
    from amiss.engines import choose

    install_plugin(monkeypatch, tmp_path, "amiss.backbones", "odd", "no_such_module:x")
    assert choose("motion", "cpu").engine == "torch"
    with pytest.warns(UserWarning, match=r"'odd' of entry point no_such_module:x doesn't load .*It is left out"):
        assert "motion" in {info.name for info in list_backbones()}
    with pytest.raises(UsageError, match="doesn't load"):
        create_backbone("odd")

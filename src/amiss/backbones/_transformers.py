"""Transformers of the package `transformers`, an extra that is imported when one is built.

VideoMAE (Tong et al., NeurIPS 2022), fine-tuned on Kinetics-400: the input of its classifier (mean of its tokens,
normalised). V-JEPA 2 (Assran et al., 2025): mean of its encoder's tokens. CLIP (Radford et al., ICML 2021): the image
embedding (projected, not normalised) of frames, averaged over the clip.

The revisions and the SHA-256 of their files are those that other projects on GitHub record; nothing was downloaded from
these addresses to check them. `main` stands where no revision was found: the file there may change.

Frames are resized as torchvision does it; Pillow and the package's own processors may differ by a grey level.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from amiss.backbones._base import Backbone, BackboneEntry, BackboneInfo
from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._spec import FeatureSpec
from amiss.backbones.weights import PublishedWeights, choose_weights, random_weights, read_weights
from amiss.errors import UsageError, WeightsError, how_to_install

_SAMPLED = 4  # frames of a clip that CLIP sees
_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CLIP_COLOURS: dict[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}


def transformers_package() -> ModuleType:
    """The package; UsageError where it is missing."""
    try:
        module = importlib.import_module("transformers")
    except ImportError as error:
        raise UsageError(f"this backbone needs transformers: {how_to_install('transformers')} ({error})") from error
    module.utils.logging.disable_progress_bar()
    module.utils.logging.set_verbosity_error()  # what doesn't fit is told as an error
    return module


class _VideoMAE(nn.Module):
    """Clips [N, 3, T, H, W] → features [N, D]."""

    def __init__(self, load: Callable[..., Any], **config: Any) -> None:
        super().__init__()
        self.network = load("VideoMAEForVideoClassification", "VideoMAEConfig", ("classifier.",), config)
        self.network.classifier = nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.network(clips.transpose(1, 2)).logits
        return features


class _VJEPA2(nn.Module):
    """Clips [N, 3, T, H, W] → features [N, D]."""

    def __init__(self, load: Callable[..., Any], **config: Any) -> None:
        super().__init__()
        self.network = load("VJEPA2Model", "VJEPA2Config", ("predictor.",), config)
        self.network.predictor = nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        tokens_NLD: Tensor = self.network(clips.transpose(1, 2), skip_predictor=True).last_hidden_state
        return tokens_NLD.mean(1)


class _CLIPImages(nn.Module):
    """Clips [N, 3, T, H, W] → features [N, D]."""

    def __init__(self, load: Callable[..., Any], **config: Any) -> None:
        super().__init__()
        unused = ("text_model.", "text_projection.", "logit_scale", "vision_model.embeddings.position_ids")
        self.network = load("CLIPVisionModelWithProjection", "CLIPVisionConfig", unused, config)

    def forward(self, clips: Tensor) -> Tensor:
        x_NTF: Tensor = self.network(clips.transpose(1, 2).flatten(0, 1)).image_embeds
        return x_NTF.view(clips.shape[0], clips.shape[2], -1).mean(1)


@dataclass(frozen=True, kw_only=True)
class _Network:
    """What there is to know about one of them."""

    name: str
    build: Callable[..., nn.Module]
    config: Mapping[str, Any]
    dim: int
    preprocessing: Preprocessing
    published: PublishedWeights
    kind: Literal["video network", "image network"] = "video network"
    licence: str
    note: str


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.is_floating_point() and bool(tensor.isfinite().all())


def _load(tensors: Mapping[str, Tensor] | None, source: str, *what: Any) -> nn.Module:
    """A network of the package with these tensors (None = drawn from a fixed seed)."""
    network_class, config_class, unused, settings = what
    package = transformers_package()
    network, config = getattr(package, network_class), getattr(package, config_class)(**settings)
    if tensors is None:
        with random_weights():
            drawn: nn.Module = network(config)
            return drawn
    used = {name: t for name, t in tensors.items() if not name.startswith(unused)}
    if odd := [n for n, t in used.items() if not _is_plain(t)]:
        raise WeightsError(f"{source} doesn't fit this network: {odd[:3]} are not dense tensors of finite fractions")
    given = {name: t.float() for name, t in used.items()}
    try:  # names in the published files are those of earlier versions of the package, which it translates
        filled, report = network.from_pretrained(None, config=config, state_dict=given, output_loading_info=True)
    except RuntimeError as error:
        first = next((line for line in str(error).splitlines() if "size" in line or "shape" in line), str(error))
        raise WeightsError(f"{source} doesn't fit this network: {first.strip()}") from error
    lacking = sorted(name for name in report["missing_keys"] if not name.startswith(unused))
    foreign = sorted(map(str, report["unexpected_keys"]))
    if lacking or foreign:
        raise WeightsError(
            f"{source} doesn't fit this network: it lacks {len(lacking)} tensors {lacking[:3]}, and "
            f"{len(foreign)} are of another network {foreign[:3]}"
        )
    whole: nn.Module = filled
    return whole


class TransformersBackbone(Backbone):
    """A network of the package `transformers` that gives one pooled feature per clip."""

    def __init__(self, card: _Network, weights: str | Path, crops: int) -> None:
        super().__init__()
        published = card.published
        chosen = choose_weights(card.name, weights, {published.id: published}, published.id)
        tensors = read_weights(chosen.path) if chosen.path is not None else None
        network = card.build(partial(_load, tensors, str(chosen.path)), **card.config)
        self.network = network.eval().requires_grad_(False)
        self.preprocessing = replace(card.preprocessing, crops=crops)
        self.spec = FeatureSpec(
            backbone=card.name,
            weights=chosen.id,
            weights_sha256=chosen.sha256,
            dim=card.dim,
            **self.preprocessing.spec_fields(),
        )

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.network(clips)
        return features


def _published(
    repository: str,
    id: str,
    megabytes: float,
    file: str = "model.safetensors",
    revision: str = "main",
    sha256: str = "",
) -> PublishedWeights:
    suffix = file.rpartition(".")[2]
    return PublishedWeights(
        id=id,
        url=f"https://huggingface.co/{repository}/resolve/{revision}/{file}",
        megabytes=megabytes,
        save_as=f"{repository.rpartition('/')[2]}.{suffix}",
        sha256=sha256,
    )


def _videomae(name: str, size: str, megabytes: float, revision: str, note: str, **config: Any) -> _Network:
    return _Network(
        name=name,
        build=_VideoMAE,
        config={"num_labels": 400, **config},
        dim=config["hidden_size"],
        preprocessing=Preprocessing(resize=224, antialias=True, crop=224, **_IMAGENET),
        published=_published(
            f"MCG-NJU/videomae-{size}-finetuned-kinetics", "kinetics400", megabytes, revision=revision
        ),
        licence="CC-BY-NC-4.0 (weights); code Apache-2.0",
        note=note,
    )


def _clip(name: str, published: PublishedWeights, note: str, **config: Any) -> _Network:
    return _Network(
        name=name,
        kind="image network",
        build=_CLIPImages,
        config=config,
        dim=config["projection_dim"],
        preprocessing=Preprocessing(
            resize=224, interpolation="bicubic", antialias=True, crop=224, sampled=_SAMPLED, **CLIP_COLOURS
        ),
        published=published,
        licence="MIT (weights of OpenAI); code Apache-2.0",
        note=note,
    )


NETWORKS = (
    _videomae("videomae_b", "base", 346, "488eb9a0565f257b32866000305c8178965eb9f6", "VideoMAE, ViT-B/16",
              hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    _videomae("videomae_l", "large", 1216, "main", "VideoMAE, ViT-L/16", hidden_size=1024, num_hidden_layers=24,
              num_attention_heads=16, intermediate_size=4096),
    _Network(
        name="vjepa2_l",
        build=_VJEPA2,
        config={"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "crop_size": 256},
        dim=1024,
        preprocessing=Preprocessing(resize=292, antialias=True, crop=256, **_IMAGENET),
        published=_published("facebook/vjepa2-vitl-fpc64-256", "vitl-fpc64-256", 1500,
                             revision="b3c1679b7c34d3255ef3547f27c7b226aefab26f"),
        licence="Apache-2.0 (as its model card says)",
        note="V-JEPA 2, ViT-L/16, self-supervised",
    ),
    _clip("clip_vit_b_16", _published("openai/clip-vit-base-patch16", "openai", 599, "pytorch_model.bin",
                                       "57c216476eefef5ab752ec549e440a49ae4ae5f3"),
          "CLIP image encoder, ViT-B/16", hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
          num_attention_heads=12, patch_size=16, projection_dim=512),
    _clip("clip_vit_l_14", _published("openai/clip-vit-large-patch14", "openai", 1710,
                                       revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
                                       sha256="a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb"),
          "CLIP image encoder, ViT-L/14", hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
          num_attention_heads=16, patch_size=14, projection_dim=768),
)  # fmt: skip


def entry_for(card: _Network) -> BackboneEntry:
    """Its line of the registry."""
    side = card.preprocessing.crop or 0
    info = BackboneInfo(
        name=card.name,
        kind=card.kind,
        dim=card.dim,
        input_size=(side, side),
        weights=("default", card.published.id, "random", "FILE"),
        licence=card.licence,
        note=f"{card.note}; needs the extra `transformers`",
    )
    return BackboneEntry(info, partial(TransformersBackbone, card), lambda: (card.published,))


ENTRIES = tuple(entry_for(card) for card in NETWORKS)

"""Backbones: clip → feature, each with its preprocessing and weights."""

import typing

from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:
    from amiss.backbones._base import Backbone, BackboneEntry, BackboneInfo
    from amiss.backbones._clip_words import ClipWords, find_clip
    from amiss.backbones._fusion import FusedBackbone, fused_spec, views_of_part
    from amiss.backbones._names import check_backbone_name
    from amiss.backbones._preprocessing import Preprocessing
    from amiss.backbones._presets import describe_presets, presets_of
    from amiss.backbones._published_spec import published_spec
    from amiss.backbones._registry import (
        create_backbone,
        create_backbone_for,
        find_backbone,
        list_architectures,
        list_backbones,
        why_not_from_video,
    )
    from amiss.backbones._sizes import SIZES
    from amiss.backbones._spec import CLIP_LEN, FeatureSpec, check_same_features, clip_spans
    from amiss.backbones._video_network import Architecture
    from amiss.backbones._weights_list import WeightsRecord, fetch_weights, list_weights
    from amiss.backbones.weights import PublishedWeights, find_weights, weights_folders

__all__ = [
    "CLIP_LEN",
    "SIZES",
    "Architecture",
    "Backbone",
    "BackboneEntry",
    "BackboneInfo",
    "ClipWords",
    "FeatureSpec",
    "FusedBackbone",
    "Preprocessing",
    "PublishedWeights",
    "WeightsRecord",
    "check_backbone_name",
    "check_same_features",
    "clip_spans",
    "create_backbone",
    "create_backbone_for",
    "describe_presets",
    "fetch_weights",
    "find_backbone",
    "find_clip",
    "find_weights",
    "fused_spec",
    "list_architectures",
    "list_backbones",
    "list_weights",
    "presets_of",
    "published_spec",
    "views_of_part",
    "weights_folders",
    "why_not_from_video",
]

__getattr__ = _import_late(__name__)

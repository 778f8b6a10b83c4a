"""Backbones: clip → feature, each with its preprocessing and weights."""

from amiss.backbones._base import Backbone
from amiss.backbones._spec import CLIP_LEN, FeatureSpec, check_same_features, clip_spans

__all__ = ["CLIP_LEN", "Backbone", "FeatureSpec", "check_same_features", "clip_spans"]

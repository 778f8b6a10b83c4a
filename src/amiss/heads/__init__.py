"""Heads: features → anomaly score per clip, one file each, loss beside the network."""

from amiss.heads._base import Head, HeadOutput, LossTerms, crop_mean, full_mask, mean_logits
from amiss.heads._class_vectors import ClassVectors
from amiss.heads._gates import (
    change_agrees,
    is_open,
    level_tells_more,
    moments,
    pseudo_labels,
    standardised,
    top_quarter_means,
)
from amiss.heads._head_options import HeadOptions, HeadWithOptions
from amiss.heads._parts import change_around, product_logit, top_quarter_mean
from amiss.heads._registry import create_head, describe_heads, has_option, list_heads

__all__ = [
    "ClassVectors",
    "Head",
    "HeadOptions",
    "HeadOutput",
    "HeadWithOptions",
    "LossTerms",
    "change_agrees",
    "change_around",
    "create_head",
    "crop_mean",
    "describe_heads",
    "full_mask",
    "has_option",
    "is_open",
    "level_tells_more",
    "list_heads",
    "mean_logits",
    "moments",
    "product_logit",
    "pseudo_labels",
    "standardised",
    "top_quarter_mean",
    "top_quarter_means",
]

"""Heads: features → anomaly score per clip, one file each, loss beside the network."""

from amiss.heads._base import Head, HeadOutput, LossTerms, crop_mean, full_mask, mean_logits
from amiss.heads._class_vectors import ClassVectors
from amiss.heads._head_options import HeadOptions, HeadWithOptions
from amiss.heads._registry import create_head, describe_heads, list_heads

__all__ = [
    "ClassVectors",
    "Head",
    "HeadOptions",
    "HeadOutput",
    "HeadWithOptions",
    "LossTerms",
    "create_head",
    "crop_mean",
    "describe_heads",
    "full_mask",
    "list_heads",
    "mean_logits",
]

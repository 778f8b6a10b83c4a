"""Heads: features → anomaly score per clip, one file each, loss beside the network."""

from amiss.heads._base import Head, HeadOutput, LossTerms, crop_mean, full_mask

__all__ = ["Head", "HeadOutput", "LossTerms", "crop_mean", "full_mask"]

"""The metrics that systems are compared by, and what tables call them."""

METRIC_NAMES = {
    "auc": "frame AUC",
    "ano_auc": "Ano-AUC",
    "within": "within",
    "ap": "AP",
    "pr_auc_trapezoid": "PR-AUC, trapezoid",
    "video_auc": "video AUC",
    "event_ap": "event mAP",
    "latency_aware_ap": "latency-aware AP",
    "far": "FAR@.5",
}
"""Metric → its name in tables."""
METRICS = tuple(METRIC_NAMES)
"""Names of the metrics that systems can be compared by."""

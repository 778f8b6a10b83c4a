"""Ground truth by protocol, metrics, intervals, figures: numbers that can be trusted."""

import typing

from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:
    from amiss.evaluation._bootstrap import bootstrap_metrics, resample_videos
    from amiss.evaluation._compare import (
        Comparison,
        SeedSummary,
        compare,
        compare_with_shortcuts,
        holm,
        summarise_seeds,
    )
    from amiss.evaluation._curve_plots import plot_pr, plot_roc
    from amiss.evaluation._evaluation_result import EvaluationResult, evaluate, evaluate_frames
    from amiss.evaluation._event_metrics import (
        Detection,
        delay_frames,
        event_average_precision,
        false_alarm_curve,
        hit_score,
        latency_aware_ap,
        propose_events,
        recall_at_false_alarms,
        runs_above,
        temporal_iou,
    )
    from amiss.evaluation._glances import ClickedScores, GlanceResult, clicked, glance_rank, measure_glances
    from amiss.evaluation._ground_truth import check_ground_truth, frame_labels, ground_truth_vector
    from amiss.evaluation._metric_names import METRIC_NAMES, METRICS
    from amiss.evaluation._protocols import ALIASES, PROTOCOLS, Protocol, get_protocol
    from amiss.evaluation._report_plots import plot_classes, plot_densities, plot_optimism
    from amiss.evaluation._score_files import read_scores, write_scores
    from amiss.evaluation._score_plot import plot_score_curve
    from amiss.evaluation._scored_frames import ScoredFrames, score_frames
    from amiss.evaluation._shortcuts import SHORTCUTS, not_beaten, shortcut_frames
    from amiss.evaluation._style import figure_picture, figure_png
    from amiss.evaluation._video_scores import Scores, VideoScores, fixed_spans, frame_scores

__all__ = [
    "ALIASES",
    "METRICS",
    "METRIC_NAMES",
    "PROTOCOLS",
    "SHORTCUTS",
    "ClickedScores",
    "Comparison",
    "Detection",
    "EvaluationResult",
    "GlanceResult",
    "Protocol",
    "ScoredFrames",
    "Scores",
    "SeedSummary",
    "VideoScores",
    "bootstrap_metrics",
    "check_ground_truth",
    "clicked",
    "compare",
    "compare_with_shortcuts",
    "delay_frames",
    "evaluate",
    "evaluate_frames",
    "event_average_precision",
    "false_alarm_curve",
    "figure_picture",
    "figure_png",
    "fixed_spans",
    "frame_labels",
    "frame_scores",
    "get_protocol",
    "glance_rank",
    "ground_truth_vector",
    "hit_score",
    "holm",
    "latency_aware_ap",
    "measure_glances",
    "not_beaten",
    "plot_classes",
    "plot_densities",
    "plot_optimism",
    "plot_pr",
    "plot_roc",
    "plot_score_curve",
    "propose_events",
    "read_scores",
    "recall_at_false_alarms",
    "resample_videos",
    "runs_above",
    "score_frames",
    "shortcut_frames",
    "summarise_seeds",
    "temporal_iou",
    "write_scores",
]

__getattr__ = _import_late(__name__)

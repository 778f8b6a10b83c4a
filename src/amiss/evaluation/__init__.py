"""Ground truth by protocol, metrics, intervals, figures. Numbers that can be trusted."""

from amiss.evaluation._evaluate import EvaluationResult, evaluate, evaluate_frames
from amiss.evaluation._ground_truth import check_ground_truth, frame_labels, ground_truth_vector
from amiss.evaluation._plots import plot_pr, plot_roc
from amiss.evaluation._protocols import ALIASES, PROTOCOLS, Protocol, get_protocol
from amiss.evaluation._score_curve import plot_score_curve
from amiss.evaluation._score_files import read_scores, write_scores
from amiss.evaluation._scored_frames import ScoredFrames, score_frames
from amiss.evaluation._scores import Scores, VideoScores, fixed_spans, frame_scores
from amiss.evaluation._style import figure_png, figure_svg

__all__ = [
    "ALIASES",
    "PROTOCOLS",
    "EvaluationResult",
    "Protocol",
    "ScoredFrames",
    "Scores",
    "VideoScores",
    "check_ground_truth",
    "evaluate",
    "evaluate_frames",
    "figure_png",
    "figure_svg",
    "fixed_spans",
    "frame_labels",
    "frame_scores",
    "get_protocol",
    "ground_truth_vector",
    "plot_pr",
    "plot_roc",
    "plot_score_curve",
    "read_scores",
    "score_frames",
    "write_scores",
]

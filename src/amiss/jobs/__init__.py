"""What a command does, as functions."""

from amiss.jobs._backbones import describe_backbones
from amiss.jobs._convert import convert_checkpoint
from amiss.jobs._detect import DetectOutputs, detect, score_figure
from amiss.jobs._doctor import diagnose
from amiss.jobs._evaluate import (
    detector_folders,
    evaluate_any,
    evaluate_detector,
    evaluate_run,
    frames_and_rate,
    mean_std,
    score_videos,
)
from amiss.jobs._extract import extract
from amiss.jobs._feature_check import FeatureCheck, check_feature_set, compare_feature_sets
from amiss.jobs._progress import JobReport, OnProgress, silent
from amiss.jobs._quantise import QuantiseReport, quantise_backbone
from amiss.jobs._targets import video_files

__all__ = [
    "DetectOutputs",
    "FeatureCheck",
    "JobReport",
    "OnProgress",
    "QuantiseReport",
    "check_feature_set",
    "compare_feature_sets",
    "convert_checkpoint",
    "describe_backbones",
    "detect",
    "detector_folders",
    "diagnose",
    "evaluate_any",
    "evaluate_detector",
    "evaluate_run",
    "extract",
    "frames_and_rate",
    "mean_std",
    "quantise_backbone",
    "score_figure",
    "score_videos",
    "silent",
    "video_files",
]

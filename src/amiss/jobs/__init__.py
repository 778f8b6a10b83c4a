"""What a command does, as functions.

Each is imported when it is first used: torch takes seconds, and `amiss datasets` doesn't need it.
"""

import importlib
import typing

from amiss.jobs._progress import JobReport, OnProgress, silent

if typing.TYPE_CHECKING:
    from amiss.jobs._catalogue import (
        describe_backbones,
        describe_datasets,
        describe_heads,
        describe_presets,
        describe_protocols,
        describe_recipes,
    )
    from amiss.jobs._convert import convert_checkpoint
    from amiss.jobs._detect import DetectOutputs, detect, detect_targets, score_figure
    from amiss.jobs._doctor import diagnose
    from amiss.jobs._evaluate import detector_folders, evaluate_any, evaluate_detector, evaluate_run, mean_std
    from amiss.jobs._extract import extract, extract_targets
    from amiss.jobs._feature_check import FeatureCheck, check_feature_set, compare_feature_sets
    from amiss.jobs._feature_layouts import export_feature_set, import_feature_set
    from amiss.jobs._manifests import ManifestReport, build_manifest, check_manifest
    from amiss.jobs._quantise import QuantiseReport, quantise_backbone, quantise_on_targets
    from amiss.jobs._report import PageReport, report_results
    from amiss.jobs._score_videos import frames_and_rate, score_videos, with_lengths
    from amiss.jobs._targets import video_files
    from amiss.jobs._train import train_recipe
    from amiss.jobs._weights import (
        WeightsCheck,
        describe_weights,
        describe_weights_folders,
        fetch_weights,
        verify_weights,
    )

__all__ = [
    "DetectOutputs",
    "FeatureCheck",
    "JobReport",
    "ManifestReport",
    "OnProgress",
    "PageReport",
    "QuantiseReport",
    "WeightsCheck",
    "build_manifest",
    "check_feature_set",
    "check_manifest",
    "compare_feature_sets",
    "convert_checkpoint",
    "describe_backbones",
    "describe_datasets",
    "describe_heads",
    "describe_presets",
    "describe_protocols",
    "describe_recipes",
    "describe_weights",
    "describe_weights_folders",
    "detect",
    "detect_targets",
    "detector_folders",
    "diagnose",
    "evaluate_any",
    "evaluate_detector",
    "evaluate_run",
    "export_feature_set",
    "extract",
    "extract_targets",
    "fetch_weights",
    "frames_and_rate",
    "import_feature_set",
    "mean_std",
    "quantise_backbone",
    "quantise_on_targets",
    "report_results",
    "score_figure",
    "score_videos",
    "silent",
    "train_recipe",
    "verify_weights",
    "video_files",
    "with_lengths",
]

_HOME = {
    "describe_backbones": "_catalogue",
    "describe_datasets": "_catalogue",
    "describe_heads": "_catalogue",
    "describe_presets": "_catalogue",
    "describe_protocols": "_catalogue",
    "describe_recipes": "_catalogue",
    "convert_checkpoint": "_convert",
    "DetectOutputs": "_detect",
    "detect": "_detect",
    "detect_targets": "_detect",
    "score_figure": "_detect",
    "diagnose": "_doctor",
    "detector_folders": "_evaluate",
    "evaluate_any": "_evaluate",
    "evaluate_detector": "_evaluate",
    "evaluate_run": "_evaluate",
    "mean_std": "_evaluate",
    "extract": "_extract",
    "extract_targets": "_extract",
    "FeatureCheck": "_feature_check",
    "check_feature_set": "_feature_check",
    "compare_feature_sets": "_feature_check",
    "export_feature_set": "_feature_layouts",
    "import_feature_set": "_feature_layouts",
    "ManifestReport": "_manifests",
    "build_manifest": "_manifests",
    "check_manifest": "_manifests",
    "QuantiseReport": "_quantise",
    "quantise_backbone": "_quantise",
    "quantise_on_targets": "_quantise",
    "PageReport": "_report",
    "report_results": "_report",
    "frames_and_rate": "_score_videos",
    "score_videos": "_score_videos",
    "with_lengths": "_score_videos",
    "video_files": "_targets",
    "train_recipe": "_train",
    "WeightsCheck": "_weights",
    "describe_weights": "_weights",
    "describe_weights_folders": "_weights",
    "fetch_weights": "_weights",
    "verify_weights": "_weights",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _HOME:
        raise AttributeError(f"module 'amiss.jobs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"amiss.jobs.{_HOME[name]}"), name)

"""What a command does, as functions.

Each is imported when it is first used: torch takes seconds, and `amiss datasets` doesn't need it.
"""

import typing

from amiss.jobs._progress import JobReport, OnProgress, silent
from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:
    from amiss.detection import shipped_detector
    from amiss.jobs._calibrate import CalibratedDetector, calibrate_detector
    from amiss.jobs._catalogue import (
        describe_backbones,
        describe_datasets,
        describe_heads,
        describe_plugins,
        describe_presets,
        describe_protocols,
        describe_recipes,
    )
    from amiss.jobs._convert import convert_checkpoint
    from amiss.jobs._detect import DetectOutputs, detect, detect_targets, score_figure
    from amiss.jobs._doctor import diagnose
    from amiss.jobs._evaluate import detector_folders, evaluate_any, evaluate_detector, evaluate_run, mean_std
    from amiss.jobs._extract import extract, extract_targets
    from amiss.jobs._extraction import EngineChoice
    from amiss.jobs._feature_check import FeatureCheck, check_feature_set, compare_feature_sets
    from amiss.jobs._feature_concat import concat_feature_sets
    from amiss.jobs._feature_layouts import export_feature_set, import_feature_set
    from amiss.jobs._feature_sets import Verification, copy_feature_set, feature_statistics, verify_feature_set
    from amiss.jobs._manifests import ManifestReport, build_manifest, check_manifest
    from amiss.jobs._missing import Missing, with_features
    from amiss.jobs._plan import ExtractionPlan, plan_extraction
    from amiss.jobs._quantise import QuantiseReport, quantise_backbone, quantise_on_targets
    from amiss.jobs._report import PageReport, report_results
    from amiss.jobs._retrain import Judged, RetrainReport, open_bags, retrain_detector
    from amiss.jobs._score_videos import score_videos, with_lengths
    from amiss.jobs._targets import video_files
    from amiss.jobs._train import train_recipe, why_stored_only
    from amiss.jobs._weights import (
        WeightsCheck,
        describe_weights,
        describe_weights_folders,
        fetch_weights,
        verify_weights,
    )
    from amiss.video import use_decoder

__all__ = [
    "CalibratedDetector",
    "DetectOutputs",
    "EngineChoice",
    "ExtractionPlan",
    "FeatureCheck",
    "JobReport",
    "Judged",
    "ManifestReport",
    "Missing",
    "OnProgress",
    "PageReport",
    "QuantiseReport",
    "RetrainReport",
    "Verification",
    "WeightsCheck",
    "build_manifest",
    "calibrate_detector",
    "check_feature_set",
    "check_manifest",
    "compare_feature_sets",
    "concat_feature_sets",
    "convert_checkpoint",
    "copy_feature_set",
    "describe_backbones",
    "describe_datasets",
    "describe_heads",
    "describe_plugins",
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
    "feature_statistics",
    "fetch_weights",
    "import_feature_set",
    "mean_std",
    "open_bags",
    "plan_extraction",
    "quantise_backbone",
    "quantise_on_targets",
    "report_results",
    "retrain_detector",
    "score_figure",
    "score_videos",
    "shipped_detector",
    "silent",
    "train_recipe",
    "use_decoder",
    "verify_feature_set",
    "verify_weights",
    "video_files",
    "why_stored_only",
    "with_features",
    "with_lengths",
]

__getattr__ = _import_late(__name__)

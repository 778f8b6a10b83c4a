"""Makes the detector that comes with amiss, and measures it on recordings that it hasn't seen.

    python benchmarks/shipped_detector.py --fights FOLDER [--unseen MANIFEST …] [--out FOLDER] [--work FOLDER]

It learns from the clips of fights (`surveillance_fights`, MIT) and from drawn videos of seeds that the demo doesn't
use. Measured are: fights, by five folds of whole recordings (the drawn videos are always among those learned from);
drawn videos of another seed; and the videos of manifests of which nothing is learned. Every video is one vote: is its
highest score at or above the detector's threshold? Prints a table; `figures.json` in the folder has the figures.
"""

import argparse
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from amiss.backbones import create_backbone
from amiss.datasets import Manifest, Video, build_dataset, read_manifest
from amiss.demo import make_demo_set
from amiss.detection import Detector, shipped_detector
from amiss.engines import create_engine
from amiss.features import FeatureSet, open_feature_set
from amiss.files import write_json
from amiss.jobs import extract
from amiss.training import load_recipe, train
from own_videos import folds

DRAWN, DRAWN_UNSEEN = (101,), 102
STRIDE = 8  # drawn videos have 12 frames a second


def drawn(folder: Path, seed: int) -> list[Video]:
    """Drawn videos of one seed."""
    named = f"drawn{seed}_"
    videos = make_demo_set(folder / f"drawn{seed}", seed).manifest.videos
    return [replace(v, video_id=named + v.video_id, group=named + (v.group or v.video_id)) for v in videos]


def features_of(videos: Sequence[Video], folder: Path) -> FeatureSet:
    """Extracted once."""
    engine = create_engine(create_backbone("motion", stride=STRIDE), "cpu")
    extract({video.video_id: video.path for video in videos if video.path is not None}, engine, folder)
    return open_feature_set(folder)


def learn(recipe: str, videos: Sequence[Video], features: FeatureSet, out: Path) -> Detector:
    """From the labels of these videos alone."""
    learned = Manifest(tuple(replace(video, split="train", events=(), path=None) for video in videos))
    with warnings.catch_warnings(action="ignore"):
        train(load_recipe(recipe), learned, features, out)
    return Detector.load(out / "selected")


def measure(detector: Detector, videos: Sequence[Video], features: FeatureSet) -> tuple[list[int], list[float]]:
    """Labels, and highest scores."""
    return [v.label for v in videos], [float(detector.score_features(features.load(v.video_id)).max()) for v in videos]


def figures(labels: Sequence[int], peaks: Sequence[float], thresholds: Sequence[float]) -> dict[str, Any]:
    """Video AUC, share of anomalous videos found, share of normal ones with an alarm."""
    alarm, is_anomalous = np.array(peaks) >= np.array(thresholds), np.array(labels) == 1
    return {
        "videos": len(labels),
        "video_auc": round(float(roc_auc_score(labels, peaks)), 3),
        "found": round(float(alarm[is_anomalous].mean()), 3),
        "false_alarms": round(float(alarm[~is_anomalous].mean()), 3),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fights", type=Path, required=True)
    parser.add_argument("--unseen", type=Path, nargs="*", default=[])
    parser.add_argument("--recipe", default="topk")
    parser.add_argument("--work", type=Path, help="keep drawn videos and features here, to go on with them later")
    parser.add_argument("--out", type=Path, default=shipped_detector())
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary)
        folder = given.work or runs
        fights = list(build_dataset("surveillance-fights", given.fights).manifest.videos)
        known = [video for seed in DRAWN for video in drawn(folder, seed)]
        unseen = drawn(folder, DRAWN_UNSEEN)
        features = features_of([*fights, *known, *unseen], folder / "features")
        found: dict[str, Any] = {}
        labels: list[int] = []
        peaks: list[float] = []
        thresholds: list[float] = []
        for number, (fit, test) in enumerate(folds(fights, 0)):
            detector = learn(given.recipe, [*fit, *known], features, runs / f"fold{number}")
            own_labels, own_peaks = measure(detector, test, features)
            labels, peaks = labels + own_labels, peaks + own_peaks
            thresholds += [detector.calibration.threshold] * len(test)
        found["fights, five folds"] = figures(labels, peaks, thresholds)
        detector = learn(given.recipe, [*fights, *known], features, runs / "all")
        others = {"drawn, another seed": (unseen, features)}
        for path in given.unseen:
            videos = list(read_manifest(path).videos)
            others[f"{path.stem}, none learned"] = (videos, features_of(videos, folder / f"unseen {path.stem}"))
        for name, (videos, own) in others.items():
            own_labels, own_peaks = measure(detector, videos, own)
            found[name] = figures(own_labels, own_peaks, [detector.calibration.threshold] * len(videos))
        detector.save(given.out)
    write_json(given.out / "figures.json", found)
    print(f"{'':<28} {'videos':>6} {'video AUC':>9} {'found':>6} {'false alarms':>12}")
    for name, row in found.items():
        print(
            f"{name:<28} {row['videos']:>6} {row['video_auc']:>9.3f} {row['found']:>6.2f} {row['false_alarms']:>12.2f}"
        )


if __name__ == "__main__":
    main()

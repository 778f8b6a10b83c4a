"""What a user's own few videos are worth: draws of short clips, trained as README says, measured on other recordings.

    python benchmarks/own_videos.py MANIFEST FEATURES [--out FILE] [--recipe NAME] [--videos N] [--draws N] [--test N]

The manifest's videos need a `group` (the recording that clips were cut from): no recording is in both parts. Each draw
takes `--test` videos of whole recordings to measure on, and half of `--videos` of each label from the rest to train on.
Then all videos, by five folds of whole recordings. Every video is one vote: is its highest score at or above the
detector's threshold? Prints a table and writes the figures as JSON. For the clips of fights:

    amiss dataset build surveillance-fights --root ../shared/data/surveillance_fights --out fights.csv
    amiss extract fights.csv --backbone motion --out features
    python benchmarks/own_videos.py fights.csv features --out own_videos.json
"""

import argparse
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from amiss.datasets import Manifest, Video, read_manifest
from amiss.detection import Detector
from amiss.features import FeatureSet, open_feature_set
from amiss.files import write_json
from amiss.training import Recipe, load_recipe, train

FOLDS = 5


def recordings(videos: Sequence[Video], seed: int) -> list[list[Video]]:
    """Videos by group, in an order that depends on the seed alone."""
    groups: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        groups[video.group or video.video_id].append(video)
    names = sorted(groups)
    return [groups[names[i]] for i in np.random.default_rng([12, seed]).permutation(len(names))]


def draw(videos: Sequence[Video], seed: int, n_train: int, n_test: int) -> tuple[list[Video], list[Video]]:
    """Videos to train on, half of each label, and videos of other recordings to measure on."""
    test: list[Video] = []
    rest: list[Video] = []
    for group in recordings(videos, seed):
        (test if len(test) + len(group) <= n_test else rest).extend(group)
    rng = np.random.default_rng([13, seed])
    fit: list[Video] = []
    for label in (0, 1):
        of_label = [video for video in rest if video.label == label]
        fit += [of_label[i] for i in rng.permutation(len(of_label))[: n_train // 2]]
    return fit, test


def folds(videos: Sequence[Video], seed: int) -> list[tuple[list[Video], list[Video]]]:
    """All videos by folds of whole recordings: each is measured once."""
    parts: list[list[Video]] = [[] for _ in range(FOLDS)]
    for group in sorted(recordings(videos, seed), key=len, reverse=True):
        min(parts, key=len).extend(group)
    return [([v for part in parts if part is not test for v in part], test) for test in parts]


def measure(
    recipe: Recipe, fit: Sequence[Video], test: Sequence[Video], features: FeatureSet, seed: int
) -> dict[str, Any]:
    """Train, and look at other videos."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        manifest = Manifest(tuple(replace(video, split="train", events=()) for video in fit))
        report = train(recipe, manifest, features, Path(folder) / "run", seed=seed)
        detector = Detector.load(Path(folder) / "run" / "selected")
    seconds = time.monotonic() - began
    peaks = np.array([detector.score_features(features.load(video.video_id)).max() for video in test])
    labels = np.array([video.label for video in test])
    threshold = detector.calibration.threshold
    return {
        "video_auc": float(roc_auc_score(labels, peaks)),
        "found": int((peaks[labels == 1] >= threshold).sum()),
        "anomalous": int((labels == 1).sum()),
        "false_alarms": int((peaks[labels == 0] >= threshold).sum()),
        "normal": int((labels == 0).sum()),
        "threshold": threshold,
        "head": detector.head.name,
        "out_of_fold_auc": report.out_of_fold.video_auc if report.out_of_fold is not None else None,
        "seconds": seconds,
    }


def summary(rows: Sequence[dict[str, Any]], *, pooled: bool) -> dict[str, float]:
    """Means over draws; with `pooled`, shares of all videos together."""
    found = [row["found"] / row["anomalous"] for row in rows]
    alarms = [row["false_alarms"] / row["normal"] for row in rows]
    if pooled:
        recall = sum(row["found"] for row in rows) / sum(row["anomalous"] for row in rows)
        false_alarms = sum(row["false_alarms"] for row in rows) / sum(row["normal"] for row in rows)
    else:
        recall, false_alarms = float(np.mean(found)), float(np.mean(alarms))
    return {
        "video_auc": float(np.mean([row["video_auc"] for row in rows])),
        "recall": recall,
        "false_alarms": false_alarms,
        "lowest_recall": min(found),
        "highest_false_alarms": max(alarms),
    }


def show(name: str, rows: Sequence[dict[str, Any]], total: dict[str, float]) -> None:
    """Print one part."""
    print(f"\n{name}\n{'':>4} {'head':<8} {'video AUC':>9} {'out of fold':>11} {'recall':>7} {'false':>6} {'s':>6}")
    for number, row in enumerate(rows):
        own = "-" if row["out_of_fold_auc"] is None else f"{row['out_of_fold_auc']:.3f}"
        recall, alarms = row["found"] / row["anomalous"], row["false_alarms"] / row["normal"]
        print(
            f"{number:>4} {row['head']:<8} {row['video_auc']:>9.3f} {own:>11} {recall:>7.2f} {alarms:>6.2f} "
            f"{row['seconds']:>6.1f}"
        )
    print(f"mean {'':<8} {total['video_auc']:>9.3f} {'':>11} {total['recall']:>7.2f} {total['false_alarms']:>6.2f}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--out", type=Path, default=Path("own_videos.json"))
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--test", type=int, default=90)
    parser.add_argument("--no-all", action="store_true", help="leave out the folds over all videos")
    arguments = parser.parse_args()
    videos, features = read_manifest(arguments.manifest).videos, open_feature_set(arguments.features)
    recipe = load_recipe(arguments.recipe)
    draws = [
        measure(recipe, *draw(videos, seed, arguments.videos, arguments.test), features, seed)
        for seed in range(arguments.draws)
    ]
    total = summary(draws, pooled=False)
    show(f"{arguments.draws} draws of {arguments.videos} videos, {recipe.name}", draws, total)
    result: dict[str, Any] = {"recipe": recipe.name, "draws": draws, "of_draws": total}
    if not arguments.no_all:
        parts = [measure(recipe, fit, test, features, 0) for fit, test in folds(videos, 0)]
        result |= {"folds": parts, "of_folds": summary(parts, pooled=True)}
        show(f"all {len(videos)} videos, {FOLDS} folds of recordings", parts, result["of_folds"])
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()

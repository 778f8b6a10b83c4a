"""The figures of Sultani et al. (CVPR 2018) and of github.com/ekosman/AnomalyDetectionCVPR2018-Pytorch.

Train on video-level labels, evaluate frame by frame, and draw: ROC curves, the AUC of each class, and the score of a
test video over time.

    python examples/sultani_roc.py --out results
    python examples/sultani_roc.py --data manifest.csv --features features --protocol ucf/ekosman-32 --out results
"""

import argparse
from pathlib import Path

from amiss.datasets import Manifest, read_manifest
from amiss.detection import Detector
from amiss.evaluation import evaluate_frames, figure_png, plot_classes, plot_roc, plot_score_curve, score_frames
from amiss.features import open_feature_set
from amiss.jobs import score_videos
from amiss.training import load_recipe, train
from amiss.video import FrameTimes
from made_data import write_made_data


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="manifest; left out: made-up features")
    parser.add_argument("--features", type=Path, help="feature set")
    parser.add_argument("--protocol", default="exact", help="see `amiss protocols`")
    parser.add_argument("--recipes", nargs="+", default=["sultani2018", "ekosman"])
    parser.add_argument(
        "--set", nargs="*", default=["steps=40", "batch.normal=10", "batch.anomalous=10"], help="changes of the recipes"
    )
    parser.add_argument("--out", type=Path, default=Path("sultani-roc"))
    asked = parser.parse_args()
    out = asked.out
    data, folder = (asked.data, asked.features) if asked.data else write_made_data(out)
    features = open_feature_set(folder)
    manifest = Manifest(tuple(video for video in read_manifest(data).videos if video.video_id in features.records))

    # Train each recipe and evaluate it on the test videos; those whose features are all zero can't be scored.
    curves = {}
    for name in asked.recipes:
        train(load_recipe(name, asked.set), manifest, features, out / name)
        detector = Detector.load(out / name / "selected")
        scores, unscored = score_videos(detector, features, manifest.split("test"))
        frames = score_frames(scores, manifest, asked.protocol, exclude=unscored)
        result = evaluate_frames(frames)
        curves[name] = (frames.labels, frames.scores)
        low, high = result.ci95["auc"]
        print(f"{name}: frame AUC {result.auc:.4f}, 95 % interval {low:.3f} to {high:.3f}")
        print(f"{name}: {result.far:.1%} of the frames of normal videos have a score of 0.5 or more")

    # The figures: ROC of all recipes; of the last one its classes, and the anomalous video it scores highest.
    (out / "roc.png").write_bytes(figure_png(plot_roc(curves)))
    (out / "classes.png").write_bytes(figure_png(plot_classes(result.per_class)))
    anomalous = [video for video in frames.videos if video.label]
    shown = max(anomalous, key=lambda video: scores[video.video_id].scores.max())
    best, times = scores[shown.video_id], FrameTimes(shown.n_frames or 0, shown.fps or 30.0)
    figure = plot_score_curve(
        best.spans or (), best.scores, times, truth=shown.events, threshold=detector.calibration.threshold,
        title=shown.video_id,
    )  # fmt: skip
    (out / "scores.png").write_bytes(figure_png(figure))
    print(f"roc.png, classes.png and scores.png (of {shown.video_id}) are in {out}")


if __name__ == "__main__":
    main()

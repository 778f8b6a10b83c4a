"""Picture and sound together, as in XD-Violence: the study of github.com/YukiFan/vad-weakly, with and without sound.

Train the recipe `saa-xd` on the features of the pictures, on those of the sound, and on both side by side, and draw the
precision-recall curves; the line reports average precision as the papers on XD-Violence do, by the trapezoid rule.
Left out, the features are made up: half of the anomalous videos can be seen, the other half can be heard.

    python examples/saa_sound.py --out results
    python examples/saa_sound.py --data manifest.csv --pictures rgb --sound vggish --fps 24 \
        --protocol xd/wu-floor16 --out results
"""

import argparse
from pathlib import Path

import numpy as np

from amiss.datasets import Manifest, Video, read_manifest, write_manifest
from amiss.detection import Detector
from amiss.evaluation import evaluate_frames, figure_png, plot_pr, score_frames
from amiss.features import import_features, open_feature_set
from amiss.jobs import concat_feature_sets, score_videos
from amiss.training import load_recipe, train

FPS = 25.0
QUICK = ["steps=25", "segments=16", "head_options.channels=16", "optimiser.lr=0.003", "batch.normal=8",
         "batch.anomalous=8", "calibration.folds=2"]  # fmt: skip
"""For made-up features; `--set` without values trains as `saa-xd` says."""


def make_files(folder: Path) -> tuple[Path, Path, Path]:
    """Manifest, and files in the layouts `wu` (a row per 16 frames) and `vggish` (a row per 0.96 s)."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    (folder / "sound").mkdir()
    videos = []
    for split, count in (("train", 48), ("test", 24)):
        for number in range(count):
            n_clips, label, is_seen = int(rng.integers(20, 40)), number % 2, number % 4 == 1
            seen = rng.normal(0, 1, (n_clips, 32)).astype(np.float32)
            heard = rng.normal(0, 1, (round(n_clips * 16 / FPS / 0.96), 128)).astype(np.float32)
            start, end = 5, 11  # clips
            if label and is_seen:
                seen[start:end, :8] += 2
            if label and not is_seen:
                heard[round(start * 16 / FPS / 0.96) : round(end * 16 / FPS / 0.96), :32] += 2
            video_id = f"{split}{number:02d}"
            np.save(folder / "pictures" / f"{video_id}.npy", seen)
            np.save(folder / "sound" / f"{video_id}_vggish.npy", heard)
            events = ((16 * start, 16 * end),) if label and split == "test" else ()
            videos.append(
                Video(video_id=video_id, split=split, label=label, n_frames=16 * n_clips, fps=FPS, events=events)
            )
    write_manifest(Manifest(tuple(videos)), folder / "manifest.csv")
    return folder / "manifest.csv", folder / "pictures", folder / "sound"


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="manifest; left out: made-up features")
    parser.add_argument("--pictures", type=Path, help="features of the pictures, as others published them")
    parser.add_argument("--sound", type=Path, help="features of the sound, in the layout vggish")
    parser.add_argument("--fps", type=float, default=FPS, help="frames per second of the videos")
    parser.add_argument("--protocol", default="exact", help="see `amiss protocols`")
    parser.add_argument("--set", nargs="*", default=QUICK, help="changes of the recipe")
    parser.add_argument("--out", type=Path, default=Path("saa-sound"))
    asked = parser.parse_args()
    out = asked.out
    data, *files = (asked.data, asked.pictures, asked.sound) if asked.data else make_files(out / "files")
    manifest = read_manifest(data)

    # Import both, and put them side by side: each clip with the row of the sound that is nearest in time.
    sets = {"pictures": out / "pictures", "sound": out / "sound", "both": out / "both"}
    import_features(files[0], sets["pictures"], layout="wu")
    import_features(files[1], sets["sound"], layout="vggish")
    concat_feature_sets([sets["pictures"], sets["sound"]], sets["both"], fps=asked.fps)

    # Train on each, and evaluate.
    curves = {}
    for name, folder in sets.items():
        features = open_feature_set(folder)
        train(load_recipe("saa-xd", asked.set), manifest, features, out / f"run-{name}")
        scores, unscored = score_videos(Detector.load(out / f"run-{name}/selected"), features, manifest.split("test"))
        frames = score_frames(scores, manifest, asked.protocol, exclude=unscored)
        curves[name] = (frames.labels, frames.scores)
        print(f"{name}: {features.spec.dim} numbers, AP {evaluate_frames(frames, n_bootstrap=0).pr_auc_trapezoid:.3f}")
    (out / "precision-recall.png").write_bytes(figure_png(plot_pr(curves)))
    print(f"{out / 'precision-recall.png'}")


if __name__ == "__main__":
    main()

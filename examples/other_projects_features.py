"""Features in the layouts of RTFM and of Sultani's C3D text files: import them, train a head, evaluate it.

The files are written here from made-up numbers; with real ones, only the folder changes.

    python examples/other_projects_features.py --out results
"""

import argparse
from pathlib import Path

import numpy as np

from amiss.detection import Detector
from amiss.evaluation import evaluate
from amiss.features import import_features, list_layouts, open_feature_set
from amiss.jobs import score_videos
from amiss.training import load_recipe, train
from made_data import make_features


def write_rtfm_files(folder: Path, rows: dict[str, np.ndarray]) -> None:
    """`<video>_i3d.npy`, [clips, 10 crops, 2048], as RTFM's authors published them."""
    folder.mkdir(parents=True)
    for video_id, clips in rows.items():
        np.save(folder / f"{video_id}_i3d.npy", np.repeat(clips, 10, axis=1))


def write_c3d_text_files(folder: Path, rows: dict[str, np.ndarray]) -> None:
    """`<video>_C.txt`, 32 lines of 4096 numbers, as Sultani's code reads them: one line per segment of the video."""
    folder.mkdir(parents=True)
    for video_id, clips in rows.items():
        nearest = np.arange(32) * len(clips) // 32
        np.savetxt(folder / f"{video_id}_C.txt", clips[nearest, 0], fmt="%.2f")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("other-projects-features"))
    out = parser.parse_args().out

    layouts = {"rtfm": (write_rtfm_files, 2048), "sultani": (write_c3d_text_files, 4096)}
    for layout, (write_files, dim) in layouts.items():
        manifest, rows = make_features(n_train=6, n_test=4, dim=dim)
        theirs, ours = out / layout / "as published", out / layout / "features"
        write_files(theirs, rows)

        # --8<-- [start:import]
        import_features(theirs, ours, layout=layout)
        features = open_feature_set(ours)
        # --8<-- [end:import]
        print(f"{layout}: {len(features.records)} videos, {features.spec.crops} crops, {features.spec.dim} numbers")

        # --8<-- [start:train]
        recipe = load_recipe("topk", ["steps=20", "batch.normal=4", "batch.anomalous=4", "calibration.folds=2"])
        train(recipe, manifest, features, out / layout / "run")
        detector = Detector.load(out / layout / "run/selected")
        scores, _ = score_videos(detector, features, manifest.split("test"))
        result = evaluate(scores, manifest)
        # --8<-- [end:train]
        low, high = result.ci95["auc"]
        print(f"{layout}: frame AUC {result.auc:.3f}, 95 % interval {low:.3f} to {high:.3f}")
    print(f"other layouts: {', '.join(sorted(list_layouts().keys() - layouts.keys()))}")


if __name__ == "__main__":
    main()

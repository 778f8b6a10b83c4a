"""UCF-Crime on C3D segments: trains sultani2018 and topk, 3 seeds each, and measures them on the 114 test videos.

    AMISS_SHARED=… python benchmarks/ucf_crime_c3d.py --out DIR [--recipe NAME …] [--seeds N]

Reads `$AMISS_SHARED/data/ucf_crime/c3d_features.npz` (C3D fc6 features from the history of
github.com/nevinbaiju/anomaly-detection) and `annotations.csv` (the official annotations with decoded frame counts), and
writes `DIR/ucf_crime_c3d.json` and `.md`. Rows: `last` and `selected` weights, chosen without the test set; and, apart,
`oracle(test)`: the best of all evaluated steps by test AUC, which no one could have chosen.
"""

import argparse
import csv
import os
import statistics
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

from amiss.datasets import Manifest, Video, parse_events
from amiss.detection import Detector
from amiss.evaluation import EvaluationResult, evaluate
from amiss.features import FeatureSet, import_features, open_feature_set
from amiss.files import write_json, write_text
from amiss.jobs import score_videos
from amiss.training import load_recipe, train

METRICS = ("auc", "ano_auc", "ap", "video_auc")
NAMES = {"auc": "frame AUC", "ano_auc": "Ano-AUC", "ap": "AP", "video_auc": "video AUC"}


def read_annotations(path: Path, features: FeatureSet) -> Manifest:
    """The manifest of the videos that have features."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["video_id"] in features]
    return Manifest(
        tuple(
            Video(
                video_id=row["video_id"],
                split="test" if row["split"] == "test" else "train",
                label=int(row["class"] != "Normal"),
                class_name=row["class"],
                n_frames=int(row["n_frames"]),
                events=parse_events(row["events"]),
            )
            for row in rows
        ),
        source=str(path),
    )


def measure(detector: Detector, features: FeatureSet, manifest: Manifest) -> EvaluationResult:
    """Evaluate on the test videos, protocol `exact`."""
    scores, unscored = score_videos(detector, features, manifest.split("test"))
    with warnings.catch_warnings(action="ignore"):  # official events past the last frame, at every evaluation
        return evaluate(scores, manifest, "exact", n_bootstrap=0, exclude=unscored)


def run(recipe_name: str, seed: int, manifest: Manifest, features: FeatureSet, out: Path) -> dict[str, Any]:
    """Train one seed and measure its last, selected and best step."""
    by_step: dict[int, EvaluationResult] = {}

    def follow(step: int, detector: Detector) -> None:
        by_step[step] = measure(detector, features, manifest)

    report = train(load_recipe(recipe_name), manifest, features, out, seed=seed, on_evaluate=follow)
    oracle_step = max(by_step, key=lambda step: by_step[step].auc or 0)
    steps = {"last": report.steps, "selected": report.selected_step, "oracle(test)": oracle_step}
    rows = {}
    for kind, step in steps.items():
        result = by_step[step]
        rows[kind] = {"step": step, **{name: getattr(result, name) for name in METRICS}}
        rows[kind] |= {name: getattr(result, name) for name in ("n_videos", "n_frames", "n_positive", "n_excluded")}
    curve = {step: result.auc for step, result in by_step.items()}
    return {"recipe": recipe_name, "seed": seed, "rows": rows, "test_auc_by_step": curve, "report": report.to_dict()}


def summarise(runs: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    """Recipe → row → metric → mean and standard deviation over seeds."""
    table: dict[str, dict[str, dict[str, tuple[float, float]]]] = defaultdict(lambda: defaultdict(dict))
    for recipe in dict.fromkeys(r["recipe"] for r in runs):
        of_recipe = [r["rows"] for r in runs if r["recipe"] == recipe]
        for kind in of_recipe[0]:
            for name in (*METRICS, "step"):
                values = [float(rows[kind][name]) for rows in of_recipe]
                std = statistics.stdev(values) if len(values) > 1 else 0.0
                table[recipe][kind][name] = (statistics.fmean(values), std)
    return table


def to_markdown(table: dict[str, dict[str, dict[str, tuple[float, float]]]]) -> str:
    """One row per recipe and kind of weights."""
    lines = [
        "| recipe | weights | step | " + " | ".join(NAMES[name] for name in METRICS) + " |",
        "|---|---|--:|" + "--:|" * len(METRICS),
    ]
    for recipe, kinds in table.items():
        for kind, values in kinds.items():
            cells = [f"{values[name][0]:.3f} ± {values[name][1]:.3f}" for name in METRICS]
            lines.append(f"| {recipe} | {kind} | {values['step'][0]:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", action="append", help="default: sultani2018 and topk")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    shared = os.environ.get("AMISS_SHARED")
    if shared is None:
        parser.error("set AMISS_SHARED to the folder that holds data/ucf_crime")
    data = Path(shared) / "data" / "ucf_crime"
    folder = arguments.out / "features"
    began = time.monotonic()
    import_features(data / "c3d_features.npz", folder)
    features = open_feature_set(folder)
    manifest = read_annotations(data / "annotations.csv", features)
    print(f"{len(manifest.videos)} videos imported in {time.monotonic() - began:.0f} s", flush=True)
    runs = []
    for recipe in arguments.recipe or ["sultani2018", "topk"]:
        for seed in range(arguments.seeds):
            began = time.monotonic()
            runs.append(run(recipe, seed, manifest, features, arguments.out / "runs" / recipe / f"seed{seed}"))
            rows = {kind: f"{row['auc']:.4f} (step {row['step']})" for kind, row in runs[-1]["rows"].items()}
            print(recipe, seed, rows, f"{time.monotonic() - began:.0f} s", flush=True)
    table = summarise(runs)
    write_json(arguments.out / "ucf_crime_c3d.json", {"protocol": "exact", "summary": table, "runs": runs})
    markdown = to_markdown(table)
    write_text(arguments.out / "ucf_crime_c3d.md", markdown)
    print(markdown)


if __name__ == "__main__":
    main()

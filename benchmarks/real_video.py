"""Real video, from MP4 to AUC: UCSD Ped2 (weak split) and surveillance fights; `motion`, a frame backbone, and both.

    AMISS_SHARED=… python benchmarks/real_video.py --out DIR [--recipe NAME] [--seeds N] [--set key=value …]

Ped2: frame AUC on the 18 test videos, protocol `exact`. Fights: video AUC of 5 folds, grouped by the recording that
clips were cut from, so that no recording is in both training and test; mean over folds. Features are kept in
`DIR/features` and used again. Writes `DIR/real_video.json` and `.md`.

The data are public: UCSD Ped2 (svcl.ucsd.edu), fights (github.com/seymanurakti/fight-detection-surv-dataset);
SqueezeNet's weights are ImageNet's.
"""

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from sklearn.model_selection import StratifiedGroupKFold

from amiss.backbones import create_backbone
from amiss.datasets import Manifest, build_dataset
from amiss.detection import Detector
from amiss.engines import create_engine
from amiss.evaluation import evaluate
from amiss.features import FeatureSet, open_feature_set
from amiss.files import write_json, write_text
from amiss.jobs import extract, mean_std, score_videos
from amiss.training import Recipe, load_recipe, train

BACKBONES = ("motion", "squeezenet1_1", "motion+squeezenet1_1")
WEIGHTS = {"squeezenet1_1": "data/weights/squeezenet1_1_imagenet_features.safetensors"}
STRIDE = 4  # frames; Ped2 has 10 frames/s and the fights last seconds, so that clips of 16 side by side are few
FOLDS = 5
KINDS = ("last", "selected")


def features_of(manifest: Manifest, backbone: str, stride: int, shared: Path, out: Path) -> FeatureSet:
    """Extract, or open what is there."""
    weights = {name: shared / file for name, file in WEIGHTS.items() if name in backbone.split("+")}
    engine = create_engine(create_backbone(backbone, weights, stride=stride))
    videos = {video.video_id: video.path for video in manifest.videos if video.path is not None}
    report = extract(videos, engine, out)
    assert not report.failed, report.failed
    return open_feature_set(out)


def train_and_measure(
    recipe: Recipe, manifest: Manifest, features: FeatureSet, seed: int, run: Path
) -> dict[str, dict[str, float | None]]:
    """Metrics of the last and the selected detector of one run."""
    shutil.rmtree(run, ignore_errors=True)
    train(recipe, manifest, features, run, seed=seed)
    rows = {}
    for kind in KINDS:
        scores, _ = score_videos(Detector.load(run / kind), features, manifest.split("test"))
        result = evaluate(scores, manifest, n_bootstrap=0)
        rows[kind] = {name: getattr(result, name) for name in ("auc", "ano_auc", "ap", "video_auc")}
    return rows


def folds_of(manifest: Manifest, seed: int) -> list[Manifest]:
    """The manifest with each fold in turn as its test split."""
    labels = [video.label for video in manifest.videos]
    groups = [video.group for video in manifest.videos]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups)
    return [
        Manifest(
            tuple(replace(v, split="test" if i in set(test) else "train") for i, v in enumerate(manifest.videos)),
            source=f"{manifest.source}, fold {number}",
        )
        for number, (_, test) in enumerate(folds)
    ]


def measure(
    name: str, manifest: Manifest, features: FeatureSet, recipe: Recipe, seeds: int, run: Path
) -> dict[str, Any]:
    """Mean and standard deviation over seeds of each metric."""
    per_seed: dict[str, list[dict[str, float | None]]] = {kind: [] for kind in KINDS}
    for seed in range(seeds):
        parts = [manifest] if name == "ped2" else folds_of(manifest, seed)
        rows = [train_and_measure(recipe, part, features, seed, run) for part in parts]
        for kind in KINDS:
            means = {metric: mean_std(row[kind][metric] for row in rows) for metric in rows[0][kind]}
            per_seed[kind].append({metric: value and value[0] for metric, value in means.items()})
    return {
        kind: {metric: mean_std(seed_row[metric] for seed_row in per_seed[kind]) for metric in per_seed[kind][0]}
        for kind in KINDS
    }


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """One row per dataset, backbone and kind of weights."""
    lines = [
        "| dataset | backbone | dim | weights | frame AUC | Ano-AUC | AP | video AUC |",
        "|---|---|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        for kind in KINDS:
            cells = [f"{v[0]:.3f} ± {v[1]:.3f}" if v else "-" for v in row[kind].values()]
            lines.append(f"| {row['dataset']} | {row['backbone']} | {row['dim']} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="topk")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--dataset", action="append", choices=("ped2", "fights"))
    arguments = parser.parse_args()
    if "AMISS_SHARED" not in os.environ:
        parser.error("set AMISS_SHARED to the folder that holds data/")
    shared = Path(os.environ["AMISS_SHARED"]).resolve()
    recipe = load_recipe(arguments.recipe, arguments.changes)
    sets = {
        "ped2": ("ucsd-ped2", shared / "data" / "ucsd_ped2"),
        "fights": ("surveillance-fights", shared / "data" / "surveillance_fights"),
    }
    rows = []
    for name in arguments.dataset or sets:
        manifest = build_dataset(*sets[name]).manifest
        for backbone in BACKBONES:
            folder = arguments.out / "features" / f"{name}-{backbone}"
            features = features_of(manifest, backbone, STRIDE, shared, folder)
            measured = measure(name, manifest, features, recipe, arguments.seeds, arguments.out / "run")
            rows.append({"dataset": name, "backbone": backbone, "dim": features.spec.dim, **measured})
            print(to_markdown(rows[-1:]).splitlines()[-1], flush=True)
    write_json(
        arguments.out / "real_video.json",
        {"recipe": recipe.model_dump(mode="json"), "seeds": arguments.seeds, "rows": rows},
    )
    write_text(arguments.out / "real_video.md", to_markdown(rows))
    print(to_markdown(rows))


if __name__ == "__main__":
    main()

"""Distributions of normal and anomalous clips, the idea of github.com/FatemeBameri/Pytorch-Weakly-Anomaly-Detection.

For each feature network: train the recipe `distribution`, which fits a density to the normal and one to the anomalous
clips, and compare how far the two lie apart with how well the test frames are told apart. (In the original the
densities are constants; its loss has no gradient. That is `distribution-original-2024`.)

    python examples/bameri_distributions.py --out results
    python examples/bameri_distributions.py --data ped2.csv --features motion=features resnet=features2 \
        --protocol ped2/bameri-floor16 --out results
"""

import argparse
import json
import shutil
from pathlib import Path

from matplotlib.figure import Figure

from amiss.datasets import read_manifest
from amiss.detection import Detector
from amiss.evaluation import evaluate
from amiss.features import open_feature_set
from amiss.jobs import score_videos
from amiss.training import load_recipe, train
from made_data import write_made_data


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="manifest; left out: made-up features")
    parser.add_argument("--features", nargs="+", help="NAME=FOLDER of each feature set")
    parser.add_argument("--protocol", default="exact", help="see `amiss protocols`")
    parser.add_argument(
        "--set", nargs="*", default=["steps=40", "head_options.channels=16", "batch.normal=8", "batch.anomalous=8"]
    )
    parser.add_argument("--out", type=Path, default=Path("bameri-distributions"))
    asked = parser.parse_args()
    out = asked.out
    if asked.data:
        data, sets = asked.data, dict(item.split("=", 1) for item in asked.features)
    else:
        data, folder = write_made_data(out)
        sets = {"made-up": folder}
    manifest = read_manifest(data)

    # One training per feature network. A run has its densities as a figure and as numbers.
    aucs, apart = {}, {}
    for name, folder in sets.items():
        features = open_feature_set(folder)
        train(load_recipe("distribution", asked.set), manifest, features, out / name)
        scores, unscored = score_videos(Detector.load(out / name / "selected"), features, manifest.split("test"))
        aucs[name] = evaluate(scores, manifest, asked.protocol, exclude=unscored).auc
        found = json.loads((out / name / "densities.json").read_text(encoding="utf-8"))
        apart[name] = found["divergences"]["js"]
        shutil.copy(out / name / "densities.png", out / f"densities-{name}.png")
        families = f"normal {found['normal']['family']}, anomalous {found['anomalous']['family']}"
        print(f"{name}: frame AUC {aucs[name]:.4f}, Jensen-Shannon divergence {apart[name]:.3f} nats ({families})")

    # Do networks whose densities lie further apart find more?
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(list(apart.values()), list(aucs.values()))
    for name in sets:
        axes.annotate(name, (apart[name], aucs[name]), xytext=(5, 5), textcoords="offset points")
    axes.set(xlabel="Jensen-Shannon divergence of training clips (nats)", ylabel="frame AUC of test videos")
    axes.margins(0.3)
    figure.savefig(out / "networks.png", dpi=150)
    print(f"networks.png and densities-*.png are in {out}")


if __name__ == "__main__":
    main()

"""How many clips should rank? The study of github.com/Henryy-rs/top-k-Ranking-Loss: frame AUC over k.

The original kept for each k the best of its checkpoints on the test set, and drew these. Here both choices are drawn:
by left-out training videos (the number to report), and by the test set (the original's).

    python examples/topk_study.py --out results
    python examples/topk_study.py --data manifest.csv --features features --k 1 2 3 4 5 6 7 8 --seeds 3 --out results
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from amiss.bench import run_bench
from made_data import write_made_data

SUITE = """
name: How many clips should rank?
datasets:
  - {{name: videos, manifest: "{data}", leaks: drop}}
features:
  - {{name: features, path: "{features}", missing: drop}}
recipes:
  - recipe: topk
    set: {{head_options.k: {k}, steps: {steps}}}
seeds: {seeds}
bootstrap: 200
"""


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="manifest; left out: made-up features")
    parser.add_argument("--features", type=Path, help="feature set, or files that `amiss features import` reads")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("topk-study"))
    asked = parser.parse_args()
    out = asked.out
    data, features = (asked.data, asked.features) if asked.data else write_made_data(out, n_train=24)

    # Train with every k and every seed. What is finished is never trained again.
    where = {"data": Path(data).resolve(), "features": Path(features).resolve()}
    text = SUITE.format(**where, k=asked.k, steps=asked.steps, seeds=asked.seeds)
    (out / "suite.yaml").write_text(text, encoding="utf-8")
    result = run_bench(out / "suite.yaml", out / "bench", workers=1)
    (dataset,) = result.datasets
    (study,) = dataset.sweeps
    ks = [setting["head_options.k"] for setting in study.settings]

    # Draw AUC over k.
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(
        ks, study.values, study.stds, capsize=3, marker="o", label="checkpoints chosen by left-out training videos"
    )
    axes.plot(ks, study.oracles, marker="s", linestyle=":", label="on the test set")
    if study.chosen is not None:
        k = ks[study.names.index(study.chosen)]
        axes.axvline(k, color="grey", linewidth=0.8, label=f"k = {k}, chosen so")
        print(f"left-out videos choose k = {k}: frame AUC {study.chosen_value:.3f}")
    print(f"the test set would choose k = {ks[study.names.index(study.best_on_test)]}: {study.best_on_test_value:.3f}")
    axes.set(xlabel="k: clips that rank", ylabel="frame AUC", xticks=ks)
    figure.legend(loc="outside upper center", ncols=3, fontsize="small")
    figure.savefig(out / "auc-over-k.png", dpi=150)
    print(f"{out / 'auc-over-k.png'}, tables and curves in {out / 'bench/report.html'}")


if __name__ == "__main__":
    main()

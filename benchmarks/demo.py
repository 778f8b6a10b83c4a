"""The demo over several seeds, and with shuffled training labels: is its AUC what the labels taught it?

    python benchmarks/demo.py --out DIR [--seeds N] [--shuffles N]

A seed draws other videos, trains other weights. A shuffle deals the training labels of seed 0's videos out anew; what a
detector then finds in the test videos is chance, 0.5 in the mean. Writes `DIR/demo.json`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from amiss.demo import run_demo, shuffled_demo_auc
from amiss.files import write_json
from amiss.jobs import mean_std


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shuffles", type=int, default=5)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        began = time.monotonic()
        result = run_demo(arguments.out / f"seed{seed}", seed).evaluation
        row = {
            "seed": seed,
            "auc": result.auc,
            "ano_auc": result.ano_auc,
            "ap": result.ap,
            "video_auc": result.video_auc,
        }
        rows.append({**row, "seconds": round(time.monotonic() - began)})
        print(rows[-1], flush=True)
    shuffled = []
    for shuffle in range(arguments.shuffles):
        shuffled.append(shuffled_demo_auc(arguments.out / "seed0", shuffle, arguments.out / f"shuffle{shuffle}"))
        print(f"shuffle {shuffle}: {shuffled[-1]:.3f}", flush=True)
    summary = {"auc": mean_std(row["auc"] for row in rows), "shuffled auc": mean_std(shuffled)}
    print(summary)
    write_json(arguments.out / "demo.json", {"seeds": rows, "shuffled": shuffled, "summary": summary})


if __name__ == "__main__":
    main()

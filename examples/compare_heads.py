"""Compare two recipes honestly: two seeds each, selected without the test set, one table.

Run it:

    python examples/compare_heads.py --out results
"""

import argparse
from pathlib import Path

from amiss.bench import run_bench
from made_data import write_made_data

# --8<-- [start:suite]
SUITE = """
name: Do more clips rank better?
datasets:
  - name: made-up
    manifest: manifest.csv
features:
  - name: rows
    path: features
recipes:
  - recipe: sultani2018
    set: &small {steps: 40, batch.normal: 8, batch.anomalous: 8, calibration.folds: 2}
  - recipe: topk
    set: *small
seeds: 2
bootstrap: 200
"""
# --8<-- [end:suite]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("compare-heads"))
    out = parser.parse_args().out
    write_made_data(out, n_train=24)
    (out / "suite.yaml").write_text(SUITE, encoding="utf-8")

    # --8<-- [start:run]
    run_bench(out / "suite.yaml", out / "results", workers=1)
    print((out / "results/results.md").read_text(encoding="utf-8"))
    # --8<-- [end:run]


if __name__ == "__main__":
    main()

"""Pinned numbers of small cells: they change only with the version of results."""

import json
from pathlib import Path

import pytest

from amiss.bench import RESULTS
from helpers.bench import QUICK, make_data, run_bench, write_suite

PINNED = {
    6: {
        "topk": {"by_step": [0.97086, 0.97009], "threshold": 0.61322},
        "sultani2018": {"by_step": [0.98466, 0.98057], "threshold": 0.69755},
        "rtfm": {"by_step": [0.92255, 0.94248], "threshold": 0.52845},
        "bn-wvad": {"by_step": [0.77556, 0.76866], "threshold": 0.61916},
    }
}
"""Version of results → recipe → frame AUC on the test after 5 and 10 steps, and the threshold."""


def test_numbers_change_only_with_the_version_of_results(tmp_path: Path) -> None:
    """Where this fails, a change decides numbers: raise `RESULTS`, pin the new ones, and say so in CHANGELOG.md."""
    make_data(tmp_path)
    pinned = PINNED[RESULTS]
    recipes = [{"recipe": name, "set": QUICK} for name in pinned]
    run_bench(write_suite(tmp_path, seeds=1, recipes=recipes), tmp_path / "out", workers=1)
    for name, numbers in pinned.items():
        (path,) = (tmp_path / "out" / "runs" / "made-up" / "rows" / name).glob("seed0-*/cell.json")
        cell = json.loads(path.read_text())
        assert cell["results"] == RESULTS
        assert list(cell["by_step"].values()) == pytest.approx(numbers["by_step"], abs=2e-3), name
        assert cell["threshold"]["selected"] == pytest.approx(numbers["threshold"], abs=2e-3), name

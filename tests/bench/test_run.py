"""amiss bench from suite to report: numbers, resuming, workers, folds, sweeps."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from amiss.bench import _cell as cell_module
from amiss.bench import load_suite
from amiss.bench._plan import folds_of, make_plan
from amiss.cli import app
from amiss.datasets import read_manifest, write_manifest
from amiss.errors import ManifestError, UsageError
from amiss.evaluation import evaluate, read_scores
from amiss.training import load_recipe, recipe_to_yaml
from helpers.bench import (
    QUICK,
    as_one_split,
    make_data,
    make_videos,
    run_bench,
    without_times,
    write_features,
    write_suite,
)

SWEEP = [{"recipe": "topk", "set": {**QUICK, "head_options.k": [1, 2]}}, {"recipe": "sultani2018", "set": QUICK}]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished benchmark: its folder (data beside `out/`) and results."""
    root = tmp_path_factory.mktemp("bench")
    make_data(root)
    return root, run_bench(write_suite(root, recipes=SWEEP), root / "out", workers=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same with one recipe, of two seeds."""
    root = tmp_path_factory.mktemp("small")
    make_data(root)
    return root, run_bench(write_suite(root), root / "out", workers=1)


@pytest.fixture
def copied(small: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of its folder, for changes."""
    return Path(shutil.copytree(small[0], tmp_path / "small"))


def test_results_are_those_of_the_scores_on_disk(bench: tuple[Path, dict[str, Any]]) -> None:
    root, results = bench
    assert json.loads((root / "out" / "results.json").read_text()) == results
    (dataset,) = results["datasets"]
    assert [row["name"] for row in dataset["systems"]] == ["topk k=1", "topk k=2", "sultani2018"]
    manifest = read_manifest(root / "manifest.csv")
    row = dataset["systems"][1]
    folders = sorted((root / "out" / "runs" / "made-up" / "rows" / "topk_k=2").iterdir())
    for kind, file in (("last", "last"), ("selected", "selected"), ("oracle(test)", "oracle")):
        aucs = [evaluate(read_scores(f / f"scores-{file}.npz"), manifest, n_bootstrap=0).auc for f in folders]
        values = row["rows"][kind]["exact"]["auc"]
        assert values["per_seed"] == pytest.approx(aucs, abs=1e-12)
        assert values["mean"] == pytest.approx(np.mean(aucs))
        assert values["std"] == pytest.approx(np.std(aucs, ddof=1))
        assert values["ci95"][0] < values["mean"] < values["ci95"][1]
    for folder in folders:
        cell = json.loads((folder / "cell.json").read_text())
        assert cell["values"]["oracle(test)"] == max(cell["by_step"].values())
        assert cell["steps"]["selected"] == cell["train"]["selected_step"]
    oracle, selected = (row["rows"][kind]["exact"]["auc"]["mean"] for kind in ("oracle(test)", "selected"))
    assert row["optimism"]["mean"] == pytest.approx(oracle - selected)
    assert row["optimism"]["mean"] >= 0
    pairs = [("topk k=1", "topk k=2"), ("topk k=1", "sultani2018"), ("topk k=2", "sultani2018")]
    compared = [(c["metric"], (c["a"], c["b"])) for c in dataset["comparisons"]]
    assert compared == [(metric, pair) for metric in ("auc", "within") for pair in pairs]


def test_a_sweep_says_which_setting_held_out_videos_choose(bench: tuple[Path, dict[str, Any]]) -> None:
    (sweep,) = bench[1]["datasets"][0]["sweeps"]
    assert sweep["settings"] == [{"head_options.k": 1}, {"head_options.k": 2}]
    assert sweep["chosen"] == sweep["names"][int(np.argmax(sweep["held_out"]))]
    assert sweep["best_on_test_value"] == max(sweep["values"])


def test_report_stands_alone_and_marks_the_oracle(bench: tuple[Path, dict[str, Any]]) -> None:
    root, results = bench
    page = (root / "out" / "report.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "")
    assert "src=" not in page.replace('src="data:image/png;base64,', "")
    assert "prefers-color-scheme: dark" in page
    assert '<th class="apart">oracle(test) †</th>' in page
    assert page.count("<svg") == 8
    assert "By class" in page
    assert results["provenance"]["suite_sha256"] in page
    assert "only" not in results["marks"]
    table = (root / "out" / "results.md").read_text(encoding="utf-8")
    assert "| system | seeds | last | selected | 95 % interval | oracle(test) † | optimism |" in table
    assert "2 training seed(s): too few" in table
    assert "2 training seed(s): too few" in page
    (dataset,) = results["datasets"]
    gain = dataset["systems"][0]["shortcuts"]["middle first"]["gains"]["within"]
    assert gain["ci95"][0] <= gain["difference"] <= gain["ci95"][1]
    assert "| topk k=1 - middle first | " in table
    for text in (page, table):
        assert text.count("middle first") >= 2 + len(dataset["systems"])
        assert "shorter video first" in text


def test_cells_of_an_earlier_version_are_run_again(
    small: tuple[Path, dict[str, Any]], copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_module, "RESULTS", cell_module.RESULTS + 1)
    with pytest.warns(UserWarning, match="2 cells have results of an earlier version of amiss"):
        again = run_bench(copied / "suite.yaml", copied / "out", workers=1)
    assert again["provenance"]["cells_run_now"] == small[1]["provenance"]["cells_run_now"] == 2
    once_more = run_bench(copied / "suite.yaml", copied / "out", workers=1)
    assert once_more["provenance"]["cells_run_now"] == 0


def test_cells_that_tell_no_version_are_run_again(copied: Path) -> None:
    (path,) = (copied / "out").rglob("seed0-*/cell.json")
    cell = json.loads(path.read_text())
    del cell["results"]
    path.write_text(json.dumps(cell))
    path.parent.rename(path.parent.with_name("seed0-0123456789"))
    with pytest.warns(UserWarning, match="1 cells have results of an earlier version"):
        again = run_bench(copied / "suite.yaml", copied / "out", workers=1)
    assert again["provenance"]["cells_run_now"] == 1


def test_finished_cells_are_not_run_again(small: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    root, results = small

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(cell_module, "train", refuse)
    again = run_bench(root / "suite.yaml", root / "out", workers=1)
    assert again["provenance"]["cells_run_now"] == 0
    assert without_times(again) == without_times(deepcopy(results))


def test_what_is_finished_is_reported_by_whole_seeds(bench: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, results = bench
    shutil.copytree(root, tmp_path / "bench")
    runs = tmp_path / "bench" / "out" / "runs" / "made-up" / "rows"
    shutil.rmtree(next((runs / "topk_k=1").glob("seed1-*")))
    shutil.rmtree(runs / "topk_k=2")
    suite, out = tmp_path / "bench" / "suite.yaml", tmp_path / "bench" / "out"
    partly = run_bench(suite, out, workers=1, minutes=0)
    assert partly["provenance"]["cells_run_now"] == 0
    (dataset,) = partly["datasets"]
    assert {row["name"]: row["seeds"] for row in dataset["systems"]} == {"topk k=1": [0], "sultani2018": [0, 1]}
    assert dataset["systems"][1]["rows"] == results["datasets"][0]["systems"][2]["rows"]
    marks = " ".join(partly["marks"])
    assert "3 of 6 trainings are missing" in marks
    assert "these are not shown: topk k=2 (made-up)" in marks
    plan = make_plan(load_suite(suite), suite, out, lambda what: None)
    left = [f"{cell.system.name} {cell.name}" for cell in plan.cells if not cell.is_done]
    assert left == ["topk_k=2 seed0", "topk_k=1 seed1", "topk_k=2 seed1"]
    with pytest.raises(UsageError, match="minutes is -1; it must be at least 0"):
        run_bench(suite, out, minutes=-1)


def test_tables_go_into_a_page(bench: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, results = bench
    page = tmp_path / "page.md"
    rest = "<!-- other.yaml made-up -->\nold\n<!-- end -->\nAfter.\n"
    page.write_text(f"# Title\n<!-- suite.yaml made-up -->\nold\n<!-- end -->\n{rest}")
    write_page = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "results_page.py"))["write_page"]
    assert write_page(page, [root / "out"]) == ["suite.yaml made-up"]
    text = page.read_text()
    write_page(page, [root / "out"])
    assert page.read_text() == text
    assert text.startswith("# Title\n<!-- suite.yaml made-up -->\n\n| system | seeds | frame AUC |")
    assert text.endswith(rest)
    values = results["datasets"][0]["systems"][2]["rows"]["selected"]["exact"]["auc"]
    assert f"| sultani2018 | 2 | {values['mean']:.3f} ± {values['std']:.3f}" in text
    assert "| *middle first* |" in text
    assert "| topk k=1 - sultani2018 | within |" in text


@pytest.mark.faults
def test_ctrl_c_ends_all_workers_without_a_traceback(bench: tuple[Path, dict[str, Any]]) -> None:
    root, _ = bench
    process = subprocess.Popen(
        [sys.executable, "-m", "amiss", "bench", root / "suite.yaml", "--out", root / "stopped", "--workers", "2"],
        stderr=subprocess.PIPE,
        start_new_session=True,  # a process group of its own: a terminal's Ctrl-C reaches workers too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    def n_children() -> int:
        return sum(len(file.read_text().split()) for file in Path(f"/proc/{process.pid}/task").glob("*/children"))

    while process.poll() is None and n_children() < 2:
        time.sleep(0.02)
    time.sleep(0.5)  # both workers import
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)  # ends when the last process that holds stderr has ended
    assert process.returncode == 1
    assert b"error: stopped. What was finished is kept" in err
    assert b"Traceback" not in err


@pytest.mark.faults
def test_a_killed_run_goes_on_to_the_same_numbers(
    small: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, results = small
    monkeypatch.setattr("amiss.training._trainer._CHECKPOINT_SECONDS", 0)
    looked = 0
    look = cell_module._Follower.look

    def kill(*args: Any) -> None:
        nonlocal looked
        looked += 1
        if looked == 4:
            raise KeyboardInterrupt
        look(*args)

    monkeypatch.setattr(cell_module._Follower, "look", kill)
    with pytest.raises(KeyboardInterrupt):
        run_bench(root / "suite.yaml", root / "killed", workers=1)
    assert len(list((root / "killed").rglob("cell.json"))) == 1
    monkeypatch.setattr(cell_module._Follower, "look", look)
    went_on = run_bench(root / "suite.yaml", root / "killed", workers=1)
    assert went_on["provenance"]["cells_run_now"] == 1
    assert without_times(went_on) == without_times(deepcopy(results))


def test_of_recipes_that_are_tried_the_one_that_is_taken_is_followed(tmp_path: Path) -> None:
    """Both have a step 1; of the one that isn't taken no step counts."""
    make_data(tmp_path)
    fewer = ["steps=2", "evaluate_every=1", "segments=4", "calibration.folds=2"]
    (tmp_path / "other.yaml").write_text(recipe_to_yaml(load_recipe("topk", [*fewer, "name=other"])))
    auto_recipe = load_recipe("auto", [f'alternatives=["{tmp_path / "other.yaml"}"]', "calibration.rounds=1"])
    (tmp_path / "auto.yaml").write_text(recipe_to_yaml(auto_recipe))
    recipes = [{"recipe": "auto.yaml"}, {"recipe": "pooled"}]
    suite = write_suite(tmp_path, recipes=recipes, seeds=1)
    results = run_bench(suite, tmp_path / "out", workers=1)
    auto, pooled = (
        next((tmp_path / "out").glob(f"runs/made-up/rows/{r}*/seed0-*/cell.json")) for r in ("auto", "pooled")
    )
    found, alone = json.loads(auto.read_text()), json.loads(pooled.read_text())
    assert found["train"]["taken"] in {"pooled", "other"}
    if found["train"]["taken"] == "pooled":
        assert found["by_step"] == alone["by_step"]
    assert set(found["by_step"]) == ({"1"} if found["train"]["taken"] == "pooled" else {"1", "2"})
    oracle = read_scores(auto.parent / "scores-oracle.npz")
    frame_auc = evaluate(oracle, read_manifest(tmp_path / "manifest.csv"), "exact").auc
    assert frame_auc == pytest.approx(max(found["by_step"].values()), abs=1e-6)
    assert len(results["datasets"][0]["systems"]) == 2


def test_the_number_of_workers_changes_nothing(small: tuple[Path, dict[str, Any]]) -> None:
    root, one = small
    two = run_bench(root / "suite.yaml", root / "two", workers=2)
    assert without_times(two) == without_times(deepcopy(one))


def test_only_what_changed_is_run(copied: Path) -> None:
    more = run_bench(write_suite(copied, seeds=3), copied / "out", workers=1)
    assert more["provenance"]["cells_run_now"] == 1
    other = [{"recipe": "topk", "set": {**QUICK, "steps": 5}}]
    changed = run_bench(write_suite(copied, recipes=other), copied / "out", workers=1)
    assert changed["provenance"]["cells_run_now"] == 2


def test_folds_keep_groups_whole_and_measure_every_video_once(tmp_path: Path) -> None:
    manifest, rows = make_videos(n_train=20, n_test=0)
    grouped = as_one_split(manifest, groups=13)
    for part in folds_of(grouped, 3, seed=0):
        in_test = {video.group for video in part.split("test")}
        assert not in_test & {video.group for video in part.split("train")}
    write_manifest(grouped, tmp_path / "manifest.csv")
    write_features(tmp_path / "features", grouped, rows)
    suite = write_suite(tmp_path, datasets=[{"name": "made-up", "manifest": "manifest.csv", "folds": 3}], seeds=1)
    (dataset,) = run_bench(suite, tmp_path / "out", workers=1)["datasets"]
    assert (dataset["n_test"], dataset["systems"][0]["detail"]["n_videos"]) == (40, 40)
    assert 0.5 < dataset["systems"][0]["fold_mean"]["selected"]["mean"] <= 1
    with pytest.raises(ManifestError, match="too few videos or groups for 14 folds"):
        folds_of(grouped, 14, seed=0)


def test_data_with_labels_of_whole_videos_only_are_ranked_by_video_auc(tmp_path: Path) -> None:
    manifest, rows = make_videos(n_train=16, n_test=0)
    bare = type(manifest)(tuple(replace(video, events=()) for video in manifest.videos))
    write_manifest(bare, tmp_path / "manifest.csv")
    write_features(tmp_path / "features", bare, rows)
    suite = write_suite(tmp_path, datasets=[{"name": "made-up", "manifest": "manifest.csv", "folds": 2}], seeds=1)
    (dataset,) = run_bench(suite, tmp_path / "out", workers=1)["datasets"]
    assert dataset["metric"] == "video_auc"
    assert set(dataset["systems"][0]["rows"]["selected"]["exact"]) == {"video_auc", "far"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Over videos (the largest score of each)" in page
    assert "By class" not in page


def test_folds_are_for_data_without_a_test(tmp_path: Path) -> None:
    manifest, _ = make_data(tmp_path)
    with pytest.raises(ManifestError, match="folds are for datasets without"):
        run_bench(
            write_suite(tmp_path, datasets=[{"name": "d", "manifest": "manifest.csv", "folds": 2}]), tmp_path / "out"
        )
    write_manifest(as_one_split(manifest, 9), tmp_path / "manifest.csv")
    with pytest.raises(ManifestError, match="no test split: give made-up folds"):
        run_bench(write_suite(tmp_path), tmp_path / "out")


def test_videos_without_features_are_an_error_or_said_to_be_left_out(tmp_path: Path) -> None:
    manifest, rows = make_data(tmp_path)
    fewer = type(manifest)(tuple(v for v in manifest.videos if v.video_id not in ("train03", "test04")))
    write_features(tmp_path / "fewer", fewer, rows)
    suite = write_suite(tmp_path, features=[{"name": "rows", "path": "fewer"}], seeds=1)
    with pytest.raises(Exception, match=r"rows: .*no features of 2 of 64 videos \(train03, test04\)"):
        run_bench(suite, tmp_path / "out", workers=1)
    suite = write_suite(tmp_path, features=[{"name": "rows", "path": "fewer", "missing": "drop"}], seeds=1)
    (dataset,) = run_bench(suite, tmp_path / "out", workers=1)["datasets"]
    assert dataset["systems"][0]["detail"]["n_videos"] == 15
    assert (
        "2 videos have no features and are left out, 1 of them test videos" in (tmp_path / "out/results.md").read_text()
    )


def test_one_failing_system_does_not_stop_the_others(tmp_path: Path) -> None:
    make_data(tmp_path)
    recipes = [
        {"recipe": "topk", "set": QUICK},
        {"recipe": "topk", "name": "wild", "set": {**QUICK, "optimiser.lr": 1e30}},
    ]
    suite = write_suite(tmp_path, recipes=recipes, seeds=1)
    result = CliRunner().invoke(app, ["bench", str(suite), "--out", str(tmp_path / "out"), "--workers", "1", "--json"])
    assert result.exit_code == 1
    results = json.loads(result.stdout)
    assert [row["name"] for row in results["datasets"][0]["systems"]] == ["topk"]
    assert "made-up, wild: the loss is" in results["failures"][0]
    assert "the loss is" in result.stderr
    assert "the loss is" in (tmp_path / "out" / "report.html").read_text()


def test_what_failed_is_told_and_run_again_only_on_request(tmp_path: Path) -> None:
    make_data(tmp_path)
    wild = {"recipe": "topk", "name": "wild", "set": {**QUICK, "optimiser.lr": 1e30}}
    suite = write_suite(tmp_path, recipes=[{"recipe": "topk", "set": QUICK}, wild], seeds=1)
    run_bench(suite, tmp_path / "out", workers=1)
    (file,) = (tmp_path / "out" / "runs").glob("*/*/wild/*/failed.json")
    told = json.loads(file.read_text())
    assert "the loss is" in told["why"]
    file.write_text(json.dumps({**told, "why": "it was too wild"}))
    (failure,) = run_bench(suite, tmp_path / "out", workers=1)["failures"]
    assert failure == "made-up, wild: it was too wild (failed before, and isn't run again without --retry)"
    (failure,) = run_bench(suite, tmp_path / "out", workers=1, retry=True)["failures"]
    assert "the loss is" in failure
    file.write_text("{")  # damaged: nobody knows
    (failure,) = run_bench(suite, tmp_path / "out", workers=1)["failures"]
    assert "the loss is" in failure


def test_command_prints_one_table(bench: tuple[Path, dict[str, Any]]) -> None:
    root, _ = bench
    result = CliRunner().invoke(app, ["bench", str(root / "suite.yaml"), "--out", str(root / "out"), "--workers", "1"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "made-up: frame AUC, exact"
    assert lines[1].split()[:3] == ["system", "seeds", "selected"]
    assert len(lines) == 7  # two shortcuts below
    assert max(map(len, map(str.rstrip, lines))) <= 80
    assert "middle" in result.stdout
    assert "report.html" in result.stderr


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    make_data(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty and no benchmark of before"):
        run_bench(write_suite(tmp_path), tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with pytest.raises(UsageError, match="workers is 0"):
        run_bench(write_suite(tmp_path), tmp_path / "out", workers=0)

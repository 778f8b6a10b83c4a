"""Jobs take paths and names, as their commands do: from folders of videos to a measured detector, in Python."""

import json
from pathlib import Path

import numpy as np
import pytest

from amiss.detection import ScoreResult
from amiss.engines import Engine
from amiss.errors import AmissError, UsageError, WeightsError
from amiss.jobs import (
    build_manifest,
    check_feature_set,
    check_manifest,
    detect_targets,
    evaluate_any,
    export_feature_set,
    extract_targets,
    fetch_weights,
    import_feature_set,
    train_recipe,
)
from amiss.training import Recipe
from helpers.bench import QUICK, make_data
from helpers.videos import write_video

SETTINGS = [f"{name}={value}" for name, value in QUICK.items()]


def test_from_videos_to_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("normal", "anomalous"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        for i in range(2):
            images = list(rng.integers(0, 255, (24, 48, 64, 3), dtype=np.uint8))
            write_video(tmp_path / "videos" / label / f"{i}.mp4", images)
    report = build_manifest("folder", tmp_path / "videos", tmp_path / "m.csv")
    assert sorted(video.label for video in report.manifest.videos) == [0, 0, 1, 1]
    checked = check_manifest(tmp_path / "m.csv")
    assert (len(checked.manifest.videos), checked.n_errors) == (4, 0)
    engines: list[Engine] = []
    extracted = extract_targets([tmp_path / "m.csv"], "motion", tmp_path / "f", on_start=engines.append)
    assert len(extracted.done) == 4
    assert engines[0].description
    train_recipe("topk", tmp_path / "m.csv", tmp_path / "f", tmp_path / "run", settings=["steps=2"])
    results: dict[str, ScoreResult] = {}
    detector = tmp_path / "run" / "selected"
    detect_targets([tmp_path / "videos"], detector, on_result=results.__setitem__)
    stored: dict[str, ScoreResult] = {}
    detect_targets([], detector, features=tmp_path / "f", on_result=stored.__setitem__)
    assert [result.n_frames for result in results.values()] == [24] * 4
    assert results.keys() == stored.keys()
    with pytest.raises(UsageError, match="no video given"):
        detect_targets([], detector)


def test_training_and_measuring(tmp_path: Path) -> None:
    make_data(tmp_path)
    data, features = tmp_path / "manifest.csv", tmp_path / "features"
    recipes: list[Recipe] = []
    reports = train_recipe(
        "topk", data, features, tmp_path / "run", seeds=2, settings=SETTINGS, on_start=recipes.append
    )
    assert [report.seed for report in reports] == [0, 1]
    assert [recipe.steps for recipe in recipes] == [QUICK["steps"]]
    result = evaluate_any(tmp_path / "run", data, features, out=tmp_path / "result.json")
    assert result["seeds"] == [0, 1]
    assert result["auc"] > 0.8
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(json.dumps(result))


def test_features_to_another_layout_and_back(tmp_path: Path) -> None:
    make_data(tmp_path)
    count = export_feature_set(tmp_path / "features", "rtfm", tmp_path / "rtfm")
    assert import_feature_set(tmp_path / "rtfm", tmp_path / "again", "rtfm") == count == 64
    check = check_feature_set(tmp_path / "features", tmp_path / "again")
    assert not check.problems
    assert check.comparison is not None
    assert check.comparison["videos in both"] == 64
    assert check_feature_set(tmp_path / "features").comparison is None


def test_weights_that_fail_stop_no_others() -> None:
    told: list[str] = []

    def tell(name: str, found: Path | AmissError) -> None:
        told.append(name)

    found = fetch_weights(["motion+c3dd", "no-such"], on_result=tell)
    assert told == list(found) == ["c3dd", "no-such"], "a formula in a fusion has no weights"
    assert all(isinstance(error, UsageError | WeightsError) for error in found.values())

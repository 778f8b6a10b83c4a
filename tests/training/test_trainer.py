"""Training runs from end to end, on features that take seconds."""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from amiss.datasets import Manifest, Video
from amiss.detection import Detector
from amiss.errors import AmissError, DetectorError, FeatureError, ManifestError, OutputError, UsageError
from amiss.features import FeatureSet
from amiss.training import Recipe, load_recipe, train, train_seeds
from helpers.training import clip_auc, make_data

QUICK = ["steps=40", "evaluate_every=5", "batch.normal=8", "batch.anomalous=8", "segments=8", "calibration.folds=2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, FeatureSet]:
    return make_data(tmp_path_factory.mktemp("data") / "features", 40)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(Detector.load(folder).head.state_dict())


def same_weights(first: Path, second: Path) -> bool:
    one, two = weights_of(first), weights_of(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("recipe", ["sultani2018", "topk", "ekosman"])
def test_a_run_learns_and_leaves_what_it_promises(
    data: tuple[Manifest, FeatureSet], tmp_path: Path, recipe: str
) -> None:
    manifest, features = data
    report = train(load_recipe(recipe, QUICK), manifest, features, tmp_path / "run", seed=1)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "last", "metrics.jsonl", "recipe.yaml", "report.json", "selected", "tensorboard"
    ]  # fmt: skip
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == json.loads(json.dumps(report.to_dict()))
    assert (report.n_normal, report.n_anomalous, len(report.held_out)) == (34, 34, 12)
    assert report.selected_auc is not None
    assert report.selected_auc > 0.8
    detector = Detector.load(tmp_path / "run" / "selected")
    assert clip_auc(detector, manifest, features) > 0.9
    assert detector.provenance["data_hash"] == report.data_hash
    assert detector.provenance["step"] == report.selected_step
    assert detector.calibration.threshold == report.threshold
    assert load_recipe(tmp_path / "run" / "recipe.yaml").normalise == "standard"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(5, report.steps + 1, 5))
    assert lines[-1]["loss"] == pytest.approx(sum(v for k, v in lines[-1].items() if k.startswith("loss/")), rel=1e-4)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert len(events.Scalars("held_out/video_auc")) == len(lines)


def test_the_same_seed_gives_the_same_numbers(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    recipe, state = load_recipe("topk", QUICK), torch.random.get_rng_state()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(recipe, *data, tmp_path / name, seed=seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert same_weights(tmp_path / "a" / "last", tmp_path / "b" / "last")
    assert (tmp_path / "a" / "metrics.jsonl").read_text() == (tmp_path / "b" / "metrics.jsonl").read_text()
    assert not same_weights(tmp_path / "a" / "last", tmp_path / "c" / "last")


@pytest.mark.faults
@pytest.mark.parametrize(("killed_at", "optimiser"), [(5, "adagrad"), (25, "adadelta"), (25, "radam"), (30, "adagrad")])
def test_a_killed_run_goes_on_to_the_same_result(
    data: tuple[Manifest, FeatureSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, optimiser: str
) -> None:
    monkeypatch.setattr("amiss.training._trainer._CHECKPOINT_SECONDS", 0)
    recipe = load_recipe("topk", [*QUICK, "selection.patience=null", f"optimiser.name={optimiser}"])
    whole = train(recipe, *data, tmp_path / "whole")

    def kill(step: int, detector: Detector) -> None:
        if step == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, *data, tmp_path / "cut", on_evaluate=kill)
    assert not (tmp_path / "cut" / "report.json").exists()
    assert not (tmp_path / "cut" / "last").exists()
    resumed = train(recipe, *data, tmp_path / "cut", resume=True)
    assert same_weights(tmp_path / "whole" / "last", tmp_path / "cut" / "last")
    assert same_weights(tmp_path / "whole" / "selected", tmp_path / "cut" / "selected")
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() == (tmp_path / "cut" / "metrics.jsonl").read_text()
    assert (resumed.selected_step, resumed.selected_auc) == (whole.selected_step, whole.selected_auc)
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()


def test_what_can_be_resumed(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    recipe, out = load_recipe("topk", QUICK), tmp_path / "run"
    report = train(recipe, *data, out)
    before = (out / "last" / "head.safetensors").stat().st_mtime_ns
    assert train(recipe, *data, out, resume=True) == report
    assert (out / "last" / "head.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"is not empty.*--resume"):
        train(recipe, *data, out)
    with pytest.raises(UsageError, match="seed"):
        train(recipe, *data, out, seed=1, resume=True)
    with pytest.raises(UsageError, match="steps was 40, is 61"):
        train(load_recipe("topk", [*QUICK, "steps=61"]), *data, out, resume=True)
    manifest, features = data
    fewer = Manifest(manifest.videos[2:])
    with pytest.raises(UsageError, match="manifest or features"):
        train(recipe, fewer, features, out, resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="no run that could be resumed"):
        train(recipe, *data, tmp_path / "other", resume=True)
    (out / "report.json").write_text("{}")
    with pytest.raises(AmissError, match=r"report\.json can't be read"):
        train(recipe, *data, out, resume=True)


@pytest.mark.parametrize(
    "damage",
    [b"", b"not a checkpoint", b"\x80\x02", "cut", "pickle", "zip", [1], {}, {"loop": {}, "seconds": 1.0},
     {"loop": 3, "seconds": 1.0}],
    ids=str,
)  # fmt: skip
def test_a_damaged_or_foreign_checkpoint_is_named(
    data: tuple[Manifest, FeatureSet], tmp_path: Path, damage: object
) -> None:
    recipe = load_recipe("topk", [*QUICK, "steps=10"])
    train(recipe, *data, tmp_path / "run")
    report = (tmp_path / "run" / "report.json").read_text()
    (tmp_path / "run" / "report.json").unlink()
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    identity = {name: json.loads(report)[name] for name in ("seed", "data_hash")}
    match damage:
        case "cut":
            torch.save({"loop": {"weights": torch.zeros(1000)}, "seconds": 1.0, **identity}, checkpoint)
            checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
        case "pickle":
            checkpoint.write_bytes(pickle.dumps(Path("code")))
        case "zip":
            with zipfile.ZipFile(checkpoint, "w") as archive:
                archive.writestr("data.pkl", "x")
        case bytes():
            checkpoint.write_bytes(damage)
        case dict():
            torch.save(damage | identity, checkpoint)
        case _:
            torch.save(damage, checkpoint)
    with pytest.raises(DetectorError, match=r"checkpoint\.pt can't be read .*: train again in another folder"):
        train(recipe, *data, tmp_path / "run", resume=True)


def test_test_videos_are_not_looked_at(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    manifest, features = data
    recipe = load_recipe("topk", QUICK)
    train(recipe, manifest, features, tmp_path / "with")
    train(recipe, Manifest(manifest.split("train")), features, tmp_path / "without")
    assert same_weights(tmp_path / "with" / "selected", tmp_path / "without" / "selected")


def test_few_videos_train_for_all_steps(tmp_path: Path) -> None:
    manifest, features = make_data(tmp_path / "features", 6)
    recipe = load_recipe("topk", [*QUICK, "steps=1000", "selection.fallback_steps=40"])
    report = train(recipe, manifest, features, tmp_path / "run")
    assert (report.steps, report.selected_step, report.stopped) == (40, 40, "budget")
    assert report.selected_auc is None
    assert any("too few" in note for note in report.notes)
    assert report.threshold > 0.1  # half way to the anomalous videos: training scores of normal ones are near 0
    assert same_weights(tmp_path / "run" / "last", tmp_path / "run" / "selected")
    assert clip_auc(Detector.load(tmp_path / "run" / "last"), manifest, features) > 0.8


def test_patience_stops_early(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    overrides = [*QUICK, "steps=1000", "selection.patience=2", "selection.min_gain=0.5", "selection.smoothing=1"]
    report = train(load_recipe("topk", overrides), *data, tmp_path / "run")
    assert report.stopped == "early"
    assert report.steps < 100
    assert report.steps >= report.selected_step + 10


def test_progress_and_evaluations_are_told(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    told: list[Any] = []
    seen: list[int] = []
    train(
        load_recipe("topk", [*QUICK, "steps=12", "selection.patience=null"]),
        *data,
        tmp_path / "run",
        progress=lambda done, total, _: told.append((done, total)),
        on_evaluate=lambda step, detector: seen.append(step),
    )
    # two folds follow, each as long as the selected step took
    assert told[:12] == [(step, 36) for step in range(1, 13)]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert 12 < told[12][0] < 24
    assert told[-1] == (36, 36)
    assert seen == [5, 10, 12]


def test_several_seeds(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    recipe = load_recipe("topk", QUICK)
    reports = train_seeds(recipe, *data, tmp_path / "runs", 2)
    assert [report.seed for report in reports] == [0, 1]
    summary = json.loads((tmp_path / "runs" / "report.json").read_text())
    assert summary["selected_auc"]["mean"] == pytest.approx(np.mean([r.selected_auc for r in reports]))
    assert (tmp_path / "runs" / "seed1" / "selected" / "detector.json").is_file()
    assert train_seeds(recipe, *data, tmp_path / "runs", 2, resume=True) == reports
    with pytest.raises(UsageError, match="seeds is 0"):
        train_seeds(recipe, *data, tmp_path / "none", 0)
    one = train(recipe, *data, tmp_path / "one")
    with pytest.raises(UsageError, match="holds a run of one seed"):
        train_seeds(recipe, *data, tmp_path / "one", 2)
    assert train(recipe, *data, tmp_path / "one", resume=True) == one


def test_wrong_data_and_settings_leave_nothing_behind(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    manifest, features = data
    recipe, out = load_recipe("topk", QUICK), tmp_path / "run"
    ghost = Video(video_id="ghost", split="train", label=1)
    with pytest.raises(FeatureError, match=r"1 of 81 training videos \(ghost\)"):
        train(recipe, Manifest((*manifest.videos, ghost)), features, out)
    with pytest.raises(ManifestError, match="no usable anomalous"):
        train(recipe, Manifest(tuple(v for v in manifest.videos if not v.label)), features, out)
    with pytest.raises(UsageError, match="unknown head 'topq'"):
        train(recipe.model_copy(update={"head": "topq"}), manifest, features, out)
    with pytest.raises(UsageError, match="Its options are"):
        train(load_recipe("topk", ["head_options.kk=3"]), manifest, features, out)
    assert not out.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write run directory"):
        train(recipe, manifest, features, tmp_path / "file" / "run")


def test_a_loss_that_explodes_is_named(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    recipe: Recipe = load_recipe("topk", [*QUICK, "optimiser.name=adam", "optimiser.lr=1e30"])
    with pytest.raises(AmissError, match=r"the loss is (nan|inf) at step .*lower the learning rate"):
        train(recipe, *data, tmp_path / "run")

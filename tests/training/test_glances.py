"""Clicks in training videos: measured, selected by, trained with; never needed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from amiss.cli import app
from amiss.datasets import Glances, Manifest, write_manifest
from amiss.detection import Detector
from amiss.errors import UsageError
from amiss.evaluation import glance_rank
from amiss.features import FeatureSet
from amiss.heads import HeadOutput
from amiss.training import GlanceLossSettings, TrainReport, glance_loss, load_recipe, train
from amiss.training._glance_loss import grown, rendered
from helpers.training import make_data

QUICK = ["steps=40", "evaluate_every=10", "pooling=none", "calibration.folds=3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, FeatureSet]:
    return make_data(tmp_path_factory.mktemp("features"), n=30)


@pytest.fixture(scope="module")
def clicks(data: tuple[Manifest, FeatureSet]) -> Glances:
    """The middle of each event of the training videos."""
    return {v.video_id: tuple((s + e) // 2 for s, e in v.events) for v in data[0].split("train") if v.events}


def test_clicks_measure_heads_that_have_not_seen_their_videos_and_change_nothing(
    data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path
) -> None:
    manifest, features = data
    recipe = load_recipe("topk", QUICK)
    plain = train(recipe, manifest, features, tmp_path / "plain")
    report = train(recipe, manifest, features, tmp_path / "run", glances=clicks)
    found = report.glances
    assert found is not None
    assert plain.glances is None
    assert (found.n_videos, found.n_clicks) == (30, 30)
    assert found.rank > 0.75
    assert found.beats_middle
    assert found.peak_hit > found.peak_hit_chance
    assert report.selected_by == "video labels (clips)"
    assert report.clicks_hash != plain.clicks_hash == ""
    assert TrainReport.read(tmp_path / "run" / "report.json").glances == found
    one, other = (Detector.load(tmp_path / name / "selected") for name in ("plain", "run"))
    rows = features.load("test1")
    np.testing.assert_array_equal(one.score_features(rows), other.score_features(rows))
    with pytest.raises(UsageError, match="can't be resumed with another clicks"):
        train(recipe, manifest, features, tmp_path / "run", resume=True)


def test_random_clicks_are_at_chance(data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path) -> None:
    manifest, features = data
    rng = np.random.default_rng(0)
    anywhere = {name: (int(rng.integers(features.records[name].n_frames or 0)),) for name in clicks}
    report = train(load_recipe("topk", QUICK), manifest, features, tmp_path / "run", glances=anywhere)
    assert report.glances is not None
    assert report.glances.rank_ci95[0] < 0.5 < report.glances.rank_ci95[1]


def test_selected_by_glances_it_is_the_step_at_which_held_out_clicks_rank_highest(
    data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path
) -> None:
    manifest, features = data
    recipe = load_recipe("topk", [*QUICK, "selection.by=glances", "selection.smoothing=1", "selection.min_gain=0"])
    with pytest.raises(UsageError, match=r"selection\.by is 'glances', but no held-out video has a click"):
        train(recipe, manifest, features, tmp_path / "without")
    report = train(recipe, manifest, features, tmp_path / "run", glances=clicks)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    ranks = [line["held_out/glance_rank"] for line in lines]
    best = max(range(len(lines)), key=lambda i: (ranks[i], i))  # of equals the last: it is no loss to train on
    assert report.selected_step == lines[best]["step"]
    assert report.selected_by == "glances"
    assert any("selected by glances: clicks are more than video labels" in remark for remark in report.remarks)


def test_where_nothing_is_held_out_clicks_chose_nothing(
    data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path
) -> None:
    settings = [*QUICK, "selection.by=glances", "selection.holdout=0", "calibration.folds=0"]
    report = train(load_recipe("topk", settings), *data, tmp_path / "run", glances=clicks)
    assert report.selected_by is None
    assert report.glances is None  # no clicked video was scored by a head not trained on it
    assert not any("selected by glances" in remark for remark in report.remarks)


def test_of_alternatives_fitted_at_once_clicks_choose_and_it_is_said(
    data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path
) -> None:
    settings = ['alternatives=["amiss"]', "selection.by=glances", "calibration.rounds=1", "calibration.folds=2"]
    report = train(load_recipe("pooled", settings), *data, tmp_path / "run", glances=clicks)
    assert report.selected_by == "glances"
    assert any("selected by glances" in remark for remark in report.remarks)


def test_rendered_clicks_by_hand() -> None:
    one = rendered(np.array([0.125]), 4, 0.5)  # the middle of the first of four clips; they lie 0.5 of 2 apart
    curve = np.exp(-0.5 * (np.array([0, 0.5, 1, 1.5]) / 0.5) ** 2)
    np.testing.assert_allclose(one, (curve - curve.min()) / (1 - curve.min()))
    two = rendered(np.array([0.125, 0.875]), 4, 0.5)
    np.testing.assert_allclose(two, np.maximum(one, one[::-1]))
    np.testing.assert_array_equal(rendered(np.array([0.5]), 1, 0.1), [1])


def test_clicks_grow_while_neighbours_score_nearly_as_high() -> None:
    scores = np.array([0.1, 0.46, 0.5, 0.9, 0.44, 0.6])
    assert grown(np.array([2.5 / 6]), scores, 0.9).tolist() == pytest.approx([1.5 / 6, 2.5 / 6, 3.5 / 6])
    assert grown(np.array([2.5 / 6]), scores, 1.0).tolist() == pytest.approx([2.5 / 6, 3.5 / 6])


def test_glance_loss_sees_neither_padding_nor_bags_without_clicks() -> None:
    settings = GlanceLossSettings(weight=2.0, sigma=0.5)
    logits = torch.tensor([[0.3, -0.2, 9.0], [1.0, 2.0, 3.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    output = HeadOutput(logits.sigmoid(), logits.sigmoid().mean(dim=1), logits=logits)
    clicks = [np.array([0.25]), np.empty(0)]
    loss = glance_loss(output, mask, clicks, settings)
    assert loss is not None
    wanted = torch.from_numpy(rendered(clicks[0], 2, 0.5)).float()
    expected = 2 * torch.nn.functional.binary_cross_entropy(logits[0, :2].sigmoid(), wanted)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert not logits.grad[1].any()
    assert glance_loss(output, mask, [np.empty(0)] * 2, settings) is None


def test_clicks_teach_when(data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path) -> None:
    """Clicks on the wrong place teach the wrong place: they are what is learned, in videos without clicks."""
    manifest, features = data
    wrong = {name: ((frame + 16 * features.records[name].n_clips // 2) % (16 * features.records[name].n_clips),)
             for name, (frame,) in clicks.items()}  # fmt: skip
    ranks = {}
    for name, given in (("right", clicks), ("wrong", wrong)):
        settings = [*QUICK, "glance_loss.weight=5", "glance_loss.grow_after=null", "selection.holdout=0"]
        settings += ["calibration.folds=0"]
        report = train(load_recipe("topk", settings), manifest, features, tmp_path / name, glances=given)
        assert report.trained_with_glances
        assert any("trained with glances" in remark for remark in report.remarks)
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        assert lines[-1]["loss/glance"] < lines[0]["loss/glance"]
        detector = Detector.load(tmp_path / name / "last")
        ranks[name] = np.mean(
            [
                glance_rank(detector.score_features(features.load(v.video_id)), np.array([(v.events[0][0] + 24) // 16]))
                for v in manifest.split("test")
                if v.events
            ]
        )
    assert ranks["right"] > 0.8
    assert ranks["right"] > ranks["wrong"]


def test_without_clicks_there_is_nothing_to_train_with(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    manifest, features = data
    with pytest.raises(UsageError, match=r"glance_loss\.weight is 1, but no training video has a click"):
        train(load_recipe("topk", [*QUICK, "glance_loss.weight=1"]), manifest, features, tmp_path / "run")


def test_a_head_that_takes_no_steps_learns_nothing_from_clicks_and_says_which_does(
    data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="name a recipe that takes steps, such as topk"):
        train(load_recipe("amiss", ["glance_loss.weight=1"]), *data, tmp_path / "run", glances=clicks)


def test_the_command_tells_them(data: tuple[Manifest, FeatureSet], clicks: Glances, tmp_path: Path) -> None:
    manifest, features = data
    write_manifest(manifest, tmp_path / "manifest.csv")
    rows = [f"{name},{frame}" for name, frames in clicks.items() for frame in frames]
    (tmp_path / "glances.csv").write_text("\n".join(["video_id,frame", *rows]))
    arguments = ["train", "topk", "--data", str(tmp_path / "manifest.csv"), "--features", str(features.folder)]
    arguments += ["--glances", str(tmp_path / "glances.csv"), "--out", str(tmp_path / "run")]
    ran = CliRunner().invoke(app, [*arguments, *(word for setting in QUICK for word in ("--set", setting))])
    assert ran.exit_code == 0, ran.stderr
    assert "middle first 0." in ran.stderr
    assert "30 clicks in 30 videos, scored by heads not trained on them" in ran.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert f"glance rank {report['glances']['rank']:.3f}" in ran.stderr

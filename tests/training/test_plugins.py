"""Plug-ins of any head: teaching by own rank and by another head; parts of scores, gated by what labels show."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.datasets import Manifest
from amiss.detection import Detector, OnlineScorer
from amiss.errors import UsageError
from amiss.evaluation import glance_rank
from amiss.features import FeatureSet
from amiss.heads import HeadOutput, moments, top_quarter_means
from amiss.training import PLUGINS, load_recipe, train
from amiss.training._bags import resolve_recipe
from amiss.training._clip_loss import clip_loss
from amiss.training._crossfit import clip_targets
from helpers.training import make_data

QUICK = ["steps=30", "evaluate_every=10", "pooling=none", "selection.holdout=0", "batch.normal=8", "batch.anomalous=8"]
FEW_FOLDS = [*QUICK, "calibration.folds=2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, FeatureSet]:
    return make_data(tmp_path_factory.mktemp("features"), n=24)


def rank_of_events(folder: Path, data: tuple[Manifest, FeatureSet]) -> float:
    """Mean rank, 0..1, of the middle of the events of test videos."""
    manifest, features = data
    detector = Detector.load(folder)
    return float(
        np.mean(
            [
                glance_rank(detector.score_features(features.load(v.video_id)), np.array([(v.events[0][0] + 24) // 16]))
                for v in manifest.split("test")
                if v.events
            ]
        )
    )


def test_clip_loss_weighs_both_sides_alike_and_sees_neither_padding_nor_untaught_bags() -> None:
    logits = torch.tensor([[0.3, -0.2, 9.0], [1.0, 2.0, 3.0], [0.1, 0.2, 0.3]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, True, True], [True, True, True]])
    output = HeadOutput(logits.sigmoid(), logits.sigmoid().mean(dim=1), logits=logits)
    targets = [np.array([1.0, 0.0]), np.empty(0), np.zeros(3)]
    loss = clip_loss(output, mask, targets, weight=2.0)
    assert loss is not None
    low = torch.nn.functional.logsigmoid(-torch.stack([logits[0, 1], *logits[2]])).mean()
    expected = -(torch.nn.functional.logsigmoid(logits[0, 0]) + low)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert not logits.grad[1].any()
    crops = HeadOutput(output.scores.repeat_interleave(2, 0), output.bag_score, logits=logits.repeat_interleave(2, 0))
    again = clip_loss(crops, mask.repeat_interleave(2, 0), targets, 2.0, crops=2)
    assert again is not None
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)
    assert clip_loss(output, mask, [np.empty(0)] * 3) is None


def test_pseudo_labels_are_the_upper_half_of_each_anomalous_video_by_heads_that_have_not_seen_it(
    data: tuple[Manifest, FeatureSet],
) -> None:
    manifest, features = data
    videos = manifest.split("train")
    recipe = resolve_recipe(load_recipe("topk", [*QUICK, "teaching.rounds=1"]), features)
    told: list[float] = []
    targets = clip_targets(recipe, videos, features, 20, 0, told.append)
    assert set(targets) == {video.video_id for video in videos}
    hits = []
    for video in videos:
        own = targets[video.video_id]
        assert len(own) == features.records[video.video_id].n_clips
        assert set(own) <= {0.0, 1.0}
        assert own.mean() == pytest.approx(0.5 * video.label, abs=0.1)
        if video.label:
            hits.append(own[(video.events[0][0] + 24) // 16])
    assert np.mean(hits) > 0.8
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    segments = clip_targets(recipe.model_copy(update={"pooling": "rtfm", "segments": 8}), videos, features, 1, 0)
    assert {len(own) for own in segments.values()} == {8}


def test_rounds_teach_a_head_when(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    settings = [*QUICK, "calibration.folds=0", "teaching.rounds=1", "teaching.weight=3"]
    train(load_recipe("topk", settings), *data, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss/teaching"] < lines[0]["loss/teaching"]
    assert rank_of_events(tmp_path / "run" / "last", data) > 0.8


def test_a_causal_student_learns_what_an_offline_teacher_scores(
    data: tuple[Manifest, FeatureSet], tmp_path: Path
) -> None:
    """Its own loss sees nothing here: all it knows is from the teacher, and it still looks at no later clip."""
    _, features = data
    settings = [*QUICK, "steps=60", "head_options.channels=8", "optimiser.lr=0.003", "teaching.teacher=amiss"]
    settings += ["teaching.weight=1000", "calibration.folds=0"]
    told: list[tuple[float, float, str]] = []
    report = train(
        load_recipe("tca-causal", settings), *data, tmp_path / "run", progress=lambda *said: told.append(said)
    )
    assert rank_of_events(tmp_path / "run" / "last", data) > 0.7
    detector = Detector.load(tmp_path / "run" / "last")
    x = features.load("test1")
    scorer = OnlineScorer(detector)
    stream = [scorer.push(row) for row in x]
    np.testing.assert_allclose(stream, detector.score_features(x), atol=1e-5)
    assert report.recipe == "tca-causal"
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[0][2] == "scoring clips to teach them"


def test_where_nothing_can_be_held_out_a_teacher_trains_no_longer_either(tmp_path: Path) -> None:
    data = make_data(tmp_path / "features", n=6)
    teacher = load_recipe("topk", [*QUICK, "selection.holdout=0.15", "steps=400", "calibration.folds=0"])
    teaching = {"teacher": teacher, "rounds": 0, "weight": 1.0}
    recipe = teacher.model_copy(update={"teaching": load_recipe("topk").teaching.model_copy(update=teaching)})
    selection = recipe.selection.model_copy(update={"fallback_steps": 20})
    recipe = recipe.model_copy(update={"selection": selection})
    assert train(recipe, *data, tmp_path / "run").steps == 20
    trained = Detector.load(tmp_path / "run" / "last")
    videos, own = data[0].split("train"), load_recipe(str(tmp_path / "run" / "recipe.yaml"))
    assert own.teaching.teacher is not None
    assert own.teaching.teacher.steps == 20
    short = teacher.model_copy(update={"steps": 20})
    expected = recipe.model_copy(update={"teaching": recipe.teaching.model_copy(update={"teacher": short})})
    targets, others = (clip_targets(resolve_recipe(one, data[1]), videos, data[1], 20, 0) for one in (own, expected))
    assert all((targets[video_id] == others[video_id]).all() for video_id in targets)
    assert trained.provenance["step"] == 20


def test_the_last_step_has_the_parts_of_the_selected_one_in_a_scale_of_its_own(
    data: tuple[Manifest, FeatureSet], tmp_path: Path
) -> None:
    settings = ["selection.holdout=0.25", "selection.min_gain=0.9", "selection.smoothing=1", "optimiser.lr=0.05"]
    recipe = load_recipe("topk", [*FEW_FOLDS, *settings, "scoring.change=always", "scoring.level=always"])
    report = train(recipe, *data, tmp_path / "run")
    assert report.selected_step < report.steps
    last, selected = (Detector.load(tmp_path / "run" / name) for name in ("last", "selected"))
    assert last.scoring.change == selected.scoring.change
    logits = [last.head_logits(data[1].load(video_id)) for video_id in report.held_out]
    assert last.scoring.logit == pytest.approx(moments(logits))
    assert last.scoring.level == pytest.approx(moments(top_quarter_means(logits)))
    assert last.scoring.logit[1] > selected.scoring.logit[1]


def test_the_change_counts_where_labels_show_that_it_helps(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    recipe = load_recipe("topk", [*FEW_FOLDS, "scoring.change=auto", "scoring.level=always", "scoring.smoothing=3"])
    report = train(recipe, *data, tmp_path / "auto")
    selected = Detector.load(tmp_path / "auto" / "selected")
    assert selected.scoring.level is not None
    assert selected.scoring.smoothing == 3
    change, level, smoothing = report.scoring
    assert change.startswith("scoring.change (auto): ")
    assert level.startswith("scoring.level (always): counts")
    assert "means of 3 clips" in smoothing
    assert report.out_of_fold is not None
    assert report.out_of_fold.video_auc > 0.8
    few = Manifest(tuple(v for v in data[0].videos if v.split == "train")[:8])
    train(recipe, few, data[1], tmp_path / "few")
    assert Detector.load(tmp_path / "few" / "selected").scoring.change is None


def test_parts_asked_for_are_used_where_nothing_can_be_cross_fitted(
    data: tuple[Manifest, FeatureSet], tmp_path: Path
) -> None:
    settings = [*QUICK, "calibration.folds=0", "scoring.change=always", "scoring.causal=true"]
    train(load_recipe("topk", settings), *data, tmp_path / "run")
    detector = Detector.load(tmp_path / "run" / "last")
    assert detector.scoring.change is not None
    assert detector.context == 2
    assert Detector.load(tmp_path / "run" / "selected").scoring == detector.scoring


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("pooled", ["teaching.rounds=1"], r"head 'pooled' is fitted at once.*teaching\.rounds must be 0"),
        ("amiss", ["teaching.teacher=topk"], r"rounds of its own: head_options\.rounds"),
        ("amiss", ["scoring.change=auto"], r"has this part itself.*head_options\.change"),
        (
            "amiss",
            ["head=late-fusion", "head_options.head=amiss", "scoring.change=auto"],
            r"head 'amiss' has this part itself",
        ),
        ("topk", ["teaching.teacher=auto"], r"'auto' chooses between recipes: name one of them, \['pooled', 'topk'\]"),
        ("rtfm", ["scoring.causal=true"], r"scoring\.causal is true, and head 'rtfm'"),
    ],
)
def test_what_a_head_has_no_use_for_is_refused(
    data: tuple[Manifest, FeatureSet], tmp_path: Path, recipe: str, settings: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(load_recipe(recipe, settings), *data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_teaching_is_refused_where_nobody_could_teach(data: tuple[Manifest, FeatureSet], tmp_path: Path) -> None:
    training = data[0].split("train")
    one_place = [replace(video, group="same") if video.label else video for video in training]
    with pytest.raises(UsageError, match=r"two anomalous training videos of different groups.*there is 1"):
        train(load_recipe("topk", [*QUICK, "teaching.rounds=1"]), Manifest(tuple(one_place)), data[1], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_measured_where_only_one_label_could_be_scored(
    data: tuple[Manifest, FeatureSet], tmp_path: Path
) -> None:
    training = data[0].split("train")
    one_place = Manifest(tuple(replace(video, group="same") if video.label else video for video in training))
    settings = [*FEW_FOLDS, "scoring.change=auto", "scoring.level=always"]
    report = train(load_recipe("topk", settings), one_place, data[1], tmp_path / "run")
    change, level = report.scoring
    assert change.startswith("scoring.change (auto): does not count; whether it helps can't be told")
    assert level.startswith("scoring.level (always): counts; whether it helps can't be told")


def test_every_plugin_that_is_told_of_can_be_set() -> None:
    for setting in PLUGINS:
        shown = setting.replace("RECIPE", "rtfm").replace("=N", "=3")
        assert load_recipe("topk", [shown]) != load_recipe("topk")

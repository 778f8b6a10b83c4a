"""amiss evaluate on anyone's scores, end to end: JSON, npz, and npy in the order of RTFM's lists."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from amiss.backbones import FeatureSpec, create_backbone
from amiss.cli import app
from amiss.datasets import Manifest, Video, read_manifest, write_manifest
from amiss.detection import Calibration, Detector, Normalisation, Scoring
from amiss.engines import create_engine
from amiss.errors import UsageError
from amiss.evaluation import ground_truth_vector
from amiss.features import FeatureSetWriter, import_features, open_feature_set
from amiss.heads import create_head
from amiss.jobs import evaluate_any, extract, with_lengths
from helpers.bench import make_data
from helpers.videos import write_video


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Manifest]:
    make_data(tmp_path)
    return tmp_path, read_manifest(tmp_path / "manifest.csv")


def clip_scores(manifest: Manifest) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {v.video_id: rng.random((v.n_frames or 0) // 16) for v in manifest.split("test")}


def rtfm_order(scores: dict[str, np.ndarray], manifest: Manifest) -> np.ndarray:
    """One flat array: anomalous videos by name, then normal ones."""
    videos = sorted(manifest.split("test"), key=lambda video: (-video.label, video.video_id))
    return np.concatenate([scores[video.video_id] for video in videos])


@pytest.mark.parametrize("suffix", [".json", ".npz", ".npy", "frames.npy"])
def test_every_format_gives_the_same_numbers(data: tuple[Path, Manifest], suffix: str) -> None:
    folder, manifest = data
    scores = clip_scores(manifest)
    flat = rtfm_order(scores, manifest)
    file = folder / f"theirs{suffix}"
    match suffix:
        case ".json":
            file.write_text(json.dumps({name: values.tolist() for name, values in scores.items()}))
        case ".npz":
            np.savez(file, **scores)  # type: ignore[arg-type]
        case ".npy":
            np.save(file, flat)
        case _:
            np.save(file, np.repeat(flat, 16))
    expected = roc_auc_score(ground_truth_vector(manifest, "exact"), np.repeat(flat, 16))
    arguments = ["evaluate", str(file), "--data", str(folder / "manifest.csv"), "--json"]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["auc"] == pytest.approx(expected, abs=1e-12)
    assert result["n_videos"] == 16
    assert set(result["per_class"]) == {"fire", "fight"}
    assert result["ci95"]["auc"][0] < expected < result["ci95"]["auc"][1]


def test_npy_in_rtfms_order_under_rtfms_protocol(data: tuple[Path, Manifest]) -> None:
    folder, manifest = data
    flat = rtfm_order(clip_scores(manifest), manifest)
    np.save(folder / "pred.npy", flat)
    result = evaluate_any(folder / "pred.npy", manifest, protocol="ucf/rtfm-ceil16")
    labels = ground_truth_vector(manifest, "ucf/rtfm-ceil16")
    assert (result["n_frames"], result["n_positive"]) == (16 * len(flat), int(labels.sum()))
    assert result["auc"] == pytest.approx(roc_auc_score(labels, np.repeat(flat, 16)), abs=1e-12)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda flat: flat[:-1], r"has \d+ scores; the 16 test videos of .* have \d+ clips of 16 frames \(-1\)"),
        (lambda flat: np.where(np.arange(len(flat)) == 3, np.nan, flat), "1 of .* scores are NaN or infinite"),
    ],
)
def test_bad_npy_is_told_in_one_line(data: tuple[Path, Manifest], spoil: object, message: str) -> None:
    folder, manifest = data
    np.save(folder / "pred.npy", spoil(rtfm_order(clip_scores(manifest), manifest)))  # type: ignore[operator]
    ran = CliRunner().invoke(app, ["evaluate", str(folder / "pred.npy"), "--data", str(folder / "manifest.csv")])
    assert ran.exit_code == 1
    assert ran.stdout == ""
    assert len(ran.stderr.strip().splitlines()) == 1
    assert re.search(message, ran.stderr), ran.stderr


def test_scores_of_a_video_less_are_told(data: tuple[Path, Manifest]) -> None:
    folder, manifest = data
    scores = clip_scores(manifest)
    del scores["test03"]
    np.savez(folder / "theirs.npz", **scores)  # type: ignore[arg-type]
    ran = CliRunner().invoke(app, ["evaluate", str(folder / "theirs.npz"), "--data", str(folder / "manifest.csv")])
    assert ran.exit_code == 1
    assert "1 of 16 test videos have no scores: test03" in ran.stderr


def test_frames_are_counted_where_only_the_video_can_tell(tmp_path: Path) -> None:
    file = write_video(tmp_path / "a.mp4", 70, fps=10)
    with FeatureSetWriter(tmp_path / "f", FeatureSpec(backbone="c3d", weights="x", dim=3, segments=32)) as writer:
        for video_id in ("a", "b", "c"):
            writer.add(video_id, np.ones((32, 1, 3), np.float32), None, None)
    videos = (
        Video(video_id="a", split="test", label=1, path=file),
        Video(video_id="b", split="train", label=1, path=file),
        Video(video_id="c", split="test", label=0, n_frames=5, path=tmp_path / "not needed.mp4"),
    )
    told: list[str] = []
    known = with_lengths(Manifest(videos), open_feature_set(tmp_path / "f"), lambda _, __, what: told.append(what))
    assert [video.n_frames for video in known.videos] == [70, None, 5]
    assert known.videos[0].fps == 10
    assert told == ["a, counting its frames"]


def test_what_does_not_beat_a_shortcut_is_told(data: tuple[Path, Manifest]) -> None:
    folder, manifest = data
    file = folder / "chance.json"
    file.write_text(json.dumps({name: values.tolist() for name, values in clip_scores(manifest).items()}))
    arguments = ["evaluate", str(file), "--data", str(folder / "manifest.csv"), "--out", str(folder / "result.json")]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.stderr
    assert 'warning: not clearly better than "middle first", which looks at no picture: ' in ran.stderr
    assert ran.stdout.splitlines()[0].split() == ["value", "shorter", "video", "first", "middle", "first"]
    found = json.loads((folder / "result.json").read_text())
    assert len(found["not_beaten"]) == 2
    perfect = {v.video_id: np.repeat(0.1, (v.n_frames or 0) // 16).tolist() for v in manifest.split("test")}
    for video in manifest.split("test"):
        for start, end in video.events:
            perfect[video.video_id][start // 16 : end // 16] = [0.9] * 3
    file.write_text(json.dumps(perfect))
    ran = CliRunner().invoke(app, arguments)
    assert "not clearly better" not in ran.stderr
    assert json.loads((folder / "result.json").read_text())["not_beaten"] == []


def test_smoothed_scores_are_also_measured_without(data: tuple[Path, Manifest]) -> None:
    folder, manifest = data
    torch.manual_seed(0)
    features = open_feature_set(folder / "features")
    head = create_head("topk", features.spec.dim).eval()
    made = Detector(features.spec, head, Normalisation("l2"), Calibration(0.5, "test", 1), scoring=Scoring(smoothing=5))
    made.save(folder / "smooth")
    replace(made, scoring=Scoring()).save(folder / "plain")
    result = evaluate_any(folder / "smooth", manifest, features)
    plain = evaluate_any(folder / "plain", manifest, features)
    assert list(result["rows"]) == ["smooth", "smooth, not smoothed"]
    assert result["rows"]["smooth"]["within"] == result["within"] != plain["within"]
    assert result["rows"]["smooth, not smoothed"]["within"] == plain["within"]
    assert "rows" not in plain


def some_detector(folder: Path, spec: FeatureSpec) -> Detector:
    torch.manual_seed(0)
    head = create_head("topk", spec.dim).eval()
    made = Detector(spec, head, Normalisation("l2"), Calibration(0.5, "test", 1), {"videos": ["train01", "other"]})
    made.save(folder)
    return made


def test_features_as_others_store_them_are_read_as_they_are(data: tuple[Path, Manifest]) -> None:
    folder, manifest = data
    stored = open_feature_set(folder / "features")
    for video_id in stored.records:
        (folder / "theirs").mkdir(exist_ok=True)
        np.save(folder / "theirs" / f"{video_id}.npy", stored.load(video_id)[:, 0])
    made = some_detector(folder / "made", imported_spec(folder / "theirs", folder / "imported"))
    expected = evaluate_any(folder / "made", manifest, folder / "imported")
    arguments = ["evaluate", str(folder / "made"), "--data", str(folder / "manifest.csv"), "--json"]
    ran = CliRunner().invoke(app, [*arguments, "--features", str(folder / "theirs")])
    assert ran.exit_code == 0, ran.stderr
    assert json.loads(ran.stdout)["auc"] == expected["auc"]
    assert made.spec.dim == stored.spec.dim


def imported_spec(theirs: Path, out: Path) -> FeatureSpec:
    """Import features; their spec."""
    import_features(theirs, out)
    return open_feature_set(out).spec


def noise(seed: int) -> list[np.ndarray]:
    pictures = np.random.default_rng(seed).integers(0, 256, (36, 48, 64, 3), dtype=np.uint8)
    return list(pictures)


@pytest.mark.filterwarnings("default:.*was trained on videos of the same ids")
def test_videos_without_a_split_are_measured_from_their_files(tmp_path: Path) -> None:
    """Their features are those that `amiss extract` makes."""
    videos = tuple(
        Video(video_id=name, split="train", label=i % 2, path=write_video(tmp_path / f"{name}.mp4", noise(i)))
        for i, name in enumerate(("train01", "b", "c", "d"))
    )
    write_manifest(Manifest(videos), tmp_path / "manifest.csv")
    files = {video.video_id: video.path for video in videos if video.path is not None}
    backbone = create_backbone("motion", stride=8)
    extract(files, create_engine(backbone), tmp_path / "features")
    some_detector(tmp_path / "made", backbone.spec)
    arguments = ["evaluate", str(tmp_path / "made"), "--data", str(tmp_path / "manifest.csv"), "--json"]
    ran = CliRunner().invoke(app, [*arguments, "--split", "all"])
    assert ran.exit_code == 0, ran.stderr
    assert "was trained on videos of the same ids as 1 of these (train01)" in " ".join(ran.stderr.split())
    as_test = Manifest(tuple(replace(video, split="test") for video in videos))
    expected = evaluate_any(tmp_path / "made", as_test, tmp_path / "features")
    assert json.loads(ran.stdout)["video_auc"] == expected["video_auc"] != 0.5
    moved = Manifest(tuple(replace(video, split="test", path=None) for video in videos))
    with pytest.raises(UsageError, match="no video files of its test videos: name their features with --features"):
        evaluate_any(tmp_path / "made", moved)

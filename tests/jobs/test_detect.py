"""amiss detect and extract, where they differ from scoring one video."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from amiss import files
from amiss.backbones import FeatureSpec, create_backbone
from amiss.cli import app
from amiss.detection import Calibration, Detector, Normalisation, read_score_result
from amiss.engines import create_engine
from amiss.errors import UsageError
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set
from amiss.heads import create_head
from amiss.jobs import DetectOutputs, detect, detect_targets, extract, extract_targets, video_files
from amiss.video import check_video
from helpers.videos import numbered, write_video

SPEC = FeatureSpec(backbone="motion", weights="none", dim=6, stride=16)


@pytest.fixture
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(SPEC, create_head("topk", 6).eval(), Normalisation("none"), Calibration(0.5, "by hand", 1))


def stored(folder: Path, stride: int, clips: int) -> FeatureSet:
    writer = FeatureSetWriter(folder, SPEC.with_(stride=stride))
    writer.add("a", np.random.default_rng(0).random((clips, 1, 6), np.float32), 100, 25.0)
    return open_feature_set(folder)


def others(folder: Path, fps: float | None = None, **changes: object) -> Path:
    """Features of others, which say less: 5 rows, or 32 segments."""
    spec = SPEC.with_(**changes)
    with FeatureSetWriter(folder, spec) as writer:
        rows = np.random.default_rng(0).random((spec.segments or 5, 1, 6), np.float32)
        writer.add("a", rows, None, fps)
    return folder


def scored(detector: Detector, *arguments: object, like: Path) -> tuple[dict, str]:
    """The JSON of `amiss detect`, and what it says; with a detector of such features, by whose threshold all is one."""
    detector.spec, detector.calibration = open_feature_set(like).spec, Calibration(0.0, "by hand", 1)
    detector.save(like.parent / "detector")
    given = ["detect", *map(str, arguments), "--detector", str(like.parent / "detector"), "--features", str(like)]
    plain = CliRunner().invoke(app, given)
    ran = CliRunner().invoke(app, [*given, "--json"])
    assert (plain.exit_code, ran.exit_code) == (0, 0), ran.stderr
    return json.loads(ran.stdout)[0], plain.stdout + plain.stderr


def test_where_nobody_says_the_frame_rate_clips_are_counted(tmp_path: Path, detector: Detector) -> None:
    features = others(tmp_path / "f")
    result, said = scored(detector, "--out", tmp_path / "out", "--plot", like=features)
    assert (result["fps"], result["n_frames"], result["duration_s"]) == (None, 80, 5)
    assert [(clip["start"], clip["start_s"]) for clip in result["clips"]] == [(16 * i, i) for i in range(5)]
    assert "a  5 clips  peak " in said
    assert " 0-5 (" in said
    assert "a: nobody says its frame rate: clips are counted instead of seconds (give it: --fps)" in said
    read = read_score_result(json.loads((tmp_path / "out" / "a.json").read_text()), "a.json")
    assert (read.fps, read.times.end_s) == (None, 5)
    result, said = scored(detector, "--fps", 32, like=features)
    assert (result["fps"], result["duration_s"], result["problem"]) == (32, 2.5, None)
    assert "nobody" not in said


def test_segments_need_the_frames_to_be_told(tmp_path: Path, detector: Detector) -> None:
    features = others(tmp_path / "f", segments=32, pooling="rtfm")
    result, said = scored(detector, "--fps", 25, like=features)
    assert (result["fps"], result["n_frames"], result["duration_s"]) == (None, 32, 32)
    assert "nobody says how many frames it has: segments are counted instead of seconds" in said
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("video_id,split,label,n_frames,fps\na,test,1,640,25\n")
    result, said = scored(detector, manifest, like=features)
    assert (result["fps"], result["n_frames"], result["duration_s"]) == (25, 640, 25.6)
    assert result["clips"][1]["start"] == 20


def test_resampled_features_tell_their_seconds(tmp_path: Path, detector: Detector) -> None:
    result, said = scored(detector, like=others(tmp_path / "f", frame_rate=10.0))
    assert (result["fps"], result["duration_s"], result["clips"][1]["start_s"]) == (10, 8, 1.6)
    assert "nobody" not in said


def test_clips_lie_where_the_features_were_taken(tmp_path: Path, detector: Detector) -> None:
    results = {}
    with pytest.warns(UserWarning, match="stride"):
        detect({"a": None}, detector, features=stored(tmp_path / "f", 4, 22), on_result=results.__setitem__)
    clips = results["a"].clips
    assert [(clip.start, clip.end) for clip in clips[:3]] == [(0, 16), (4, 20), (8, 24)]
    assert clips[-1].end == 100


def test_what_needs_the_video_is_refused_before_anything_is_written(tmp_path: Path, detector: Detector) -> None:
    features = stored(tmp_path / "f", 16, 7)
    with pytest.raises(UsageError, match="need the video itself"):
        detect({"a": None}, detector, out=tmp_path / "o", outputs=DetectOutputs(clips=True), features=features)
    assert not (tmp_path / "o").exists()


def test_a_name_that_can_not_be_written_concerns_that_video_only(tmp_path: Path, detector: Detector) -> None:
    long = "x" * 260
    for name in ("b", "c"):
        write_video(tmp_path / f"{name}.mp4", 40)
    videos = {"b": tmp_path / "b.mp4", long: tmp_path / "c.mp4", "a" * 240: tmp_path / "c.mp4"}
    detector.spec = create_backbone("motion").spec
    detector.head = create_head("topk", detector.spec.dim).eval()
    results = {}
    outputs = DetectOutputs(plot=True, annotate=True, clips=True)
    report = detect(videos, detector, out=tmp_path / "out", outputs=outputs, on_result=results.__setitem__)
    assert results.keys() == videos.keys()
    assert report.done == ["b", "a" * 240]
    assert "name too long" in report.failed[long]
    assert {file.name.partition(".")[0] for file in (tmp_path / "out").iterdir()} == {"b", "a" * 240}
    features = extract(videos, create_engine(create_backbone("motion")), tmp_path / "features")
    assert sorted(features.done) == ["a" * 240, "b"]
    assert "name too long" in features.failed[long]


def test_ids_that_are_one_file_where_capitals_do_not_count(
    tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ignores_case", lambda _: True)  # as on macOS and Windows
    path = write_video(tmp_path / "a.mp4", 40)
    videos = {"Cam/1": path, "cam/1": path, "cam/2": path}
    detector.spec = create_backbone("motion").spec
    detector.head = create_head("topk", detector.spec.dim).eval()
    scored = detect(videos, detector, out=tmp_path / "out")
    extracted = extract(videos, create_engine(create_backbone("motion")), tmp_path / "features")
    for report in (scored, extracted):
        ((failed, reason),) = report.failed.items()
        assert f"{'Cam/1' if failed == 'cam/1' else 'cam/1'} is the same file here; rename one of them" in reason
        assert len(report.done) == 2


def test_what_is_left_out_of_a_folder_is_told(tmp_path: Path) -> None:
    write_video(tmp_path / "b.mp4", 20)
    write_video(tmp_path / "b.event01.mp4", 20)
    (tmp_path / "notes.txt").touch()
    report = extract_targets([tmp_path], "motion", tmp_path / "features")
    assert report.done == ["b"]
    assert [note.partition(": ")[2] for note in report.notes] == [
        "left out 1, written by amiss (to take them, rename them): b.event01.mp4",
        "left out as no videos: 1 .txt",
    ]


def test_folders_of_pictures_are_scored_at_their_rate(tmp_path: Path, detector: Detector) -> None:
    for name in ("a", "b.1"):
        (tmp_path / "v" / name).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(numbered(i)).save(tmp_path / "v" / name / f"{i}.png")
    detector.spec = create_backbone("motion").spec
    detector.head = create_head("topk", detector.spec.dim).eval()
    detector.save(tmp_path / "d")
    results = {}
    outputs = DetectOutputs(plot=True, annotate=True, page=True, previews=True)
    report = detect_targets(
        [tmp_path / "v"], tmp_path / "d", fps=8, out=tmp_path / "out", outputs=outputs,
        on_result=results.__setitem__,
    )  # fmt: skip
    assert report.done == ["a", "b.1"]
    assert not report.notes
    assert {(result.fps, result.n_frames) for result in results.values()} == {(8, 40)}
    assert check_video(tmp_path / "out" / "a.annotated.mp4").fps == 8
    report = extract_targets([tmp_path / "v" / "a"], "motion", tmp_path / "f")
    assert report.done == ["a"]
    assert "taken at 25 a second" in report.notes[0]
    with pytest.raises(UsageError, match="--fps"):
        video_files([write_video(tmp_path / "c.mp4", 5)], picture_fps=8)


def test_features_of_others_take_length_and_rate_from_the_video(tmp_path: Path) -> None:
    spec = SPEC.with_(segments=32, pooling="matlab")
    writer = FeatureSetWriter(tmp_path / "f", spec)
    writer.add("a", np.random.default_rng(0).random((32, 1, 6), np.float32), None, None)
    features = open_feature_set(tmp_path / "f")
    detector = Detector(spec, create_head("topk", 6).eval(), Normalisation("l2"), Calibration(0.5, "by hand", 1))
    results = {}
    report = detect({"a": None}, detector, features=features)
    assert "name its video, too" in report.warnings["a"]
    video = write_video(tmp_path / "a.mp4", 70, fps=10)
    detect({"a": video}, detector, features=features, on_result=results.__setitem__)
    clips = results["a"].clips
    assert (results["a"].n_frames, results["a"].fps) == (70, 10)
    assert [(clip.start, clip.end) for clip in (clips[0], clips[31])] == [(0, 2), (67, 70)]


@pytest.mark.slow
def test_processes_score_and_extract_as_this_one_does(tmp_path: Path) -> None:
    (tmp_path / "v" / "pictures").mkdir(parents=True)
    for i in range(40):
        Image.fromarray(numbered(i)).save(tmp_path / "v" / "pictures" / f"{i}.png")
    for name in "abc":
        write_video(tmp_path / "v" / f"{name}.mp4", 50)
    (tmp_path / "v" / "wrong.mp4").write_bytes(b"no video")
    spec = create_backbone("motion").spec
    head = create_head("topk", spec.dim).eval()
    Detector(spec, head, Normalisation("none"), Calibration(0.5, "by hand", 1)).save(tmp_path / "detector")
    for workers in (1, 2):
        out = tmp_path / f"scores{workers}"
        report = detect_targets([tmp_path / "v"], tmp_path / "detector", out=out, workers=workers, fps=12.5)
        assert (report.done, list(report.failed)) == (["a", "b", "c", "pictures"], ["wrong"])
        extract_targets([tmp_path / "v"], "motion", tmp_path / f"features{workers}", workers=workers, picture_fps=12.5)
    for kind in "scores", "features":
        one, two = ({p.name: p.read_bytes() for p in (tmp_path / f"{kind}{n}").iterdir()} for n in (1, 2))
        assert one == two

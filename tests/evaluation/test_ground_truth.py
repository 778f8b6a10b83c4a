"""Ground truth by protocol, against published vectors and hand-made cases."""

import csv
import hashlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from amiss.datasets import Manifest, Video, parse_events
from amiss.errors import EvaluationError, UsageError
from amiss.evaluation import (
    ALIASES,
    PROTOCOLS,
    VideoScores,
    check_ground_truth,
    fixed_spans,
    frame_labels,
    get_protocol,
    ground_truth_vector,
    score_frames,
)


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


@pytest.fixture(scope="module")
def ucf(shared: Path) -> Manifest:
    """The test videos of UCF-Crime."""
    return Manifest(
        tuple(
            Video(
                video_id=row["video_id"],
                split="test",
                label=int(row["class"] != "Normal"),
                class_name=row["class"],
                n_frames=int(row["n_frames"]),
                fps=30,
                events=parse_events(row["events"]),
            )
            for row in rows(shared / "data/ucf_crime/annotations.csv")
            if row["split"] == "test"
        )
    )


def masks(path: Path) -> dict[str, tuple[int, tuple[tuple[int, int], ...]]]:
    return {row["video_id"]: (int(row["n_frames"]), parse_events(row["events"])) for row in rows(path)}


def video(video_id: str, n_frames: int, events: tuple[tuple[int, int], ...], label: int) -> Video:
    return Video(video_id=video_id, split="test", label=label, n_frames=n_frames, events=events)


def git_blob(array: NDArray[np.floating]) -> str:
    """Hash of the array saved as .npy, as git names the file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return hashlib.sha1(b"blob %d\0" % buffer.getbuffer().nbytes + buffer.getvalue()).hexdigest()


def runs(labels: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(labels.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)


def test_published_ucf_vectors_byte_for_byte(ucf: Manifest) -> None:
    rtfm = ground_truth_vector(ucf, "ucf/rtfm-ceil16")
    assert git_blob(rtfm.astype(np.float64)) == "bdbf86df75268f59d1d40a7cb700a25d6bfe179f"
    wu = ground_truth_vector(ucf, "ucf/wu-floor16")
    assert git_blob(wu.astype(np.float32)) == "17b93404bde7a382f5cc05bb197d3f17046925f5"


def test_ucf_frames_per_protocol(ucf: Manifest) -> None:
    counts = {name: (len(v), int(v.sum())) for name in PROTOCOLS if (v := ground_truth_vector(ucf, name)) is not None}
    assert counts["exact"] == (1_111_808, 84_182)
    assert counts["ucf/rtfm-ceil16"] == (1_114_144, 84_389)
    assert counts["ucf/wu-floor16"] == (1_109_680, 84_128)
    assert counts["ucf/ekosman-32"] == (1_111_808, 84_182)


def test_xd_equals_the_scored_frames_of_all_800_videos(shared: Path) -> None:
    formats = shared / "data/annotation_formats"
    annotated: dict[str, tuple[tuple[int, int], ...]] = {}
    for line in (formats / "xd_annotations.txt").read_text().splitlines():
        name, *numbers = line.split()
        ends = [int(number) for number in numbers]
        annotated[name] = tuple(zip(ends[::2], ends[1::2], strict=True))
    scored = list(rows(formats / "xd_scored_frames.csv"))
    assert len(scored) == 800
    for row in scored:
        n_frames, events = int(row["scored_frames"]), annotated.get(row["video_id"], ())
        one = Manifest((video(row["video_id"], n_frames, events, int(bool(events))),))
        found = ground_truth_vector(one, "xd/wu-floor16")
        assert len(found) == n_frames
        np.testing.assert_array_equal(
            runs(found).ravel(), np.ravel(parse_events(row["events"])), err_msg=row["video_id"]
        )


def shanghaitech(shared: Path, labels: set[str]) -> Manifest:
    formats = shared / "data/annotation_formats"
    annotated = masks(formats / "shanghaitech_test_frame_masks.csv")
    videos = []
    for line in (formats / "shanghaitech_weak_test.txt").read_text().splitlines():
        name, label, last_frame = line.split(",")
        if label in labels:
            n_frames, events = annotated[name] if label == "1" else (int(last_frame) + 1, ())
            videos.append(video(name, n_frames, events, int(label)))
    return Manifest(tuple(videos))


def test_shanghaitech_vectors(shared: Path, golden: Path) -> None:
    published = np.load(shared / "golden/gt_runs.npz")
    rtfm = ground_truth_vector(shanghaitech(shared, {"1"}), "sht/rtfm")
    assert (len(rtfm), rtfm.sum()) == (17_968, 8_028)
    np.testing.assert_array_equal(runs(rtfm), published["sh_rtfm_runs"])
    bameri = ground_truth_vector(shanghaitech(shared, {"0", "1"}), "sht/bameri-floor16")
    assert (len(bameri), bameri.sum()) == (140_848, 7_932)
    np.testing.assert_array_equal(runs(bameri), published["sh_seed000_runs"])


def test_avenue_and_ped2_vectors(shared: Path, golden: Path) -> None:
    published = np.load(shared / "golden/gt_runs.npz")
    formats = shared / "data/annotation_formats"
    avenue_masks = masks(formats / "avenue_frame_masks.csv")
    names = [
        r["video_id"] for r in rows(formats / "avenue_weak_split.csv") if (r["split"], r["label"]) == ("test", "1")
    ]
    avenue = ground_truth_vector(Manifest(tuple(video(n, *avenue_masks[n], 1) for n in names)), "avenue/bameri-floor16")
    assert (len(avenue), avenue.sum()) == (7_168, 1_798)
    np.testing.assert_array_equal(runs(avenue), published["avenue_seed000_runs"])
    ped2_masks = masks(shared / "data/ucsd_ped2/annotations.csv")
    split = [r for r in rows(shared / "data/ucsd_ped2/weak_split.csv") if r["split"] == "test"]
    videos = tuple(video(r["video_id"], *ped2_masks[r["video_id"]], int(r["label"])) for r in split)
    ped2 = ground_truth_vector(Manifest(videos), "ped2/bameri-floor16")
    assert (len(ped2), ped2.sum()) == (2_816, 687)
    np.testing.assert_array_equal(runs(ped2), published["ped2_seed000_runs"])


def test_rules_on_a_short_video() -> None:
    late = video("late", 20, ((3, 5), (18, 25)), 1)  # annotated past its 20 frames
    found = {name: np.flatnonzero(ground_truth_vector(Manifest((late,)), name)).tolist() for name in PROTOCOLS}
    assert found["exact"] == found["ucf/ekosman-32"] == [3, 4, 18, 19]
    assert found["ucf/rtfm-ceil16"] == [3, 4, 5, *range(18, 32)]
    assert found["ucf/wu-floor16"] == found["xd/wu-floor16"] == found["sht/bameri-floor16"] == [3, 4]
    assert found["sht/rtfm"] == [3, 4, *range(18, 32)]
    assert found["ucf/sultani-matlab"] == [2, 3, 4, 17, 18, 19]


def test_every_protocol_of_the_contract_exists() -> None:
    names = "exact ucf/rtfm-ceil16 ucf/wu-floor16 ucf/ekosman-32 ucf/sultani-matlab xd/wu-floor16 sht/rtfm "
    names += "sht/bameri-floor16 avenue/bameri-floor16 ped2/bameri-floor16"
    assert list(PROTOCOLS) == names.split()
    assert {get_protocol(alias).id for alias in ALIASES} == {"exact"}
    assert {"ucf/exact", "xd/exact", "sht/exact", "avenue/exact", "ped2/exact"} <= set(ALIASES)
    with pytest.raises(UsageError, match=r"unknown protocol 'ucf/rocng'.*'exact', 'ucf/rtfm"):
        get_protocol("ucf/rocng")


def test_events_past_the_end_warn_once_and_name_the_videos(ucf: Manifest) -> None:
    scores = {v.video_id: VideoScores(np.zeros(32)) for v in ucf.videos}
    with pytest.warns(UserWarning, match=r"5 videos: Arson011_x264 \(event to 1267, 1266 frames\)") as caught:
        frames = score_frames(scores, ucf)
    assert len(caught) == 1
    assert str(caught[0].message) in frames.notes
    with pytest.warns(UserWarning, match="cut off"):
        assert frame_labels(ucf.by_id["Arson011_x264"], 1266).sum() == 270 + 586


def test_a_vector_of_another_protocol_is_recognised(tmp_path: Path, ucf: Manifest) -> None:
    np.save(tmp_path / "gt.npy", ground_truth_vector(ucf, "ucf/rtfm-ceil16").astype(np.float64))
    check_ground_truth(tmp_path / "gt.npy", ucf, "ucf/rtfm-ceil16")
    with pytest.raises(EvaluationError) as caught:
        check_ground_truth(tmp_path / "gt.npy", ucf, "exact")
    message = str(caught.value)
    assert "1114144 frames, not 1111808 (+2336)" in message
    assert "first difference in Abuse028_x264 (76 anomalous frames, not 75)" in message
    assert "it is the vector of ucf/rtfm-ceil16" in message
    np.save(tmp_path / "gt.npy", np.zeros(5))
    with pytest.raises(EvaluationError, match="5 frames, not 1111808"):
        check_ground_truth(tmp_path / "gt.npy", ucf, "exact")
    with pytest.raises(EvaluationError, match="does not exist"):
        check_ground_truth(tmp_path / "none.npy", ucf, "exact")


def one_per_clip(manifest: Manifest, change: int = 0) -> dict[str, VideoScores]:
    rng = np.random.default_rng(0)
    return {v.video_id: VideoScores(rng.random(-(-(v.n_frames or 0) // 16) + change)) for v in manifest.videos}


@pytest.mark.filterwarnings("ignore:events past")
def test_one_score_file_serves_all_protocols(ucf: Manifest) -> None:
    clips = one_per_clip(ucf)
    segments = {v.video_id: VideoScores(np.arange(32.0)) for v in ucf.videos}
    spans = {n: VideoScores(s.scores, fixed_spans(len(s.scores))) for n, s in clips.items()}
    for name in [p for p in PROTOCOLS if p == "exact" or p.startswith("ucf/")]:
        lengths = {len(score_frames(scores, ucf, name).scores) for scores in (clips, segments, spans)}
        assert len(ground_truth_vector(ucf, name)) in lengths


def test_length_mismatch_names_video_and_difference() -> None:
    videos = tuple(video(f"v{i}", n, ((0, 4),), 1) for i, n in enumerate((100, 164, 333)))
    manifest = Manifest(videos)
    floor = {"v0": 6, "v1": 10, "v2": 20}
    scores = {name: VideoScores(np.zeros(count)) for name, count in floor.items()}
    assert len(score_frames(scores, manifest, "sht/bameri-floor16").scores) == 16 * 36
    with pytest.raises(EvaluationError, match=r"v0 has 6 scores, not 7 \(-1\); v1 has 10 scores, not 11 \(-1\)"):
        score_frames(scores, manifest, "ucf/rtfm-ceil16")
    scores["v1"] = VideoScores(np.zeros(13))
    with pytest.raises(EvaluationError, match=r"sht/bameri-floor16 takes .* but v1 has 13 scores, not 10 \(\+3\)"):
        score_frames(scores, manifest, "sht/bameri-floor16")


def test_wus_features_may_lack_the_last_whole_clip() -> None:
    manifest = Manifest((video("Assault006_x264", 160, ((0, 4),), 1), video("other", 160, (), 0)))
    assert len(ground_truth_vector(manifest, "ucf/wu-floor16")) == 16 * (9 + 10)
    for count in (9, 10):
        scores = {v.video_id: VideoScores(np.zeros(count)) for v in manifest.videos}
        assert len(score_frames(scores, manifest, "ucf/wu-floor16").scores) == 2 * 16 * count
    scores = {v.video_id: VideoScores(np.zeros(8)) for v in manifest.videos}
    assert len(score_frames(scores, manifest, "ucf/wu-floor16").scores) == 16 * 19  # read as segments


def test_unscored_frames_of_the_old_protocols_are_zero(golden: Path) -> None:
    manifest = Manifest((video("v", 100, ((0, 4),), 1),))
    ones = {"v": VideoScores(np.ones(32))}
    ekosman = score_frames(ones, manifest, "ucf/ekosman-32").scores
    assert ekosman.tolist() == [1] * 96 + [0] * 4
    expected = np.load(golden / "evaluation.npz")
    for name in [key for key in expected if key.startswith("matlab_scores")]:
        n_frames = int(name.split("_L")[1])
        scores = {"v": VideoScores((np.arange(32) + 1) / 32)}
        frames = score_frames(scores, Manifest((video("v", n_frames, ((0, 4),), 1),)), "ucf/sultani-matlab")
        np.testing.assert_array_equal(frames.scores, expected[name])


def test_a_video_shorter_than_a_clip_has_no_whole_clip() -> None:
    manifest = Manifest((video("short", 10, ((0, 4),), 1),))
    scores = {"short": VideoScores(np.ones(1))}
    assert len(score_frames(scores, manifest, "exact").scores) == 10
    with pytest.raises(EvaluationError, match="short has 10 frames, less than a clip"):
        score_frames(scores, manifest, "sht/bameri-floor16")


def test_published_vectors_come_out_the_same_without_frame_counts(ucf: Manifest, shared: Path) -> None:
    """The originals compared 16 frames per row of features with a vector of that length, and so does `score_frames`."""
    shanghai = shanghaitech(shared, {"0", "1"})
    protocols = {"ucf/rtfm-ceil16": ucf, "ucf/wu-floor16": ucf, "sht/rtfm": shanghai, "sht/bameri-floor16": shanghai}
    for name, known in protocols.items():
        truth = {v.video_id: ground_truth_vector(Manifest((v,)), name) for v in known.split("test")}
        scores = {video_id: VideoScores(np.zeros(len(labels) // 16)) for video_id, labels in truth.items()}
        unknown = Manifest(tuple(replace(v, n_frames=None) for v in known.split("test")))
        with warnings.catch_warnings(action="ignore"):  # events past the end
            frames = score_frames(scores, unknown, name)
        np.testing.assert_array_equal(frames.labels, np.concatenate(list(truth.values())), err_msg=name)
        assert frames.notes[0].startswith(f"nobody says how many frames {len(truth)} test videos have")

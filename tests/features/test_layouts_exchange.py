"""Layouts of other projects: written as they write them, read, and there and back."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from amiss.backbones import FeatureSpec, published_spec
from amiss.cli import app
from amiss.errors import FeatureError, OutputError, UsageError
from amiss.features import FeatureSet, FeatureSetWriter, export_features, import_features, open_feature_set, pool

LAYOUTS = ["rtfm", "wu", "ekosman", "sultani", "csv", "hdf5"]
KEEP_CLIPS = ["rtfm", "wu", "hdf5"]


def make_set(folder: Path, lengths: list[int], crops: int = 1, dim: int = 6, segments: int | None = None) -> FeatureSet:
    rng = np.random.default_rng(0)
    spec = FeatureSpec(backbone="made-up", weights="none", dim=dim, crops=crops, segments=segments)
    writer = FeatureSetWriter(folder, spec)
    for i, length in enumerate(lengths):
        writer.add(f"Video{i}_x264", rng.random((length, crops, dim), dtype=np.float32), 16 * length, 30.0)
    return open_feature_set(folder)


def exchanged(features: FeatureSet, tmp_path: Path, layout: str) -> FeatureSet:
    """Export and import again; the axes are named only where the export says that sizes won't tell."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        n = export_features(features, tmp_path / "there", layout)
    assert n == len(features.records)
    axes = () if any("--axes usual" in str(one.message) for one in said) else None
    assert import_features(tmp_path / "there", tmp_path / "back", axes=axes) == n
    return open_feature_set(tmp_path / "back")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_segments_come_back_as_they_were(tmp_path: Path, layout: str) -> None:
    features = make_set(tmp_path / "set", [32, 32, 32], segments=32)
    back = exchanged(features, tmp_path, layout)
    assert list(back.records) == list(features.records)
    assert (back.spec.dim, back.spec.crops) == (6, 1)
    assert back.spec.segments == (None if layout in ("rtfm", "wu") else 32)
    for video_id in features.records:
        np.testing.assert_array_equal(back.load(video_id), features.load(video_id))


@pytest.mark.parametrize("layout", KEEP_CLIPS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), crops=st.integers(1, 10), dim=st.integers(1, 9))
@example(lengths=[1], crops=2, dim=1)
def test_clips_and_crops_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, layout: str, lengths: list[int], crops: int, dim: int
) -> None:
    folder = tmp_path_factory.mktemp("exchange")
    features = make_set(folder / "set", lengths, crops, dim)
    back = exchanged(features, folder, layout)
    assert (back.spec.dim, back.spec.crops) == (dim, crops)
    for video_id in features.records:
        np.testing.assert_array_equal(back.load(video_id), features.load(video_id))


ENDINGS = ["", "__0", "__1", "__10", "_i3d", "_C", "_rgb", "_flow", "_fps", "_timestamps_ms", ".npy", ".txt"]
IDS = st.builds("{}{}{}".format, st.sampled_from(["v", "V1", "normal__0", "a b", "é", "x.y", "#1", "-"]),
                st.sampled_from(ENDINGS), st.sampled_from(ENDINGS))  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(IDS, min_size=1, max_size=4, unique=True), crops=st.sampled_from([1, 5]))
def test_any_ids_come_back_or_the_export_is_refused(
    tmp_path_factory: pytest.TempPathFactory, layout: str, ids: list[str], crops: int
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    crops = crops if layout in KEEP_CLIPS else 1
    spec = FeatureSpec(backbone="made-up", weights="none", dim=48, crops=crops, segments=32)
    writer = FeatureSetWriter(folder / "set", spec)
    for i, video_id in enumerate(ids):
        writer.add(video_id, np.full((32, crops, 48), i + 1 / 3, np.float32), 512, 25.0)
    features = open_feature_set(folder / "set")
    refusal = None
    try:
        back = exchanged(features, folder, layout)
    except FeatureError as error:
        refusal = str(error)
    if refusal is not None:
        assert f"layout {layout} can't hold" in refusal
        assert not list((folder / "there").iterdir())
        return
    assert back.records.keys() == features.records.keys()
    for video_id in ids:
        np.testing.assert_array_equal(back.load(video_id), features.load(video_id))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbered_videos_of_class_folders_come_back(tmp_path: Path, layout: str) -> None:
    spec = FeatureSpec(backbone="made-up", weights="none", dim=48, segments=32)
    writer = FeatureSetWriter(tmp_path / "set", spec)
    for i, video_id in enumerate(["normal__0", "normal__1", "anomalous__0", "anomalous__1"]):
        writer.add(video_id, np.full((32, 1, 48), i + 1, np.float32), 512, 25.0)
    features = open_feature_set(tmp_path / "set")
    back = exchanged(features, tmp_path, layout)
    assert {v: back.load(v)[0, 0, 0] for v in back.records} == {v: features.load(v)[0, 0, 0] for v in features.records}


@pytest.mark.parametrize(("layout", "rule"), [("ekosman", "ekosman"), ("sultani", "matlab"), ("csv", "norm")])
def test_clips_are_pooled_by_the_layouts_own_rule(tmp_path: Path, layout: str, rule: str) -> None:
    features = make_set(tmp_path / "set", [70, 33])
    back = exchanged(features, tmp_path, layout)
    assert (back.spec.segments, back.spec.pooling) == (32, rule)
    for video_id in features.records:
        np.testing.assert_allclose(back.load(video_id), pool(features.load(video_id), rule), rtol=1e-6)


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - set(KEEP_CLIPS)))
def test_what_a_layout_cannot_hold_is_refused(tmp_path: Path, layout: str) -> None:
    with pytest.raises(FeatureError, match="has 10 crops; this layout takes 1"):
        export_features(make_set(tmp_path / "crops", [3], crops=10), tmp_path / "a", layout)
    with pytest.raises(FeatureError, match="has 8 segments; this layout takes 32"):
        export_features(make_set(tmp_path / "segments", [8], segments=8), tmp_path / "b", layout)


def test_where_and_what_can_be_exported(tmp_path: Path) -> None:
    features = make_set(tmp_path / "set", [3])
    with pytest.raises(UsageError, match=r"only imported.*'rtfm'"):
        export_features(features, tmp_path / "out", "c3d-codes")
    with pytest.raises(UsageError, match="Did you mean 'rtfm'"):
        export_features(features, tmp_path / "out", "rtfn")
    assert not (tmp_path / "out").exists()
    with pytest.raises(OutputError, match="not empty"):
        export_features(features, tmp_path / "set", "rtfm")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="can't write"):
        export_features(features, tmp_path / "file" / "out", "rtfm")


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def test_rtfms_files(tmp_path: Path) -> None:
    """Train and test in folders of their own; the features are those of our I3D-ResNet50 with its published weights."""
    rng = np.random.default_rng(1)
    train, test = (rng.random((t, 10, 2048), dtype=np.float32) for t in (3, 5))
    save(tmp_path / "in" / "UCF_Train_ten_crop_i3d" / "Abuse001_x264_i3d.npy", train)
    save(tmp_path / "in" / "UCF_Test_ten_crop_i3d" / "Normal_Videos_003_x264_i3d.npy", test)
    import_features(tmp_path / "in", tmp_path / "out")
    features = open_feature_set(tmp_path / "out")
    assert features.spec == published_spec("i3d_resnet50", crops=10)
    np.testing.assert_array_equal(features.load("Abuse001_x264"), train)
    np.testing.assert_array_equal(features.load("Normal_Videos_003_x264"), test)


@pytest.mark.parametrize("first", ["", "__0"])
def test_peng_wus_files(tmp_path: Path, first: str) -> None:
    """Crop 0 has no number for UCF-Crime, and 0 for XD-Violence."""
    rng = np.random.default_rng(1)
    videos = {"v=38GQ9L2meyE__#1_label_B6-0-0": 4, "Abuse001_x264": 3}
    arrays = {video_id: rng.random((t, 5, 1024), dtype=np.float32) for video_id, t in videos.items()}
    for video_id, array in arrays.items():
        for crop in range(5):
            save(tmp_path / "in" / f"{video_id}{f'__{crop}' if crop else first}.npy", array[:, crop])
    import_features(tmp_path / "in", tmp_path / "out")
    features = open_feature_set(tmp_path / "out")
    assert (features.spec.backbone, features.spec.weights, features.spec.crops) == ("i3d", "kinetics400", 5)
    assert features.spec.tail == "drop"
    for video_id, array in arrays.items():
        np.testing.assert_array_equal(features.load(video_id), array)


def test_missing_and_uneven_crops_are_named(tmp_path: Path) -> None:
    for crop in ("", "__1", "__3"):
        save(tmp_path / "a" / f"v{crop}.npy", np.ones((3, 8), np.float32))
    with pytest.raises(FeatureError, match="crops of a video are v, v__1, v__3; some are missing"):
        import_features(tmp_path / "a", tmp_path / "out")
    for crop, length in (("", 3), ("__1", 4)):
        save(tmp_path / "b" / f"v{crop}.npy", np.ones((length, 8), np.float32))
    with pytest.raises(FeatureError, match=r"its crops have shapes .*\(4, 8\)"):
        import_features(tmp_path / "b", tmp_path / "out2", "wu")


def write_text(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(" ".join(str(v) for v in row) for row in rows) + "\n")


def test_text_files_of_sultani_and_ekosman(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((32, 4096)).astype(np.float32)
    write_text(tmp_path / "sultani" / "Abuse001_x264_C.txt", rows)
    write_text(tmp_path / "ekosman" / "Abuse" / "Abuse001_x264.txt", rows)
    for name, rule in (("sultani", "matlab"), ("ekosman", "ekosman")):
        import_features(tmp_path / name, tmp_path / f"{name}-out")
        features = open_feature_set(tmp_path / f"{name}-out")
        assert (features.spec.backbone, features.spec.segments, features.spec.pooling) == ("c3d", 32, rule)
        np.testing.assert_array_equal(features.load("Abuse001_x264")[:, 0], rows)


def test_csv_files(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((32, 4096)).astype(np.float16)
    lines = [f"{i}," + ",".join(str(v) for v in row) for i, row in enumerate(rows)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Abuse001_x264.csv").write_text("\n".join(lines))
    import_features(tmp_path / "in", tmp_path / "out")
    features = open_feature_set(tmp_path / "out")
    assert (features.spec.backbone, features.spec.weights, features.spec.stride) == ("c3d", "sports1m", 17)
    np.testing.assert_array_equal(features.load("Abuse001_x264")[:, 0], rows.astype(str).astype(np.float32))


def test_hdf5_files(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((32, 70)).astype(np.float32)
    with h5py.File(tmp_path / "charades_i3d.hdf5", "w") as file:
        file["Abuse/Abuse001_x264/features"] = rows
        file["Normal/Normal_Videos_003_x264/features"] = rows + 1
    import_features(tmp_path / "charades_i3d.hdf5", tmp_path / "out")
    features = open_feature_set(tmp_path / "out")
    assert list(features.records) == ["Abuse001_x264", "Normal_Videos_003_x264"]
    assert features.spec.segments == 32
    np.testing.assert_array_equal(features.load("Normal_Videos_003_x264")[:, 0], rows + 1)


@pytest.mark.parametrize(
    ("layout", "file", "content", "message"),
    [
        ("rtfm", "a_i3d.npy", b"\x93NUMPY damaged", "can't be read"),
        ("wu", "a.npy", b"", "can't be read"),
        ("ekosman", "a.txt", b"1 2 3\n4 5\n", "can't be read as lines of numbers"),
        ("sultani", "a_C.txt", b"1 2 3\n", "has 1 lines of numbers; this layout has 32"),
        ("csv", "a.csv", b"5,1.0,2.0\n", "first column must be the row's number"),
        ("csv", "a.csv", b"index,f0\n0,1.0\n", "comma-separated numbers"),
        ("hdf5", "a.h5", b"\x89HDF\r\n\x1a\nnot really", "can't be read as HDF5"),
    ],
)
@pytest.mark.faults
def test_damaged_files_are_named(tmp_path: Path, layout: str, file: str, content: bytes, message: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / file).write_bytes(content)
    with pytest.raises(FeatureError, match=message):
        import_features(tmp_path / "in", tmp_path / "out", layout)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_empty_folders_and_doubled_videos_are_refused(tmp_path: Path, layout: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FeatureError, match=r"has no \*|0 HDF5 files"):
        import_features(tmp_path / "empty", tmp_path / "out", layout)
    if layout == "hdf5":
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["Abuse/v/x"] = file["Abuse/v/y"] = np.ones((3, 20), np.float32)
        with pytest.raises(FeatureError, match="video v stands there twice"):
            import_features(tmp_path / "a.h5", tmp_path / "out", layout)
        return
    for folder in ("one", "two"):
        export_features(make_set(tmp_path / "set", [32], dim=48), tmp_path / "in" / folder, layout)
    assert import_features(tmp_path / "in", tmp_path / "out", layout) == 2
    assert list(open_feature_set(tmp_path / "out").records) == ["one__Video0_x264", "two__Video0_x264"]
    with pytest.raises(FeatureError, match=r"two files of (video|crop 0 of) Video0_x264"):
        import_features(tmp_path / "in", tmp_path / "names", layout, ids="names")


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FeatureError, match="can't be read"):
        import_features(tmp_path, tmp_path / "out", "rtfm")


def test_vggish_files(tmp_path: Path) -> None:
    """XD-Violence's have a row per clip of 16 frames, others' one per 0.96 s; neither is taken for Peng Wu's."""
    rows = np.random.default_rng(0).random((7, 128), dtype=np.float32)
    for name, suffix in (("xd", "__vggish"), ("other", "_vggish")):
        save(tmp_path / name / "train" / f"v=a__#1_label_A{suffix}.npy", rows)
        import_features(tmp_path / name, tmp_path / f"{name}-out")
        np.testing.assert_array_equal(open_feature_set(tmp_path / f"{name}-out").load("v=a__#1_label_A")[:, 0], rows)
    xd, other = (open_feature_set(tmp_path / name).spec for name in ("xd-out", "other-out"))
    assert (xd.backbone, xd.dim, xd.clip_len, xd.stride, xd.frame_rate, xd.tail) == (
        "vggish",
        128,
        16,
        16,
        None,
        "drop",
    )
    assert (other.backbone, other.stride, other.frame_rate) == ("vggish", 96, 100)


def test_flow_is_not_taken_for_rgb(tmp_path: Path) -> None:
    for folder in ("RGB", "Flow"):
        save(tmp_path / folder / "v_label_A__0.npy", np.ones((3, 1024), np.float32))
        import_features(tmp_path / folder, tmp_path / f"{folder}-out")
    assert open_feature_set(tmp_path / "RGB-out").spec.backbone == "i3d"
    flow = open_feature_set(tmp_path / "Flow-out").spec
    assert (flow.backbone, flow.weights, flow.tail, flow.mean) == ("i3d-flow", "unknown", "drop", None)


def test_features_of_a_network_that_amiss_does_not_have_get_its_name(tmp_path: Path) -> None:
    save(tmp_path / "in" / "v_i3d.npy", np.ones((3, 10, 1024), np.float32))
    for number, (called, code, message) in enumerate(
        (
            ("slowfast-r50", 0, "1 video imported"),
            ("i3d", 2, "amiss has a backbone 'i3d': say --backbone i3d"),
            ("a+b", 2, "must be a plain name"),
        )
    ):
        out = tmp_path / f"out{number}"
        ran = CliRunner().invoke(
            app, ["features", "import", str(tmp_path / "in"), "--out", str(out), "--called", called]
        )
        assert (ran.exit_code, message in ran.stderr) == (code, True), ran.stderr
    spec = open_feature_set(tmp_path / "out0").spec
    assert (spec.backbone, spec.weights, spec.dim, spec.crops) == ("slowfast-r50", "unknown", 1024, 10)

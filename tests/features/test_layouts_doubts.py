"""What people have: axes in another order, one bad file of many, the same names in class folders, streams apart."""

from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import published_spec
from amiss.errors import FeatureError, UsageError
from amiss.features import import_features, open_feature_set, parse_axes
from helpers.command import amiss


def write(folder: Path, *shapes: tuple[int, ...], names: str = "Abuse{:03d}_x264_i3d.npy") -> list[np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    for i, array in enumerate(arrays):
        np.save(folder / names.format(i), array)
    return arrays


@pytest.mark.parametrize(
    ("shapes", "order"),
    [
        ([(10, 32, 129)] * 3, "crops,clips,dim"),  # 32 crops has nobody
        ([(10, 40, 64), (10, 41, 64)], "crops,clips,dim"),  # the axis that varies is the clips'
        ([(1, 30, 128)] * 2, "crops,clips,dim"),
        ([(10, 64, 40), (10, 64, 41)], "crops,dim,clips"),
        ([(40, 10, 64), (41, 10, 64)], "clips,crops,dim"),
        ([(7, 10, 2048)], "clips,crops,dim"),  # 7 crops has nobody
        ([(1, 1, 64)], "clips,crops,dim"),
        ([(64, 30), (64, 31)], "dim,clips"),
        ([(300, 1024)], "clips,dim"),
        ([(3000, 1024)], "clips,dim"),  # 1024 is the length of a backbone's vectors
        ([(30, 64)] * 3, "clips,dim"),
    ],
)
def test_axes_are_told_by_shapes(tmp_path: Path, shapes: list[tuple[int, ...]], order: str) -> None:
    arrays = write(tmp_path / "in", *shapes)
    axes = parse_axes(order)
    usual = [name for name in ("clips", "crops", "dim") if name in axes]
    if list(axes) == usual:
        import_features(tmp_path / "in", tmp_path / "out")
    else:
        with pytest.warns(UserWarning, match=rf"arrays are taken as \({', '.join(axes)}\), as their shapes tell"):
            import_features(tmp_path / "in", tmp_path / "out")
    features = open_feature_set(tmp_path / "out")
    for i, array in enumerate(arrays):
        ordered = array.transpose([axes.index(name) for name in usual])
        expected = ordered[:, None] if ordered.ndim == 2 else ordered
        np.testing.assert_array_equal(features.load(f"Abuse{i:03d}_x264"), expected)


@pytest.mark.parametrize(
    "shapes",
    [
        [(64, 30)] * 2,
        [(64, 64)],
        [(1024, 30)],
        [(10, 5, 2048)],  # ten clips of five crops, or five of ten
        [(3, 7, 64)],
        [(40, 50, 64)],
        [(10, 1024, 32)] * 2,
    ],
)
def test_axes_in_doubt_are_refused_and_can_be_named(tmp_path: Path, shapes: list[tuple[int, ...]]) -> None:
    arrays = write(tmp_path / "in", *shapes)
    with pytest.raises(FeatureError, match=r"which axis is which can't be told: say it with --axes") as refused:
        import_features(tmp_path / "in", tmp_path / "out")
    assert str(shapes[0]) in str(refused.value)
    assert not (tmp_path / "out").exists()
    order = "dim,clips" if arrays[0].ndim == 2 else "dim,crops,clips"
    failed: dict[str, str] = {}
    import_features(tmp_path / "in", tmp_path / "out", axes=parse_axes(order), on_failure=failed.__setitem__)
    rows = open_feature_set(tmp_path / "out").load("Abuse000_x264")
    expected = arrays[0].T[:, None] if arrays[0].ndim == 2 else arrays[0].transpose(2, 1, 0)
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("odd", [(30, 32), (31, 65)])
def test_one_odd_array_does_not_turn_the_others(tmp_path: Path, odd: tuple[int, int]) -> None:
    write(tmp_path / "in", (30, 64), (30, 64), odd)
    with pytest.raises(FeatureError, match=r"1 of 3 .*Abuse002_x264: features are .* expected \(T, 1, 64\)"):
        import_features(tmp_path / "in", tmp_path / "out")
    assert open_feature_set(tmp_path / "out").load("Abuse000_x264").shape == (30, 1, 64)


def test_axes_are_named_by_words(tmp_path: Path) -> None:
    write(tmp_path / "in", (64, 30))
    with pytest.raises(UsageError, match="name each once"):
        parse_axes("clips,dims")
    with pytest.raises(UsageError, match=r"arrays have 2 axes, like \(64, 30\); not crops,clips,dim"):
        import_features(tmp_path / "in", tmp_path / "out", axes=parse_axes("crops,clips,dim"))
    ran = amiss("features", "import", tmp_path / "in", "--out", tmp_path / "out", "--axes", "dim,clips")
    assert ran.code == 0, ran.err
    assert open_feature_set(tmp_path / "out").load("Abuse000_x264").shape == (30, 1, 64)


@pytest.mark.parametrize("fault", ["nan", "cut", "dim", "empty", "pickle"])
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_one_bad_file_of_many(tmp_path: Path, fault: str, bad: int) -> None:
    arrays = write(tmp_path / "in", *[(t, 64) for t in (30, 31, 33)])
    path = tmp_path / "in" / f"Abuse{bad:03d}_x264_i3d.npy"
    if fault == "nan":
        arrays[bad][3] = np.nan
        np.save(path, arrays[bad])
    elif fault == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif fault == "dim":
        np.save(path, arrays[bad][:, :60])
    elif fault == "pickle":
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(b"")
    ran = amiss("features", "import", tmp_path / "in", "--out", tmp_path / "out")
    assert ran.code == 1
    lines = ran.err.splitlines()
    assert f"Abuse{bad:03d}_x264" in lines[-2]
    assert lines[-1] == f"2 videos imported to {tmp_path / 'out'}, 1 failed"
    good = [i for i in range(3) if i != bad]
    features = open_feature_set(tmp_path / "out")
    assert list(features.records) == [f"Abuse{i:03d}_x264" for i in good]
    np.save(path, np.ones((32, 64), np.float32))
    assert amiss("features", "import", tmp_path / "in", "--out", tmp_path / "out").code == 0
    assert len(open_feature_set(tmp_path / "out").records) == 3


@pytest.mark.parametrize("layout", ["ekosman", "csv"])
def test_one_bad_text_file_of_many(tmp_path: Path, layout: str) -> None:
    (tmp_path / "in").mkdir()
    for i in range(3):
        rows = np.random.default_rng(i).random((32, 40))
        if layout == "csv":
            rows = np.column_stack([np.arange(32), rows])
        np.savetxt(tmp_path / "in" / f"v{i}.{'csv' if layout == 'csv' else 'txt'}", rows,
                   delimiter="," if layout == "csv" else " ")  # fmt: skip
    first = next((tmp_path / "in").glob("v0.*"))
    first.write_text(first.read_text()[:300])
    with pytest.raises(FeatureError, match=r"1 of 3 videos can't be imported: .*v0\."):
        import_features(tmp_path / "in", tmp_path / "out")
    assert list(open_feature_set(tmp_path / "out").records) == ["v1", "v2"]


def test_a_first_import_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (array,) = write(tmp_path / "in", (30, 64))
    np.save(tmp_path / "in" / "Abuse000_x264_i3d.npy", array * np.nan)
    with pytest.raises(FeatureError, match="not finite"):
        import_features(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write(tmp_path / "in", (30, 96))  # another length than the first attempt had
    assert import_features(tmp_path / "in", tmp_path / "out") == 1


@pytest.mark.parametrize("layout", ["rtfm", "wu"])
@pytest.mark.parametrize("folders", [("normal", "anomalous"), ("train/normal", "test/anomalous"), ("fight", "other")])
def test_ids_of_class_folders_are_those_of_videos(tmp_path: Path, layout: str, folders: tuple[str, str]) -> None:
    shape = (40, 5, 64) if layout == "rtfm" else (40, 64)
    for folder in folders:
        write(tmp_path / "in" / folder, shape, names="00{}.npy")
    assert import_features(tmp_path / "in", tmp_path / "out") == 2
    ids = {f"{folder.replace('/', '__')}__000" for folder in folders}
    features = open_feature_set(tmp_path / "out")
    assert features.records.keys() == ids
    with pytest.raises(FeatureError, match=r"no features of video '000'\. Did you mean '.*__000'\?"):
        features.load("000")


def test_published_folders_say_nothing_of_ids(tmp_path: Path) -> None:
    write(tmp_path / "in" / "UCF_Train_ten_crop_i3d", (40, 10, 64))
    write(tmp_path / "in" / "UCF_Test_ten_crop_i3d", (41, 10, 64), names="Normal_Videos_{:03d}_x264_i3d.npy")
    import_features(tmp_path / "in", tmp_path / "names")
    assert list(open_feature_set(tmp_path / "names").records) == ["Abuse000_x264", "Normal_Videos_000_x264"]
    import_features(tmp_path / "in", tmp_path / "paths", ids="paths")
    assert "UCF_Train_ten_crop_i3d__Abuse000_x264" in open_feature_set(tmp_path / "paths").records


def test_crops_in_files_named_as_rtfms(tmp_path: Path) -> None:
    arrays = write(tmp_path / "in", *[(40, 64)] * 5, names="Abuse001_x264__{}_i3d.npy")
    import_features(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(open_feature_set(tmp_path / "out").load("Abuse001_x264"), np.stack(arrays, axis=1))


@pytest.mark.parametrize("layout", ["rtfm", "wu", "ekosman", "csv"])
def test_hidden_files_are_left_out(tmp_path: Path, layout: str) -> None:
    """As archives from a Mac bring them."""
    shape = (40, 10, 64) if layout == "rtfm" else (40, 64)
    rows = np.random.default_rng(0).random((32, 64))
    (tmp_path / "in").mkdir()
    if layout in ("rtfm", "wu"):
        write(tmp_path / "in", shape, names="v{}.npy")
    elif layout == "csv":
        np.savetxt(tmp_path / "in/v0.csv", np.column_stack([np.arange(32), rows]), delimiter=",")
    else:
        np.savetxt(tmp_path / "in/v0.txt", rows)
    (file,) = (tmp_path / "in").iterdir()
    (tmp_path / "in" / f"._{file.name}").write_bytes(b"\x00\x05\x16\x07")
    assert import_features(tmp_path / "in", tmp_path / "out") == 1
    assert list(open_feature_set(tmp_path / "out").records) == ["v0"]


def test_what_made_streams_is_stated_and_their_stride_kept(tmp_path: Path) -> None:
    write(tmp_path / "in", (30, 1024), names="a{}_rgb.npy")
    np.save(tmp_path / "in" / "a0_timestamps_ms.npy", np.arange(30) * 2560.0)
    np.save(tmp_path / "in" / "a0_fps.npy", np.array(25.0))
    import_features(tmp_path / "in", tmp_path / "out", made_by=published_spec("s3d"))
    spec = open_feature_set(tmp_path / "out").spec
    assert (spec.backbone, spec.weights, spec.stride) == ("s3d", "KINETICS400_V1", 64)


def test_training_names_near_ids(tmp_path: Path) -> None:
    for label in ("normal", "anomalous"):
        write(tmp_path / "in" / label, (40, 64), (41, 64), names="00{}.npy")
    import_features(tmp_path / "in", tmp_path / "f")
    (tmp_path / "m.csv").write_text("video_id,split,label\n000,train,0\n001,train,1\n")
    ran = amiss("train", "topk", "--data", tmp_path / "m.csv", "--features", tmp_path / "f", "--out", tmp_path / "r")
    assert ran.code == 1
    assert "Did you mean 'anomalous__000' or 'normal__000'?" in ran.err


def write_streams(folder: Path, *, stride: int = 16, fps: float = 25.0) -> dict[str, np.ndarray]:
    rgb = write(folder, (30, 64), (30, 64), names="v_{}_rgb.npy")
    flow = [array + 1 for array in write(folder, (30, 64), (30, 64), names="v_{}_flow.npy")]
    for i in (0, 1):
        np.save(folder / f"v_{i}_flow.npy", flow[i])
        np.save(folder / f"v_{i}_fps.npy", np.array(fps))
        np.save(folder / f"v_{i}_timestamps_ms.npy", np.arange(30) * 1000 * stride / fps)
    return {f"v_{i}": np.stack([rgb[i], flow[i]]) for i in (0, 1)}


@pytest.mark.parametrize(
    ("streams", "of"), [(None, [0, 1]), ("rgb", [0]), ("flow", [1]), ("rgb,flow", [0, 1]), ("flow,rgb", [1, 0])]
)
def test_streams_of_an_extractor(tmp_path: Path, streams: str | None, of: list[int]) -> None:
    arrays = write_streams(tmp_path / "in", stride=24)
    extra = ["--streams", streams] if streams else []
    ran = amiss("features", "import", tmp_path / "in", "--out", tmp_path / "out", *extra)
    assert ran.code == 0, ran.err
    features = open_feature_set(tmp_path / "out")
    assert (features.spec.dim, features.spec.stride) == (64 * len(of), 24)
    assert features.records.keys() == arrays.keys()
    for video_id, both in arrays.items():
        assert features.records[video_id].fps == 25
        np.testing.assert_array_equal(features.load(video_id)[:, 0], np.concatenate(both[of], axis=1))


def test_rgb_of_i3d_is_known_and_stamps_tell_axes(tmp_path: Path) -> None:
    (array,) = write(tmp_path / "in", (1024, 30), names="a{}_rgb.npy")
    np.save(tmp_path / "in" / "a0_timestamps_ms.npy", np.arange(30) * 640.0)
    np.save(tmp_path / "in" / "a0_fps.npy", np.array(25.0))
    import_features(tmp_path / "in", tmp_path / "out")
    features = open_feature_set(tmp_path / "out")
    assert features.spec == published_spec("i3d").with_(tail="drop")
    np.testing.assert_array_equal(features.load("a0")[:, 0], array.T)


@pytest.mark.parametrize("late", [0.0, 640.0, 3_600_000.0], ids=["starts", "ends", "a clock of its own"])
def test_stamps_of_a_variable_rate_are_the_times_of_frames(tmp_path: Path, late: float) -> None:
    """25 frames a second for 10 rows, then 5; stamped at the start of a row's clip, or at its end."""
    write_streams(tmp_path / "in")
    starts = np.concatenate([np.arange(10) * 640.0, 6400 + np.arange(20) * 3200.0])
    ends = np.append(starts[1:], starts[-1] + 3200)
    np.save(tmp_path / "in" / "v_1_timestamps_ms.npy", ends if late == 640 else starts + late)
    np.save(tmp_path / "in" / "v_1_fps.npy", np.array(5.0))
    import_features(tmp_path / "in", tmp_path / "out")
    features = open_feature_set(tmp_path / "out")
    assert features.times("v_0") is None
    assert features.records["v_0"].fps == 25
    times = features.times("v_1")
    assert times is not None
    np.testing.assert_allclose(times.starts(16 * np.arange(30)), starts / 1000)
    assert times.end_s == pytest.approx(6.4 + 20 * 3.2)


def test_faults_of_streams_are_named(tmp_path: Path) -> None:
    write_streams(tmp_path / "in")
    (tmp_path / "in" / "v_1_flow.npy").unlink()
    with pytest.raises(FeatureError, match=r"1 of 2 videos can't be imported: .*v_1 has no stream flow"):
        import_features(tmp_path / "in", tmp_path / "a")
    np.save(tmp_path / "in" / "v_1_flow.npy", np.ones((29, 64), np.float32))
    with pytest.raises(FeatureError, match=r"streams of v_1 differ in length: v_1_rgb\.npy 30, v_1_flow\.npy 29"):
        import_features(tmp_path / "in", tmp_path / "b")
    np.save(tmp_path / "in" / "v_1_timestamps_ms.npy", np.arange(30) * 320.0)
    with pytest.raises(FeatureError, match=r"v_1 has a row every 8 frames, the others every 16"):
        import_features(tmp_path / "in", tmp_path / "c", streams=("rgb",))
    np.save(tmp_path / "in" / "v_0_clip.npy", np.ones((30, 64), np.float32))
    with pytest.raises(UsageError, match=r"has streams \['rgb', 'flow', 'clip'\]: say which are wanted"):
        import_features(tmp_path / "in", tmp_path / "d")
    with pytest.raises(UsageError, match="no stream 'audio'"):
        import_features(tmp_path / "in", tmp_path / "d", streams=("audio",))

"""Feature sets on disk: round trip, resume after a kill, damage."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec, check_same_features, clip_spans
from amiss.errors import FeatureError, OutputError, SpecMismatchError, UsageError
from amiss.features import FeatureSetWriter, open_feature_set
from amiss.jobs import check_feature_set
from amiss.video import FrameTimes

SPEC = FeatureSpec(backbone="motion", weights="none", dim=4, mean=(0.5,), value_range=(0.0, 255.0))


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 1, 4)).astype(np.float32)


def test_round_trip(tmp_path: Path) -> None:
    writer = FeatureSetWriter(tmp_path / "f", SPEC)
    writer.add("a", rows(3), n_frames=48, fps=25.0)
    writer.add("b", rows(1, 1), n_frames=None, fps=None)
    opened = open_feature_set(tmp_path / "f")
    assert opened.spec == SPEC
    assert list(opened.records) == ["a", "b"]
    np.testing.assert_array_equal(opened.load("a"), rows(3))
    assert isinstance(opened.load("a"), np.memmap)
    assert opened.records["a"].n_frames == 48
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == ["a.npy", "b.npy", "index.jsonl", "spec.json"]


UNEVEN = FrameTimes.of_frames([*np.arange(20) / 25, *(1 + np.arange(28) / 5)], 6.6, 25)


def test_times_lie_beside_the_rows_where_the_rate_is_not_even(tmp_path: Path) -> None:
    with FeatureSetWriter(tmp_path / "f", SPEC) as writer:
        writer.add("uneven", rows(3), None, None, times=UNEVEN)
        writer.add("even", rows(3), 1, 1.0, times=FrameTimes(48, 25.0))
        writer.add("unknown", rows(3), None, None)
        writer.add("no rate", rows(3), 48, None)
    assert [path.name for path in (tmp_path / "f" / "times").iterdir()] == ["uneven.npy"]
    opened = open_feature_set(tmp_path / "f")
    found = opened.times("uneven")
    assert found is not None
    assert (found.n_frames, found.fps, found.end_s) == (48, UNEVEN.fps, UNEVEN.end_s)
    assert found.starts(range(48)).tolist() == UNEVEN.starts(range(48)).tolist()
    assert (opened.records["even"].n_frames, opened.records["even"].fps) == (48, 25.0)
    assert opened.times("even").end_s == 48 / 25
    assert opened.times("unknown") is None
    assert opened.times("no rate").fps is None
    assert check_feature_set(tmp_path / "f").problems == ()


def test_damaged_times_are_named(tmp_path: Path) -> None:
    with FeatureSetWriter(tmp_path / "f", SPEC) as writer:
        writer.add("a", rows(3), None, None, times=UNEVEN)
    file = tmp_path / "f" / "times" / "a.npy"
    np.save(file, np.asarray(UNEVEN.knots) * [1, 1.001])
    assert "checksum of its times" in check_feature_set(tmp_path / "f").problems[0]
    np.save(file, np.zeros((3, 2)))
    with pytest.raises(FeatureError, match=r"a\.npy can't be read: the times of frames.*extract a again"):
        open_feature_set(tmp_path / "f").times("a")
    file.unlink()
    assert "does not exist" in check_feature_set(tmp_path / "f").problems[0]


def test_sets_of_before_have_an_even_rate(tmp_path: Path) -> None:
    with FeatureSetWriter(tmp_path / "f", SPEC) as writer:
        writer.add("a", rows(3), 48, 25.0)
    index = tmp_path / "f" / "index.jsonl"
    line = json.loads(index.read_text())
    del line["times_sha256"]
    index.write_text(json.dumps(line) + "\n")
    times = open_feature_set(tmp_path / "f").times("a")
    assert (times.n_frames, times.fps, times.knots) == (48, 25.0, None)


def test_float16(tmp_path: Path) -> None:
    writer = FeatureSetWriter(tmp_path, SPEC.with_(dtype="float16"))
    writer.add("a", rows(3), 48, 25.0)
    assert open_feature_set(tmp_path).load("a").dtype == np.float16


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    writer = FeatureSetWriter(tmp_path, SPEC)
    writer.add("a", rows(3), 48, 25.0)
    whole = (tmp_path / "index.jsonl").read_bytes()
    (tmp_path / ".partial-7-b.npy").write_bytes(b"\x93NUMPY half")  # killed while writing b
    (tmp_path / "index.jsonl").write_bytes(whole + b'{"video_id": "b", "n_cl')  # or while writing its line
    assert list(open_feature_set(tmp_path).records) == ["a"]
    again = FeatureSetWriter(tmp_path, SPEC)
    assert again.done == {"a"}
    again.add("b", rows(2, 1), 32, 25.0)
    assert list(open_feature_set(tmp_path).records) == ["a", "b"]
    assert not list(tmp_path.glob(".partial-*"))


def test_rows_are_there_through_links_unless_these_lead_nowhere(tmp_path: Path) -> None:
    with FeatureSetWriter(tmp_path / "set", SPEC) as writer:
        for name in ("street/a", "street/b"):
            writer.add(name, rows(2), 32, 25.0)
    (tmp_path / "set" / "street").rename(tmp_path / "elsewhere")
    (tmp_path / "set" / "street").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "b.npy").unlink()
    (tmp_path / "elsewhere" / "b.npy").symlink_to(tmp_path / "nowhere")
    assert open_feature_set(tmp_path / "set").ids_here() == {"street/a"}
    with FeatureSetWriter(tmp_path / "set", SPEC) as writer:
        assert writer.done == {"street/a"}


def test_a_folder_that_can_not_be_listed_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FeatureSetWriter(tmp_path, SPEC) as writer:
        for name in ("street/a", "b"):
            writer.add(name, rows(2), 32, 25.0)
    (tmp_path / "a loop").symlink_to(tmp_path / "a loop")
    (tmp_path / "lost+found").mkdir()
    listed, closed = os.scandir, ["lost+found"]

    def scandir(path: Path) -> object:  # root may list everything
        if Path(path).name in closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert open_feature_set(tmp_path).ids_here() == {"street/a", "b"}
    closed.append("street")
    with pytest.raises(FeatureError, match=r"street can't be listed"):
        FeatureSetWriter(tmp_path, SPEC)


def test_an_index_that_a_power_cut_spoilt_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    with FeatureSetWriter(tmp_path, SPEC) as writer:
        for name in "abcd":
            writer.add(name, rows(3), 48, 25.0, times=UNEVEN if name == "a" else None)
    lines = (tmp_path / "index.jsonl").read_bytes().splitlines(keepends=True)
    spoilt = lines[0] + lines[1].replace(b'"n_clips": 3', b'"n_clips": -3') + lines[2] + lines[3][:20] + bytes(99)
    (tmp_path / "index.jsonl").write_bytes(spoilt)
    lost = r"3 lines are damaged \(line 2: n_clips is -3; must be at least 1\). Lost are b, d: extract them again"
    with pytest.warns(UserWarning, match=lost):
        assert list(open_feature_set(tmp_path).records) == ["a", "c"]
    with pytest.warns(UserWarning, match=lost):
        writer = FeatureSetWriter(tmp_path, SPEC)
    assert writer.done == {"a", "c"}
    writer.add("b", rows(2, 1), 32, 25.0)
    assert list(open_feature_set(tmp_path).records) == ["a", "c", "b"]
    writer.close()
    (tmp_path / "index.jsonl").write_bytes(b"nothing\n" * 3)
    with pytest.raises(FeatureError, match=r"3 lines are damaged .* none is whole: extract or import again"):
        open_feature_set(tmp_path)


HOLD = """
import json, sys
from amiss.backbones import FeatureSpec
from amiss.features import FeatureSetWriter
writer = FeatureSetWriter(sys.argv[1], FeatureSpec.from_dict(json.loads(sys.argv[2])))
print("holding", flush=True)
input()
"""


@contextmanager
def other_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes into a feature set; killed in the end."""
    command = [sys.executable, "-c", HOLD, str(folder), json.dumps(SPEC.to_dict())]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.faults
@pytest.mark.skipif(sys.platform == "win32", reason="no locks on Windows")
def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    with other_process(folder):
        under_way = folder / ".partial-7-b.npy"
        under_way.write_bytes(b"the other one's")
        with pytest.raises(UsageError, match=r"another extraction is writing into .*/f: wait for it, or"):
            FeatureSetWriter(folder, SPEC)
        assert under_way.exists()
    with FeatureSetWriter(folder, SPEC) as writer:  # it was killed: no lock is left
        writer.add("a", rows(3), 48, 25.0)
    with other_process(folder):  # nor by a writer that was closed
        pass
    writer = FeatureSetWriter(folder, SPEC)
    del writer  # or forgotten
    with other_process(folder):
        pass


def test_a_process_may_open_a_set_twice(tmp_path: Path) -> None:
    first, second = (FeatureSetWriter(tmp_path, SPEC) for _ in range(2))
    first.add("a", rows(3), 48, 25.0)
    first.close()
    first.close()
    second.add("b", rows(3), 48, 25.0)
    with pytest.raises(UsageError, match="the writer is closed; c can't be added"):
        first.add("c", rows(3), 48, 25.0)


def test_the_index_does_not_depend_on_who_was_first(tmp_path: Path) -> None:
    for folder, order in (("one", "cab"), ("two", "bca")):
        with FeatureSetWriter(tmp_path / folder, SPEC) as writer:
            for video_id in order:
                writer.add(video_id, rows(3, ord(video_id)), 48, 25.0)
            assert list(open_feature_set(tmp_path / folder).records) == list(order)  # already there after a kill
        assert list(open_feature_set(tmp_path / folder).records) == ["a", "b", "c"]
    assert (tmp_path / "one" / "index.jsonl").read_bytes() == (tmp_path / "two" / "index.jsonl").read_bytes()


def test_other_spec_and_foreign_folder_are_refused(tmp_path: Path) -> None:
    FeatureSetWriter(tmp_path / "f", SPEC)
    with pytest.raises(FeatureError, match="stride is 16, not 8"):
        FeatureSetWriter(tmp_path / "f", SPEC.with_(stride=8))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(FeatureError, match=r"not empty and no feature set \(it has thesis.tex\)"):
        FeatureSetWriter(tmp_path / "home", SPEC)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="can't write feature set"):
        FeatureSetWriter(tmp_path / "file", SPEC)


def test_bad_values_are_refused(tmp_path: Path) -> None:
    writer = FeatureSetWriter(tmp_path, SPEC)
    with pytest.raises(FeatureError, match=r"expected \(T, 1, 4\)"):
        writer.add("a", rows(3)[..., :2], 48, 25.0)
    with pytest.raises(FeatureError, match="not finite"):
        writer.add("a", rows(3) * np.nan, 48, 25.0)
    assert not list(tmp_path.glob("*.npy"))


def test_damage_is_named(tmp_path: Path) -> None:
    writer = FeatureSetWriter(tmp_path, SPEC)
    for video_id in ("a", "b"):
        writer.add(video_id, rows(3), 48, 25.0)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:100])
    np.save(tmp_path / "b.npy", rows(2))
    opened = open_feature_set(tmp_path)
    with pytest.raises(FeatureError, match=r"a\.npy can't be read"):
        opened.load("a")
    with pytest.raises(FeatureError, match=r"\(2, 1, 4\); spec and index say float32 \(3, 1, 4\)"):
        opened.load("b")
    with pytest.raises(FeatureError, match="no features of video 'c'"):
        opened.load("c")
    with pytest.raises(FeatureError, match=r"feature set .*none does not exist"):
        open_feature_set(tmp_path / "none")
    (tmp_path / "none").mkdir()
    with pytest.raises(FeatureError, match=r"not a feature set: spec.json is missing in it; `amiss features import`"):
        open_feature_set(tmp_path / "none")
    with pytest.raises(
        FeatureError, match=r"spec\.json is a file, not a feature set; `amiss features import` makes one"
    ):
        open_feature_set(tmp_path / "spec.json")


def test_spec_round_trip_and_edits_by_hand() -> None:
    fused = FeatureSpec(backbone="a+b", weights="none+random", dim=8, parts=(SPEC, SPEC.with_(backbone="b")))
    values = json.loads(json.dumps(fused.to_dict()))
    assert FeatureSpec.from_dict(values) == fused
    values["dim"] = 9
    with pytest.raises(FeatureError, match="doesn't fit the fields"):
        FeatureSpec.from_dict(values)
    with pytest.raises(FeatureError, match=r"unknown fields \['colours'\]"):
        FeatureSpec.from_dict({"colours": 3})
    with pytest.raises(FeatureError, match="missing"):
        FeatureSpec.from_dict({"backbone": "c3d"})


def test_heads_refuse_other_features() -> None:
    check_same_features(SPEC, SPEC, "x")
    with pytest.raises(SpecMismatchError, match=r"mean is \(0.5,\), not None"):
        check_same_features(SPEC, SPEC.with_(mean=None), "x")
    with pytest.raises(SpecMismatchError, match="backbone is 'motion', not 'c3d'"):
        check_same_features(SPEC, SPEC.with_(backbone="c3d"), "x")
    with pytest.warns(UserWarning, match="stride is 8, in training 16"):
        check_same_features(SPEC.with_(stride=8), SPEC, "x")
    fused = FeatureSpec(backbone="a+b", weights="w", dim=8, parts=(SPEC, SPEC))
    with pytest.raises(SpecMismatchError, match="crop is 'centre 112', not 'none'"):
        check_same_features(fused.with_(parts=(SPEC, SPEC.with_(crop="centre 112"))), fused, "x")


@given(n_frames=st.integers(1, 500), stride=st.sampled_from([4, 8, 16]))
def test_clip_spans_cover_every_frame(n_frames: int, stride: int) -> None:
    spec = SPEC.with_(stride=stride)
    n_rows = max(1, -(-(n_frames - 16) // stride) + 1)
    spans = clip_spans(spec, n_rows, FrameTimes(n_frames, None))
    assert set().union(*(range(s, e) for s, e in spans)) == set(range(n_frames))
    assert all(0 <= s < e <= n_frames for s, e in spans)


@given(n_frames=st.integers(1, 500), segments=st.integers(1, 40))
def test_segment_spans_partition_the_video(n_frames: int, segments: int) -> None:
    spans = clip_spans(SPEC.with_(segments=segments), segments, FrameTimes(n_frames, None))
    assert [f for s, e in spans for f in range(s, e)] == list(range(n_frames))


def test_spans_of_resampled_features() -> None:
    spec = SPEC.with_(frame_rate=15.0)
    assert clip_spans(spec, 3, FrameTimes(90, 30.0)) == [(0, 32), (32, 64), (64, 90)]
    with pytest.raises(FeatureError, match="need the video's own frame rate"):
        clip_spans(spec, 3, FrameTimes(90, None))


def test_what_went_wrong_first_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk fails the index too, and Ctrl-C stays Ctrl-C."""

    def full(*_: object) -> None:
        raise OutputError("no space left")

    with pytest.raises(KeyboardInterrupt), FeatureSetWriter(tmp_path, SPEC) as writer:
        monkeypatch.setattr(writer, "close", full)
        raise KeyboardInterrupt
    with pytest.raises(OutputError, match="no space"), FeatureSetWriter(tmp_path, SPEC) as writer:
        monkeypatch.setattr(writer, "close", full)

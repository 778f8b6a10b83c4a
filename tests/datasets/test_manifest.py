"""The manifest: what is read, what is refused and where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.datasets import (
    Manifest,
    Video,
    format_events,
    parse_events,
    read_manifest,
    unique_ids,
    video_id_of,
    write_manifest,
)
from amiss.errors import ManifestError, UsageError

HEADER = "video_id,split,label,path,class,n_frames,fps,events,group\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text(text)
    return path


def test_round_trip(tmp_path: Path) -> None:
    videos = (
        Video(video_id="a", split="train", label=0, path=tmp_path / "normal" / "a.mp4", fps=29.97, n_frames=10),
        Video(
            video_id="b c", split="test", label=1, class_name="Arson", n_frames=90, events=((3, 9), (20, 40)), group="g"
        ),
        Video(video_id="ü", split="val", label=1, path=Path("/elsewhere/ü.mp4")),
    )
    write_manifest(Manifest(videos), tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv").videos == videos
    assert "normal/a.mp4" in (tmp_path / "manifest.csv").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: columns \['video_id', 'split', 'label'\] are missing"),
        ("video_id,split\na,train\n", r"line 1: columns \['label'\] are missing"),
        ("video_id,split,label,colour\na,train,0,red\n", r"line 1: unknown columns \['colour'\]; known are"),
        ("video_id,split,label,label\na,train,0,1\n", r"line 1: columns \['label'\] stand twice"),
        (HEADER, "has no videos"),
        ("video_id,split,label\na,train,0\n\nb,train,1\na,test,0\n", r"line 5: video_id 'a' stands already in line 2"),
        ("video_id,split,label\na,training,0\n", r"line 2: split is 'training'; allowed are"),
        ("video_id,split,label\na,train,normal\n", r"line 2: label is 'normal'; allowed are 0 \(normal\)"),
        ("video_id,split,label\na,train\n", r"line 2: 2 values for 3 columns"),
        ("video_id,split,label\n../a,train,0\n", r"line 2: video_id '../a' must be a plain name"),
        ("video_id,split,label,events\na,test,1,9-3\n", r"line 2: event '9-3' is empty or reversed"),
        ("video_id,split,label,events\na,test,1,3-9;8-12\n", r"line 2: events 3-9 and 8-12 overlap"),
        ("video_id,split,label,events\na,test,1,3:9\n", r"line 2: event '3:9' is not of the form start-end"),
        ("video_id,split,label,events\na,test,0,3-9\n", r"line 2: label is 0 \(normal\) but events are '3-9'"),
        ("video_id,split,label,n_frames\na,test,0,-3\n", r"line 2: n_frames is '-3'; it must be a number above 0"),
        ("video_id,split,label,fps\na,test,0,nan\n", r"line 2: fps is 'nan'; it must be a number above 0"),
    ],
)
def test_bad_manifests_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_manifest(write(tmp_path, text))


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="does not exist"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_bytes(b"\xfc\x00\x80")
    with pytest.raises(ManifestError, match="can't be read"):
        read_manifest(tmp_path / "x.csv")


def test_excel_byte_order_mark_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes("﻿video_id, split ,label\r\na, train ,0\r\n".encode())
    assert read_manifest(path).videos == (Video(video_id="a", split="train", label=0),)


def test_ids_of_bare_files(tmp_path: Path) -> None:
    assert video_id_of(tmp_path / "day 1" / "cam.2.mp4", tmp_path) == "day 1__cam.2"


def test_files_that_differ_only_in_their_suffix_keep_it(tmp_path: Path) -> None:
    a, b, c, other = tmp_path / "a.mkv", tmp_path / "a.mp4", tmp_path / "c.mp4", tmp_path / "x" / "a.mkv"
    assert unique_ids([("a", a), ("a", b), ("c", c), ("c", c)]) == {"a.mkv": a, "a.mp4": b, "c": c}
    with pytest.raises(UsageError, match=r"would both be 'a\.mkv'"):
        unique_ids([("a", a), ("a", other)])


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=20))
def test_events_round_trip(edges: list[int]) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    events = tuple(zip(edges[::2], edges[1::2], strict=True))
    assert parse_events(format_events(events)) == events
    assert parse_events(format_events(reversed(events))) == events

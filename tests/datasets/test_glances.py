"""Clicked frames of training videos, as published and as people write them."""

from pathlib import Path

import pytest

from amiss.datasets import Manifest, Video, build_dataset, read_glances
from amiss.errors import ManifestError

VIDEOS = Manifest(
    (
        Video(video_id="fall", split="train", label=1, n_frames=100),
        Video(video_id="fire", split="val", label=1),
        Video(video_id="quiet", split="train", label=0, n_frames=100),
        Video(video_id="later", split="test", label=1, n_frames=100),
    ),
    "manifest.csv",
)


def written(folder: Path, text: str) -> Path:
    path = folder / "glances.csv"
    path.write_text(text)
    return path


def test_clicks_are_sorted_and_each_counts_once(tmp_path: Path) -> None:
    path = written(tmp_path, "video_id,frame\nfall,70\nfall,0\nfall,70.0\nfire,500\n")
    assert read_glances(path, VIDEOS) == {"fall": (0, 70), "fire": (500,)}


def test_the_published_header_is_read_too(tmp_path: Path) -> None:
    assert read_glances(written(tmp_path, "video-id,glance\nfall,7\n"), VIDEOS) == {"fall": (7,)}


def test_clicks_in_test_videos_and_strangers_are_left_out_and_said_so(tmp_path: Path) -> None:
    path = written(tmp_path, "video_id,frame\nlater,5\nfall,7\nnobody,3\n")
    with pytest.warns(UserWarning, match="clicks in 2 videos that manifest.csv doesn't have for training are left out"):
        assert read_glances(path, VIDEOS) == {"fall": (7,)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video_id,frame\nfall,100\n", "line 2: frame is 100, but .fall. has 100 frames: clicks are native frames"),
        ("video_id,frame\nfall,7\nquiet,3\n", r"line 3: 'quiet' has a click, but is normal \(label 0\)"),
        ("video_id,frame\nfall,-1\n", "line 2: frame is '-1'; it must be a whole number, 0 or above"),
        ("video_id,frame\nfall,1.5\n", "line 2: frame is '1.5'; it must be a whole number"),
        ("video_id,frame\nlater,5\n", "no training video of manifest.csv has a click; it names later"),
        ("video_id,frame\n", "no training video of manifest.csv has a click$"),
        ("video_id,second\nfall,5\n", r"columns \['frame'\] are missing"),
    ],
)  # fmt: skip
def test_wrong_clicks_name_the_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        read_glances(written(tmp_path, text), VIDEOS)


def test_ucf_crimes_clicks(shared: Path, tmp_path: Path) -> None:
    built = build_dataset("ucf-crime", shared / "data" / "ucf_crime").manifest
    found = read_glances(shared / "data/ucf_crime/glances.csv", built)
    assert len(found) == 810
    assert sum(map(len, found.values())) <= 2026

"""Folders of numbered pictures as videos."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.errors import VideoError
from amiss.video import PictureFolder, VideoReader, annotate_video, check_video, cut_clip, list_videos, read_frames_at
from helpers.sources import Watched
from helpers.videos import count_frames, numbered, read_number


def write_pictures(folder: Path, n: int = 12, suffix: str = "png", name: str = "{}") -> Path:
    folder.mkdir(parents=True)
    for i in range(n):
        Image.fromarray(numbered(i)).save(folder / f"{name.format(i)}.{suffix}")
    return folder


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "JPEG", "TIFF"])
def test_pictures_are_frames_in_the_order_of_their_numbers(tmp_path: Path, suffix: str) -> None:
    folder = write_pictures(tmp_path / "v", 12, suffix, "f{}_x")  # 9 comes before 10
    with VideoReader(PictureFolder(folder, 10)) as reader:
        frames = list(reader)
        assert (reader.fps, reader.n_frames, reader.stated_frames, reader.problem) == (10, 12, 12, None)
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == [i / 10 for i in range(12)]
    with VideoReader(PictureFolder(folder, 10), frame_rate=5) as reader:
        assert [read_number(frame.image) for frame in reader] == [0, 2, 4, 6, 8, 10]


def test_pictures_stand_where_a_video_may_stand(tmp_path: Path) -> None:
    folder = PictureFolder(write_pictures(tmp_path / "a.b"), 10)
    assert check_video(folder).n_frames == 12
    assert [read_number(image) for image in read_frames_at(folder, [7, 0])] == [7, 0]
    cut_clip(folder, tmp_path / "cut.mp4", 2, 7)
    assert count_frames(tmp_path / "cut.mp4") == 5
    annotate_video(folder, tmp_path / "marked.mp4", [(0, 12)], [0.5], [(3, 6)], 0.4)
    assert (check_video(tmp_path / "marked.mp4").n_frames, check_video(tmp_path / "marked.mp4").fps) == (12, 10)
    watched = Watched(f"replay:{folder}?speed=0&fps=10")
    frames = watched.frames(100)
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    assert (frames[-1].time - frames[0].time).total_seconds() == pytest.approx(1.1)


def test_a_picture_that_can_not_be_read_is_replaced_and_said(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 6)
    for i in (0, 3):
        (folder / f"{i}.png").write_bytes(b"no picture")
    with VideoReader(folder) as reader:
        assert [read_number(frame.image) for frame in reader] == [1, 1, 2, 2, 4, 5]
        assert reader.problem is not None
        assert reader.problem.startswith("2 pictures can't be read and are replaced by neighbours: 0.png")
    for picture in folder.iterdir():
        picture.write_bytes(b"no picture")
    with pytest.raises(VideoError, match="none of its 6 pictures can be read"):
        VideoReader(folder)


def test_pictures_with_16_bits_and_palettes_are_shown_in_8(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    ramp = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "v" / "1.png")
    Image.fromarray((ramp >> 8).astype(np.uint8)).convert("P").save(tmp_path / "v" / "2.png")
    first, second = read_frames_at(tmp_path / "v", [0, 1])
    assert np.abs(first.astype(int) - second).max() <= 1


def test_a_folder_without_numbered_pictures_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="is a directory, not a video"):
        VideoReader(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    with pytest.raises(VideoError, match="is a directory, not a video"):
        VideoReader(tmp_path)


def test_too_large_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_MAX_PIXELS", "1000")
    with pytest.raises(VideoError, match="AMISS_MAX_PIXELS"):
        VideoReader(write_pictures(tmp_path / "v", 2))


def test_a_listing_takes_folders_of_pictures_and_not_masks_thumbnails_and_figures(tmp_path: Path) -> None:
    for name in ("Test001", "Test001_gt", "scene_1_annotations", "album", "results"):
        write_pictures(tmp_path / name, 3 if name != "album" else 1)
    write_pictures(tmp_path / "thumbs", 3)
    (tmp_path / "thumbs" / "0.mp4").touch()
    for i in range(3):
        for suffix in ("json", "csv"):
            (tmp_path / "results" / f"{i}.{suffix}").touch()
    listing = list_videos(tmp_path)
    assert [path.name for path in listing.videos] == ["Test001", "0.mp4"]
    assert isinstance(listing.videos[0], PictureFolder)
    assert sorted(path.name for path in listing.masks) == ["Test001_gt", "scene_1_annotations"]
    assert [note.partition(": ")[2] for note in listing.notes()] == [
        "left out 2, pictures of ground truth: Test001_gt, scene_1_annotations",
        "left out as no videos: 3 .csv, 3 .json, 7 .png",
    ]

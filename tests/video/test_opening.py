"""Which files are taken as videos, and what they may ask of the machine."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.errors import UsageError, VideoError
from amiss.video import VideoReader, check_video, list_videos, video_bounds
from helpers.videos import count_frames, write_video


def names(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


LISTS = {
    "itself": "ffconcat version 1.0\nfile list.mp4\n",
    "neighbour": "ffconcat version 1.0\nfile neighbour.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nneighbour.mp4\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_a_list_of_other_files_is_not_opened(tmp_path: Path, text: str) -> None:
    write_video(tmp_path / "neighbour.mp4", 5)
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(VideoError, match="not a video"):
        VideoReader(tmp_path / "list.mp4")


def test_one_picture_is_no_video_whatever_its_name(tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "bmp", "tif"):
        Image.new("RGB", (64, 48)).save(tmp_path / f"one.{suffix}")
        with pytest.raises(VideoError, match="is one picture"):
            check_video(tmp_path / f"one.{suffix}")
        (tmp_path / f"one.{suffix}").rename(tmp_path / f"{suffix}.mp4")
        with pytest.raises(VideoError, match="is one picture"):
            check_video(tmp_path / f"{suffix}.mp4")


def test_pictures_that_are_too_large_are_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    black = [np.zeros((96, 128, 3), np.uint8)] * 3
    for path, codec in ((tmp_path / "a.mkv", "mjpeg"), (tmp_path / "b.mp4", "libx264"), (tmp_path / "c.gif", "gif")):
        formats = {"mjpeg": "yuvj420p", "gif": "rgb8"}
        write_video(path, black, codec=codec, pix_fmt=formats.get(codec, "yuv420p"))
        monkeypatch.delenv("AMISS_MAX_PIXELS", raising=False)
        assert count_frames(path) == 3
        monkeypatch.setenv("AMISS_MAX_PIXELS", "10000")
        with pytest.raises(VideoError, match="AMISS_MAX_PIXELS") as error:
            check_video(path)
        assert "\n" not in str(error.value)


def test_large_pictures_are_shrunk_for_clips_and_keep_their_shape(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 2)  # 64x48
    with VideoReader(path, at_most=64 * 48) as reader:
        assert (reader.width, reader.height) == (64, 48)
    with VideoReader(path, at_most=32 * 24) as reader:
        assert (reader.width, reader.height) == (32, 24)
        assert next(iter(reader)).image.shape == (24, 32, 3)


def test_bounds_come_from_the_environment_and_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_MAX_PIXELS", "1000")
    assert video_bounds().max_pixels == 1000
    monkeypatch.setenv("AMISS_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match=r"max_pixels is 'many'; must be a whole number"):
        video_bounds()


def test_a_folder_is_listed_with_all_that_is_left_out_and_why(tmp_path: Path) -> None:
    for name in ("a.MP4", "b.dav", "c.h265", "d.m2ts", "deep/er/e.vob", "a.annotated.mp4", "a.event01.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("notes.txt", "deep/list.csv", "x.odd", ".hidden.mp4", ".partial-1-y.mp4"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "broken.mp4").symlink_to("nowhere.mp4")
    listing = list_videos(tmp_path)
    assert names(listing.videos, tmp_path) == ["a.MP4", "b.dav", "c.h265", "d.m2ts", "deep/er/e.vob"]
    assert [note.removeprefix(f"{tmp_path}: ") for note in listing.notes()] == [
        "left out 1, broken links: broken.mp4",
        "left out 1, neither files nor folders: pipe.mp4",
        "left out 2, written by amiss (to take them, rename them): a.annotated.mp4, a.event01.mp4",
        "left out 1, of an unknown suffix (to take them, name them themselves): x.odd",
        "left out as no videos: 1 .csv, 1 .txt, 1 hidden",
    ]


def test_links_are_followed_loops_end_and_each_real_file_is_taken_once(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for path in (root / "m" / "a.mp4", outside / "b.mp4", outside / "deep" / "c.mp4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "linked").symlink_to("../outside")
    (root / "twice").symlink_to("../outside/deep")
    (root / "m" / "loop").symlink_to("..")
    (root / "m" / "up").symlink_to("../..")
    (root / "a_link.mp4").symlink_to("m/a.mp4")  # its name comes first, the file is taken by its own
    (root / "file.mp4").symlink_to("../outside/b.mp4")
    (outside / "circle.mp4").symlink_to("circle.mp4")
    listing = list_videos(root)
    assert names(listing.videos, root) == ["linked/b.mp4", "linked/deep/c.mp4", "m/a.mp4"]
    assert sorted(names(listing.again, root)) == ["a_link.mp4", "file.mp4", "m/loop", "twice"]
    assert names(listing.broken, root) == ["linked/circle.mp4"]
    assert names(listing.above, root) == ["m/up"]


def test_a_folder_that_can_not_be_read_is_an_error_and_one_below_it_a_note(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "none"))):
        list_videos(tmp_path / "none")

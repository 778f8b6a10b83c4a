"""Recorded videos: what there is, what is taken as an upload, scoring in a process of its own, exports."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from amiss.app.jobs import Jobs
from amiss.app.videos import Library, Upload
from amiss.detection import read_score_result
from amiss.errors import OutputError, UsageError, VideoError
from amiss.video import check_video, read_header
from helpers.videos import write_video
from helpers.waiting import wait_until


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    jobs = Jobs()
    yield Library(tmp_path / "videos", tmp_path / "videos/.amiss", jobs)
    jobs.close()


def test_videos_have_ids_that_stay(library: Library) -> None:
    assert library.videos() == []
    (library.root / "night").mkdir(parents=True)
    write_video(library.root / "night/a.mp4", 8)
    (library.root / "notes.txt").write_text("no video")
    (library.root / ".amiss").mkdir()
    write_video(library.root / ".amiss/b.preview.mp4", 8)
    library.look_again()
    (video,) = library.videos()
    assert (video.name, video.state, video.is_upload, video.summary) == ("night/a.mp4", "unscored", False, None)
    assert library.get(video.video_id) == video
    assert library.get("0" * 32) is None
    with pytest.raises(UsageError, match="wasn't uploaded here"):
        library.remove(video)


def test_an_upload_is_a_video_when_it_was_looked_at(library: Library, tmp_path: Path) -> None:
    data = write_video(tmp_path / "own.mp4", 8).read_bytes()
    for name in ("night.mp4", "night.mp4"):
        with Upload(library.uploads, name, len(data), 10**6) as taken:
            taken.write(data[:100])
            assert library.videos() == [] or len(library.videos()) == 1
            taken.write(data[100:])
            taken.finish()
        library.look_again()
    assert [video.name for video in library.videos()] == ["uploads/night (2).mp4", "uploads/night.mp4"]
    assert all(video.is_upload for video in library.videos())
    library.remove(library.videos()[0])
    assert sorted(path.name for path in library.uploads.iterdir()) == ["night.mp4"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/cron.mp4", "cron.mp4"),
        ("C:\\videos\\a.mp4", "a.mp4"),
        ('<img src=x onerror="1">.mp4', "_img src=x onerror=_1__.mp4"),
        ("con.mp4", "_con.mp4"),
        ("....mp4", "video.mp4"),
        (f"{'é' * 300}.MP4", f"{'é' * 117}.mp4"),
        ("line\nbreak\0.mkv", "line_break_.mkv"),
    ],
)
def test_names_of_uploads_are_plain_and_stay_in_their_folder(tmp_path: Path, name: str, kept: str) -> None:
    with Upload(tmp_path / "uploads", name, None, 10**6) as taken:
        assert taken.name == kept
    assert list((tmp_path / "uploads").iterdir()) == []


def test_what_is_no_video_too_large_or_empty_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "uploads"
    for name in ("page.html", "clip.mp4.exe", "mp4"):
        with pytest.raises(UsageError, match="isn't the name of a video"):
            Upload(folder, name, None, 10**6)
    with pytest.raises(UsageError, match="larger than 1 MB"):
        Upload(folder, "a.mp4", 10**7, 10**6)
    with pytest.raises(UsageError, match="larger than 1 MB"), Upload(folder, "a.mp4", None, 10**6) as taken:
        for _ in range(3):
            taken.write(b"x" * 500_000)
    with pytest.raises(VideoError, match="is empty"), Upload(folder, "a.mp4", None, 10**6) as taken:
        taken.finish()
    with pytest.raises(VideoError) as error, Upload(folder, "a.mp4", None, 10**6) as taken:
        taken.write(b"<html>" * 1000)
        taken.finish()
    assert str(folder) not in str(error.value)
    with pytest.raises(OutputError, match="the disk has room for"):
        Upload(folder, "a.mp4", 10**17, 10**18)
    with Upload(folder, "a.mp4", None, 10**6) as taken:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9 + 100))
        taken.write(b"x" * 100)
        with pytest.raises(OutputError, match="the disk has room for 0 MB more"):  # others have filled it meanwhile
            taken.write(b"x" * 101)
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_video_is_scored_apart_and_exported(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.root.mkdir()
    write_video(library.root / "a.avi", 60, fps=15, codec="mpeg4")
    (library.root / "broken.mp4").write_bytes(b"no video")
    videos = library.videos()
    job = library.score(videos, "ada")
    assert {video.state for video in library.videos()} <= {"waiting", "scoring"}
    wait_until(lambda: library.jobs.get(job.job_id).ended is not None, 120)
    video, broken = library.videos()
    assert library.jobs.get(job.job_id).result == {"scored": 1, "failed": 1}
    assert (video.state, broken.state) == ("scored", "failed")
    assert "broken.mp4" in broken.problem
    assert video.summary.duration_s == pytest.approx(4)
    assert library.played(video).name.endswith(".preview.mp4")
    assert read_header(library.played(video)).plays_in_browsers
    result = library.result(video)
    assert (result.video, result.detector) == ("a.avi", video.summary.detector)
    low = library.result(video, 0.0)
    assert [(event.start, event.end) for event in low.events] == [(0, 60)]
    with library.export(video, "json", 0.0) as path:
        assert read_score_result(json.loads(path.read_text()), "a").events == low.events
    with library.export(video, "clips", 0.0) as path, zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a.event01.mp4"]
        archive.extractall(library.root / ".amiss/cut")
    assert check_video(library.root / ".amiss/cut/a.event01.mp4").n_frames == 60
    with library.export(video, "video", None) as path:
        assert check_video(path).n_frames == 60
    with pytest.raises(UsageError, match="no event at 1"), library.export(video, "clips", 1.0):
        pass
    with monkeypatch.context() as changed:
        changed.setattr("amiss.app.videos._library._EXPORT_S", 0.01)
        with pytest.raises(UsageError, match="could not be exported within"), library.export(video, "video", None):
            pass
        changed.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**6))
        with pytest.raises(OutputError, match="too few to export"), library.export(video, "video", None):
            pass
    assert not list((library.root / ".amiss").glob("export-*"))

    def look() -> dict[str, str]:
        library.look_again()
        return {video.name: video.state for video in library.videos()}

    moved = video.path.rename(library.root / "renamed.avi")
    assert look() == {"broken.mp4": "failed", "renamed.avi": "scored"}
    write_video(video.path, 30, fps=15, codec="mpeg4")
    assert look() == {"a.avi": "unscored", "broken.mp4": "failed", "renamed.avi": "scored"}
    video.path.replace(moved)
    assert look() == {"broken.mp4": "failed", "renamed.avi": "unscored"}

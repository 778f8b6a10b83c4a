"""The detector that comes with amiss: it is there, it scores, and the docs say what it finds."""

import json
from pathlib import Path

from amiss.detection import Detector, shipped_detector
from helpers.command import amiss
from helpers.motion import moving
from helpers.videos import write_video

ROOT = Path(__file__).parents[2]


def test_a_video_is_scored_without_a_detector_of_ones_own(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving(3, seed=0))
    ran = amiss("detect", video, "--out", tmp_path / "results")
    assert ran.code == 0, ran.err
    assert "the detector that comes with amiss" in ran.err
    assert "peak 0." in ran.out
    assert json.loads((tmp_path / "results/a.json").read_text())["detector"]


def test_a_file_is_watched_without_a_detector_of_ones_own(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving(3, seed=0))
    ran = amiss("watch", "--video", video, "--out", tmp_path / "watch")
    assert ran.code == 0, ran.err
    assert "the detector that comes with amiss" in ran.err


def test_it_is_small_and_needs_no_weights_and_names_no_files_of_its_makers() -> None:
    folder = shipped_detector()
    detector = Detector.load(folder)
    assert detector.spec.backbone == "motion"
    assert 0.05 < detector.calibration.threshold < 0.95
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_000_000
    assert "/" not in json.dumps(json.loads((folder / "detector.json").read_text())["provenance"]["versions"])
    assert str(Path.home()) not in (folder / "detector.json").read_text()


def test_the_page_quotes_what_was_measured() -> None:
    figures = json.loads((shipped_detector() / "figures.json").read_text())
    lines = (ROOT / "docs/explanations/shipped-detector.md").read_text(encoding="utf-8").splitlines()
    for name, row in figures.items():
        cells = [
            name,
            str(row["videos"]),
            f"{row['video_auc']:.3f}",
            f"{row['found']:.2f}",
            f"{row['false_alarms']:.2f}",
        ]
        assert "| " + " | ".join(cells) + " |" in lines

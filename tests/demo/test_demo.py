"""The demo, from nothing to its report."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from amiss.demo import run_demo, shuffled_demo_auc
from amiss.errors import OutputError


class Links(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    run_demo(folder, seed=0)
    return folder


@pytest.mark.slow
def test_demo_reaches_its_auc_and_writes_everything(demo: Path) -> None:
    metrics = json.loads((demo / "metrics.json").read_text())
    assert metrics["auc"] >= 0.90
    assert metrics["selection"] == "selected"
    for name in (
        "report.html",
        "unseen.annotated.mp4",
        "unseen.json",
        "unseen.csv",
        "unseen.png",
        "detector/detector.json",
    ):
        assert (demo / name).stat().st_size > 0
    assert json.loads((demo / "unseen.json").read_text())["events"], "the event of the unseen video is found"
    page = Links()
    page.feed((demo / "report.html").read_text())
    assert page.found
    assert all(link.startswith("data:") for link in page.found), "the report loads nothing from elsewhere"


@pytest.mark.slow
def test_same_seed_same_numbers(demo: Path, tmp_path: Path) -> None:
    run_demo(tmp_path / "again", seed=0)
    for name in ("metrics.json", "unseen.csv", "unseen.annotated.mp4"):
        assert (tmp_path / "again" / name).read_bytes() == (demo / name).read_bytes(), name


@pytest.mark.slow
def test_shuffled_labels_teach_nothing(demo: Path, tmp_path: Path) -> None:
    aucs = [shuffled_demo_auc(demo, shuffle, tmp_path / f"run{shuffle}") for shuffle in range(5)]
    assert abs(np.mean(aucs) - 0.5) <= 0.1, aucs


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="is not empty and no demo of before"):
        run_demo(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    other = tmp_path / "web"
    (other / "data").mkdir(parents=True)
    (other / "demo.json").write_text('{"title": "a demo of something else"}')
    with pytest.raises(OutputError, match="is not empty and no demo of before"):
        run_demo(other)
    assert (other / "data").is_dir()

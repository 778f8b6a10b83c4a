"""Commands write on a Ray cluster what they write in this process, though a store refuses or a disk is full."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amiss.backbones import create_backbone
from amiss.detection import Calibration, Detector, Normalisation
from amiss.errors import OutputError
from amiss.heads import create_head
from amiss.jobs import EngineChoice, detect_targets, extract_targets
from amiss.storage import Url, listed, publish
from helpers.bench import make_data, run_bench, without_times, write_suite
from helpers.ray_nodes import Nodes, ray_nodes
from helpers.s3 import S3Server
from helpers.videos import write_video

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def nodes(s3_server: S3Server) -> Iterator[Nodes]:
    """They know the store."""
    with ray_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        write_video(folder / f"v{number}.mp4", 40 + 7 * number)
    return folder


@pytest.fixture(scope="module")
def expected(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Their feature set, extracted in this process."""
    out = tmp_path_factory.mktemp("expected") / "features"
    extract_targets([videos], "motion", out)
    return files_of(out)


def files_of(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file() and path.name != ".lock"}


def test_a_store_that_refuses_for_a_while_holds_the_same_set(
    nodes: Nodes, videos: Path, expected: dict[str, bytes], bucket: str, s3_server: S3Server
) -> None:
    for path in videos.iterdir():
        publish(Url(bucket) / "videos" / path.name, path.read_bytes())
    before = s3_server.n_turned_away
    with s3_server.flapping():
        report = extract_targets([f"{bucket}/videos"], "motion", f"{bucket}/features", cluster="auto")
    assert (len(report.done), report.failed) == (6, {})
    assert s3_server.n_turned_away > before
    place = Url(bucket) / "features"
    assert {name: (place / name).open("rb").read() for name in listed(place)} == expected


@pytest.mark.faults
@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs root to mount a small tmpfs")
@pytest.mark.parametrize(
    "where", [{"cluster": "auto"}, pytest.param({"workers": 2}, marks=pytest.mark.slow)], ids=["ray", "processes"]
)
def test_a_full_disk_ends_the_command_and_it_goes_on_later(
    nodes: Nodes, videos: Path, expected: dict[str, bytes], tmp_path: Path, where: dict[str, Any]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"can't mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(OutputError, match="No space left on device"):
            extract_targets([videos], "motion", disk / "features", **where)
        whole = {name: data for name, data in files_of(disk / "features").items() if name.endswith(".npy")}
        assert 0 < len(whole) < 6
        assert whole.items() <= expected.items()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        report = extract_targets([videos], "motion", disk / "features", **where)
        assert report.skipped
        assert {f"{video_id}.npy" for video_id in report.skipped} <= whole.keys()
        assert files_of(disk / "features") == expected
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_networks_compute_the_same_with_as_many_threads(nodes: Nodes, videos: Path, tmp_path: Path) -> None:
    choice = EngineChoice(backbone="squeezenet1_1", weights="random", stride=32, threads=1)
    for name, cluster in ("here", None), ("there", "auto"):
        extract_targets([videos / "v0.mp4", videos / "v1.mp4"], choice, tmp_path / name, cluster=cluster)
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_scores_are_the_same(nodes: Nodes, videos: Path, tmp_path: Path) -> None:
    spec = create_backbone("motion").spec
    head = create_head("topk", spec.dim).eval()
    Detector(spec, head, Normalisation("none"), Calibration(0.5, "by hand", 1)).save(tmp_path / "detector")
    (tmp_path / "wrong.mp4").write_bytes(b"no video")
    for name, cluster in ("here", None), ("there", "auto"):
        report = detect_targets(
            [videos, tmp_path / "wrong.mp4"], tmp_path / "detector", out=tmp_path / name, cluster=cluster
        )
        assert (report.done, list(report.failed)) == ([f"v{number}" for number in range(6)], ["wrong"])
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_numbers_of_a_benchmark_are_the_same(nodes: Nodes, tmp_path: Path) -> None:
    make_data(tmp_path)
    suite = write_suite(tmp_path)
    here = run_bench(suite, tmp_path / "here", workers=1)
    assert without_times(run_bench(suite, tmp_path / "there", cluster="auto")) == without_times(here)

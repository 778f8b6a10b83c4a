"""The scripts in examples/ run as their first lines say, and its package adds a head, a backbone and a source."""

import json
import runpy
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.backbones import create_backbone, create_backbone_for, list_backbones
from amiss.errors import UsageError
from amiss.heads import list_heads
from amiss.video import check_video, open_source
from helpers import ROOT
from helpers.cameras import wall
from helpers.motion import write_scene

EXAMPLES = ROOT / "examples"
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a script with arguments and gives what it prints."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    monkeypatch.syspath_prepend(EXAMPLES)
    for name in ("made_data", "custom_head", "custom_backbone", "custom_source"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return run


@pytest.fixture
def installed(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """examples/pyproject.toml as `pip install -e examples` would leave it."""
    project = tomllib.loads((EXAMPLES / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = tmp_path / "site" / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(tmp_path / "site")


def test_python_api(run: Run, detector: Path, tmp_path: Path) -> None:
    video = write_scene(tmp_path / "new.mp4", [(1, 40), (9, 40), (1, 40)])
    printed = run("python_api.py", detector, video, "--out", tmp_path / "curve.png")
    events = json.loads((tmp_path / "curve.json").read_text())["events"]
    assert printed.startswith("120 frames, 8 clips, largest score ")
    assert events
    assert printed.count(", score ") == len(events)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_other_projects_features(run: Run, tmp_path: Path) -> None:
    printed = run("other_projects_features.py", "--out", tmp_path / "out").splitlines()
    assert printed[0] == "rtfm: 20 videos, 10 crops, 2048 numbers"
    assert printed[2] == "sultani: 20 videos, 1 crops, 4096 numbers"
    assert all(float(line.split("AUC ")[1].split(",")[0]) > 0.9 for line in (printed[1], printed[3]))
    assert printed[4] == "other layouts: c3d-codes, csv, ekosman, hdf5, vggish, video-features, wu"


def test_compare_heads(run: Run, tmp_path: Path) -> None:
    printed = run("compare_heads.py", "--out", tmp_path / "out")
    assert "| sultani2018 | " in printed
    assert "| sultani2018 - topk | " in printed
    assert (tmp_path / "out/results/report.html").is_file()
    assert run("compare_heads.py", "--out", tmp_path / "out").startswith("# Do more clips rank better?")


SMALL = ["batch.normal=8", "batch.anomalous=8", "calibration.folds=2"]
"""Settings for a training of a second or two."""


def is_png(*paths: Path) -> bool:
    return all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_sultani_roc(run: Run, tmp_path: Path) -> None:
    printed = run("sultani_roc.py", "--recipes", "ekosman", "--set", "steps=40", *SMALL, "--out", tmp_path)
    assert float(printed.split("frame AUC ")[1].split(",")[0]) > 0.9
    assert is_png(tmp_path / "roc.png", tmp_path / "classes.png", tmp_path / "scores.png")


def test_topk_study(run: Run, tmp_path: Path) -> None:
    printed = run("topk_study.py", "--k", 1, 3, "--seeds", 1, "--steps", 10, "--out", tmp_path)
    assert "the test set would choose k = " in printed
    assert is_png(tmp_path / "auc-over-k.png")
    (dataset,) = json.loads((tmp_path / "bench/results.json").read_text(encoding="utf-8"))["datasets"]
    assert [s["recipe"]["head_options"]["k"] for s in dataset["systems"]] == [1, 3]


def test_salient_checkpoint(run: Run, tmp_path: Path) -> None:
    printed = run("salient_checkpoint.py", "--out", tmp_path)
    assert float(printed.split("equations: ")[1].split()[0]) < 1e-6
    assert is_png(tmp_path / "scores.png")


def test_salient_checkpoint_of_the_authors(run: Run, shared: Path, golden: Path, tmp_path: Path) -> None:
    rows = 0.3 * np.abs(np.random.RandomState(2).standard_normal((61, 10, 2048)))
    (tmp_path / "UCF-Test").mkdir()
    np.save(tmp_path / "UCF-Test/Abuse028_x264_i3d.npy", rows.astype(np.float32))
    checkpoint = shared / "data/weights/SelfAttention-da64-r3-T32-seed9111.pth"
    features = ["--features", tmp_path / "UCF-Test", "--video", "Abuse028_x264", "--events", "165-240"]
    printed = run("salient_checkpoint.py", "--checkpoint", checkpoint, *features, "--out", tmp_path / "out")
    with np.load(golden / "salient.npz") as arrays:
        expected = arrays["da64_r3_video_split28"][::28]
    np.testing.assert_allclose(json.loads("[" + printed.split("[")[1].split("]")[0] + "]"), expected, atol=1e-5)
    assert float(printed.split("equations: ")[1].split()[0]) < 1e-6


def test_bameri_distributions(run: Run, tmp_path: Path) -> None:
    printed = run("bameri_distributions.py", "--set", "steps=30", "head_options.channels=16", *SMALL, "--out", tmp_path)
    assert float(printed.split("frame AUC ")[1].split(",")[0]) > 0.8
    assert 0.1 < float(printed.split("divergence ")[1].split()[0]) <= np.log(2)
    assert is_png(tmp_path / "networks.png", tmp_path / "densities-made-up.png")


def test_saa_sound(run: Run, tmp_path: Path) -> None:
    printed = run("saa_sound.py", "--out", tmp_path).splitlines()
    precision = [float(line.rpartition(" ")[2]) for line in printed[:3]]
    assert [line.partition(":")[0] for line in printed[:3]] == ["pictures", "sound", "both"]
    assert precision[2] > max(precision[:2]) + 0.1
    assert is_png(tmp_path / "precision-recall.png")


def test_nevinbaiju_marked_video(run: Run, detector: Path, tmp_path: Path) -> None:
    video = write_scene(tmp_path / "new.mp4", [(1, 40), (9, 40), (1, 40)])
    printed = run("nevinbaiju_marked_video.py", detector, video, "--out", tmp_path / "out")
    assert printed.count("ALERT ") == 1
    assert check_video(tmp_path / "out/marked.mp4").n_frames == 120
    logged = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert logged
    assert all(0.3 <= line["anomaly_score"] <= 1 for line in logged)
    assert is_png(tmp_path / "out/scores.png")


@pytest.mark.usefixtures("installed")
def test_custom_head(run: Run, tmp_path: Path) -> None:
    assert "loudest-clip" in list_heads()
    printed = run("custom_head.py", "--out", tmp_path / "out")
    assert float(printed.rpartition(" ")[2]) > 0.9


@pytest.mark.usefixtures("installed")
def test_custom_backbone(run: Run, tmp_path: Path) -> None:
    assert list_backbones()[-1].name == "brightness"
    frames = np.random.default_rng(0).integers(0, 256, (16, 24, 32, 3), dtype=np.uint8)
    for name in ("brightness", "motion+brightness"):
        backbone = create_backbone(name)
        np.testing.assert_allclose(backbone.encode(frames)[0, -3:].numpy(), frames.mean((0, 1, 2)), rtol=1e-4)
        assert create_backbone_for(backbone.spec).spec == backbone.spec
    video = write_scene(tmp_path / "new.mp4", [(1, 40)])
    assert run("custom_backbone.py", video, "--out", tmp_path / "features").startswith("new: (3, 1, 3), first clip [")


@pytest.mark.usefixtures("installed")
def test_custom_source(run: Run, tmp_path: Path) -> None:
    for index in range(20):
        Image.new("RGB", (64, 48), (10 * index, 0, 0)).save(tmp_path / f"{index:03}.jpg")
    printed = run("custom_source.py", tmp_path).splitlines()
    assert printed[:3] == ["connecting ", "running 64x48", "frame 0 (48, 64, 3)"]
    assert printed[-2:] == ["frame 19 (48, 64, 3)", "stopped no picture is left"]
    url = f"pictures:{tmp_path}?fps=50"
    with wall() as made:
        worker = made.watch(url, height=24)
        worker.join(20)
    assert worker.error is None
    assert worker.latest is not None
    assert worker.latest.image.shape == (24, 32, 3)
    assert [scored.score for scored in made.scores] == sorted(scored.score for scored in made.scores)
    assert len(made.scores) == 2
    with pytest.raises(UsageError, match=r"the form is pictures:DIR\[\?fps=5\]"):
        open_source("pictures:somewhere?fps=fast")
    with pytest.raises(UsageError, match=r"known forms are .*pictures:DIR"):
        open_source("gopher://x")

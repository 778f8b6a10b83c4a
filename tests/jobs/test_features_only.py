"""Published features without videos: nobody says how many frames there are. Build, import, train, evaluate, compare."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from amiss.bench import load_suite
from amiss.cli import app
from amiss.features import open_feature_set
from amiss.yaml import read_yaml, write_yaml
from helpers import ROOT
from helpers.bench import run_bench
from helpers.videos import write_video

QUICK = {
    "steps": 4,
    "evaluate_every": 2,
    "batch.normal": 4,
    "batch.anomalous": 4,
    "segments": 8,
    "calibration.folds": 0,
}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def command(*arguments: object) -> Result:
    ran = invoke(*arguments)
    assert ran.exit_code == 0, ran.stderr
    return ran


def save_wu(folder: Path, name: str, rows: np.ndarray) -> None:
    """[T, 5, 1024] as XD-Violence's authors publish it."""
    for crop in range(rows.shape[1]):
        np.save(folder / f"{name}__{crop}.npy", rows[:, crop])


def rows_of(rng: np.random.Generator, length: int, event: tuple[int, int] | None, shape: tuple[int, ...]) -> np.ndarray:
    rows = rng.random((length, *shape), dtype=np.float32)
    if event:
        rows[event[0] // 16 : -(-event[1] // 16), ..., ::4] += 1
    return rows


def xd_videos() -> Iterator[tuple[str, str, int, tuple[int, int] | None]]:
    """Folder, id, clips, event of 8 + 8 training and 4 + 4 test videos."""
    for i in range(16):
        folder, length = ("RGB", 9 + i) if i < 8 else ("RGBTest", 6 + i)
        yield folder, f"Film.{i}.2001__#00-0{i % 10}-00_label_A", length, None
        yield folder, f"v=abc{i}__#1_label_B{i % 2 + 1}-0-0", length, (32, 85)


@pytest.fixture(scope="module")
def xd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """annotations.txt, and RGB features in the published names and shapes: [T, 1024], five crops."""
    root = tmp_path_factory.mktemp("xd")
    rng = np.random.default_rng(0)
    lines = []
    for folder, name, length, event in xd_videos():
        (root / "i3d-features" / folder).mkdir(parents=True, exist_ok=True)
        save_wu(root / "i3d-features" / folder, name, rows_of(rng, length, event, (5, 1024)))
        sound = root / "vggish-features" / ("test" if folder == "RGBTest" else "train") / f"{name}__vggish.npy"
        sound.parent.mkdir(parents=True, exist_ok=True)
        np.save(sound, rows_of(rng, length - (name[-1] == "A"), event, (128,)))  # some have a row less
        if event and folder == "RGBTest":
            lines.append(f"{name} {event[0]} {event[1]}")
    (root / "annotations.txt").write_text("\n".join(lines) + "\n")
    return root


def test_xd_violence_from_features_alone(xd: Path, tmp_path: Path) -> None:
    data, features, run = tmp_path / "manifest.csv", tmp_path / "features", tmp_path / "run"
    command("dataset", "build", "xd-violence", "--root", xd, "--out", data)
    command("features", "import", xd / "i3d-features", "--out", features)
    settings = [f"--set={name}={value}" for name, value in QUICK.items()]
    command("train", "topk", "--data", data, "--features", features, "--out", run, *settings)
    arguments = ("evaluate", run / "selected", "--data", data, "--features", features)
    result = json.loads(command(*arguments, "--protocol", "xd/wu-floor16", "--json").stdout)
    lengths = [length for folder, _, length, _ in xd_videos() if folder == "RGBTest"]
    assert (result["n_videos"], result["n_frames"]) == (16, 16 * sum(lengths))
    assert result["n_positive"] == 8 * (85 - 32)
    assert result["notes"] == ["nobody says how many frames 16 test videos have: 16 are taken for each score"]
    scored = command("detect", "--detector", run / "selected", "--features", features)
    assert "32 videos scored" in scored.stderr
    assert "32 videos, such as " in scored.stderr
    assert "nobody says its frame rate: clips are counted instead of seconds (give it: --fps)" in scored.stderr
    refused = invoke(*arguments)
    assert refused.exit_code == 1
    assert "protocol exact needs the decoded frames of every test video" in refused.stderr
    assert "xd/wu-floor16" in refused.stderr


def test_sound_beside_pictures(xd: Path, tmp_path: Path) -> None:
    """As published: 1024 values of RGB and 128 of VGGish, which has one view. Scored as stored; not from a video."""
    rgb, sound, both, run = (tmp_path / name for name in ("rgb", "sound", "both", "run"))
    command("dataset", "build", "xd-violence", "--root", xd, "--out", tmp_path / "manifest.csv")
    command("features", "import", xd / "i3d-features", "--out", rgb)
    command("features", "import", xd / "vggish-features", "--out", sound)
    command("features", "concat", rgb, sound, "--out", both)
    joined, visual, audio = (open_feature_set(folder) for folder in (both, rgb, sound))
    assert (joined.spec.backbone, joined.spec.dim, joined.spec.crops) == ("i3d+vggish", 1152, 5)
    for video_id, record in joined.records.items():
        x = joined.load(video_id)
        np.testing.assert_array_equal(x[:, :, :1024], visual.load(video_id))
        rows = np.minimum(np.arange(record.n_clips), audio.records[video_id].n_clips - 1)
        np.testing.assert_array_equal(x[:, :, 1024:], np.repeat(audio.load(video_id)[rows], 5, axis=1))
    settings = [f"--set={name}={value}" for name, value in QUICK.items()]
    data = ("--data", tmp_path / "manifest.csv", "--features", both)
    trained = command("train", "saa-xd", *data, "--out", run, *settings)
    assert "they score stored features, no videos: these are features of i3d+vggish" in trained.stderr
    protocol = ("--protocol", "xd/wu-floor16", "--json")
    assert json.loads(command("evaluate", run / "selected", *data, *protocol).stdout)["n_videos"] == 16
    write_video(tmp_path / "new.mp4")
    refused = invoke("detect", tmp_path / "new.mp4", "--detector", run / "selected")
    assert refused.exit_code == 2
    (line,) = refused.stderr.strip().splitlines()
    assert (
        "these are features of i3d+vggish (1152-d, clips of 16 frames, 5 crops), and amiss has no backbone 'vggish'"
        in line
    )
    assert "amiss features import" in line
    assert "amiss detect --features" in line


def quick_suite(name: str, folder: Path, recipes: int) -> Path:
    """A shipped suite with its last recipes, fewer steps and one seed."""
    suite: Any = read_yaml((ROOT / "benchmarks" / "suites" / f"{name}.yaml").read_text())[0]
    suite["recipes"] = [recipe | {"set": QUICK} for recipe in suite["recipes"][-recipes:]]
    path = folder / f"{name}.yaml"
    path.write_text(write_yaml(suite | {"seeds": 1, "bootstrap": 100}))
    return path


@pytest.mark.parametrize("recipes", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_the_shipped_suite_of_xd_violence(
    xd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipes: int
) -> None:
    monkeypatch.setenv("XD_VIOLENCE", str(xd))
    monkeypatch.setenv("XD_VIOLENCE_FEATURES", str(xd / "i3d-features"))
    monkeypatch.delenv("XD_VIOLENCE_AUDIO", raising=False)
    suite = quick_suite("xd-violence", tmp_path, recipes)
    with pytest.warns(UserWarning, match="features given and audio are left out: XD_VIOLENCE_AUDIO is not set"):
        assert [choice.name for choice in load_suite(suite).features] == ["given"]
    monkeypatch.setenv("XD_VIOLENCE_AUDIO", str(xd / "vggish-features"))
    results = run_bench(suite, tmp_path / "out", workers=1)
    (dataset,) = results["datasets"]
    assert (dataset["protocols"], dataset["metric"]) == (["xd/wu-floor16"], "ap")
    assert any("exact needs to know: left out" in note for note in dataset["notes"])
    assert len(dataset["systems"]) == 2 * recipes
    assert [(f["backbone"], f["dim"], f["crops"]) for f in dataset["features"]] == [
        ("i3d", 1024, 5), ("i3d+vggish", 1152, 5)
    ]  # fmt: skip
    made = {path.name for path in (tmp_path / "out" / "features").iterdir() if path.is_dir()}
    assert made == {"given", "given_and_audio", "given_and_audio-part2"}  # what stands alone isn't imported twice


def measured(name: str, folder: Path, variable: str, monkeypatch: pytest.MonkeyPatch, recipes: int) -> dict[str, Any]:
    """The dataset's results of a shipped suite, on features in a folder `features` beside the annotations."""
    monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv(f"{variable}_FEATURES", str(folder / "features"))
    results = run_bench(quick_suite(name, folder, recipes), folder / "out", workers=1)
    assert len(results["datasets"][0]["systems"]) == recipes
    dataset: dict[str, Any] = results["datasets"][0]
    return dataset


@pytest.mark.slow
def test_the_shipped_suite_of_ucf_crime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RTFM's ten-crop files, and Sultani's official lists, which don't say how many frames there are."""
    rng = np.random.default_rng(0)
    (tmp_path / "features").mkdir()
    train, test = [], []
    for i in range(1, 15):
        for name, label in ((f"Abuse{i:03d}_x264", 1), (f"Normal_Videos_{i:03d}_x264", 0)):
            rows = rows_of(rng, 5 + i, (32, 70) if label else None, (10, 2048))
            np.save(tmp_path / "features" / f"{name}_i3d.npy", rows)
            if i <= 10:
                train.append(f"{name}.mp4")
            else:
                test.append(f"{name}.mp4  {'Abuse  32  70' if label else 'Normal  -1  -1'}  -1  -1")
    (tmp_path / "Anomaly_Train.txt").write_text("\n".join(train))
    (tmp_path / "Temporal_Anomaly_Annotation.txt").write_text("\n".join(test))
    dataset = measured("ucf-crime", tmp_path, "UCF_CRIME", monkeypatch, 6)
    assert dataset["protocols"] == ["ucf/rtfm-ceil16", "ucf/wu-floor16"]
    assert any("exact, ucf/ekosman-32 needs to know: left out" in note for note in dataset["notes"])
    detail = dataset["systems"][0]["detail"]
    assert (detail["n_frames"], detail["n_positive"]) == (16 * 2 * (16 + 17 + 18 + 19), 4 * 39)  # ends count, there


@pytest.mark.slow
def test_the_shipped_suite_of_shanghaitech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and masks say how many frames there are; extractors that drop the last clip fit them, too."""
    rng = np.random.default_rng(0)
    (tmp_path / "features").mkdir()
    train, test, masks = [], [], ["video_id,n_frames,events"]
    for i in range(14):
        for name, label in ((f"01_{i:04d}", 1), (f"02_{i:03d}", 0)):
            n_frames = 100 + 7 * i
            rows = rows_of(rng, n_frames // 16, (32, 70) if label else None, (10, 2048))
            np.save(tmp_path / "features" / f"{name}.npy", rows)
            if i < 10:
                train.append(f"{name},{label}")
            else:
                test.append(f"{name},{label},{-1 if label else n_frames - 1}")
                masks += [f"{name},{n_frames},32-70"] if label else []
    for file, lines in (("weak_train.txt", train), ("weak_test.txt", test), ("test_frame_masks.csv", masks)):
        (tmp_path / f"shanghaitech_{file}").write_text("\n".join(lines) + "\n")
    dataset = measured("shanghaitech", tmp_path, "SHANGHAITECH", monkeypatch, 4)
    assert dataset["protocols"] == ["exact", "sht/rtfm", "sht/bameri-floor16"]
    assert dataset["systems"][0]["detail"]["n_frames"] == 2 * sum(100 + 7 * i for i in range(10, 14))

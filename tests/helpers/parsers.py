"""Every parser of what comes from outside, each with a good file to spoil."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from amiss.backbones import FeatureSpec
from amiss.bench import load_suite
from amiss.datasets import (
    Manifest,
    Video,
    read_avenue_mat,
    read_manifest,
    read_mask_npy,
    read_shanghaitech,
    read_table,
    read_ucf,
    read_ucsd_matlab,
    read_xd,
)
from amiss.detection import Calibration, Detector, Normalisation, ScoreResult, clip_scores, find_events
from amiss.errors import AmissError
from amiss.evaluation import check_ground_truth, ground_truth_vector, read_scores
from amiss.features import FeatureSetWriter, import_features, open_feature_set
from amiss.heads import create_head
from amiss.results import read_results
from amiss.training import load_recipe, recipe_to_yaml
from amiss.video import FrameTimes
from amiss.watch.config import CameraCalibration, read_calibration, read_config, write_calibration

SECONDS = 5.0
"""That a parser may take for a small file, on a busy machine."""
MANIFEST = Manifest((Video(video_id="v", split="test", label=1, n_frames=32, events=((3, 9),)),))


@dataclass(frozen=True)
class Parser:
    """What reads a file."""

    name: str
    file: str
    """That is spoilt, relative to the folder."""
    make: Callable[[Path], object]
    """Writes good files into a folder."""
    read: Callable[[Path], object]
    """Reads them."""


def _text(file: str, text: str, read: Callable[[Path], object]) -> Parser:
    return Parser(file, file, lambda folder: (folder / file).write_text(text), lambda folder: read(folder / file))


def _array(name: str, file: str, array: Any, read: Callable[[Path], object]) -> Parser:
    def make(folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        np.save(folder / file, array)

    return Parser(name, file, make, read)


def _detector(folder: Path) -> None:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    calibration = Calibration(0.5, "by hand", 1, reach=0.9)
    spec = FeatureSpec(backbone="motion", weights="none", dim=6, parts=(FeatureSpec(backbone="a", weights="b", dim=3),))
    Detector(spec, create_head("topk", 6), Normalisation.fit("standard", rows), calibration).save(folder)


def _features(folder: Path) -> None:
    with FeatureSetWriter(folder, FeatureSpec(backbone="motion", weights="none", dim=6)) as writer:
        for name in "ab":
            times = FrameTimes.of_knots([[0, 0], [16, 1], [32, 3]])
            writer.add(name, np.ones((2, 1, 6), np.float32), 32, 25.0, "torch cpu", times=times)


def _read_features(folder: Path) -> None:
    features = open_feature_set(folder)
    for name in features.records:
        features.load(name)
        features.times(name)


def _results(folder: Path) -> None:
    times = FrameTimes(32, 25.0)
    spans = [(0, 16), (16, 32)]
    scores = np.array([0.2, 0.9])
    clips, events = clip_scores(scores, spans, times), find_events(scores, spans, times, 0.5)
    for name in ("other.json", "v.json"):
        ScoreResult("v.mp4", 25.0, 32, 1.28, "d", 0.5, clips, events).write_json(folder / name)


def _import(folder: Path) -> None:
    problems: list[str] = []
    import_features(folder / "in", folder / "out", on_failure=lambda _, problem: problems.append(problem))
    for problem in problems:
        check_message(problem)


def _calibration(folder: Path) -> None:
    write_calibration(
        folder, CameraCalibration("door", "0" * 64, 0.5, 0.4, 1.0, 5.0, 2, 1.1, False, 0.0, 1.0, 5.0, "2026-01-01")
    )


SCORES = {"v": {"scores": [0.1, 0.9], "spans": [[0, 16], [16, 32]], "times": [[0, 0], [32, 1.3]]}, "w": [0.1, 0.2]}
SUITE = """\
name: mine
datasets: [{name: mine, manifest: manifest.csv, protocols: [exact]}]
features: [{name: f, path: features}]
recipes: [{recipe: topk, set: {head_options.k: [2, 3], steps: 20}}]
seeds: 2
"""
CONFIG = """\
cameras:
  door: {url: "rtsp://user:secret@10.0.0.1/1"}
  yard: {url: "replay:x.mp4", alarm: {on: 0.6}}
channels: {log: {type: file, path: alerts.jsonl}}
rules: [{name: all, channels: [log], cooldown_s: 60}]
http: {port: 8080}
"""
ROWS = "\n".join(" ".join("0.5" for _ in range(7)) for _ in range(32))
NUMBERED = "\n".join(f"{i}," + ",".join("0.5" for _ in range(7)) for i in range(32))


def _layout(name: str, file: str, text: str) -> Parser:
    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        (folder / "in" / file).write_text(text)

    return Parser(name, f"in/{file}", make, _import)


TABLE = "video_id,split,label,n_frames,fps,events,path\na,train,0,60,25,,a.mp4\nb,test,1,60,25,3-9;12-20,b.mp4\n"
LABELS = "video_id,label,source,class,split,events\na,0,s,normal,train,\nb,1,s,fight,test,3-9\n"
UCF = "Abuse/Abuse028_x264.mp4 1412 Abuse 165 240 -1 -1\nArson/My fire 1.mkv 60\nNormal_Videos_003_x264.mp4\n"
MASK = np.array([0, 1, 1, 0], np.uint8)


def _avenue(folder: Path) -> None:
    from scipy.io import savemat

    volume = np.empty((1, 3), object)
    for i in range(3):
        volume[0, i] = np.full((3, 3), i == 1, np.uint8)
    savemat(folder / "1_label.mat", {"volLabel": volume})


def _npz(folder: Path) -> None:
    np.savez(folder / "s.npz", v=np.ones(2), clip_len=16)


PARSERS = (
    _text("manifest.csv", TABLE, read_manifest),
    _text("labels.csv", LABELS, read_table),
    _text("ucf.txt", UCF, read_ucf),
    _text("xd.txt", "Bad.Boys.1995__#01_label_G-B2-B6 10 20 30 40\n", read_xd),
    _text("sht.txt", "01_0014,1\n01_001,0,764\n01_0015,1,-1\n", read_shanghaitech),
    _text("UCSDped1.m", "TestVideoFile{end+1}.gt_frame = [60:152, 170:200]; % a\n", read_ucsd_matlab),
    _array("mask", "01_0014.npy", MASK, lambda folder: read_mask_npy(folder / "01_0014.npy")),
    Parser("avenue", "1_label.mat", _avenue, lambda folder: read_avenue_mat(folder / "1_label.mat")),
    _array(
        "truth",
        "gt.npy",
        ground_truth_vector(MANIFEST, "exact"),
        lambda folder: check_ground_truth(folder / "gt.npy", MANIFEST, "exact"),
    ),
    Parser("detector.json", "detector.json", _detector, Detector.load),
    Parser("head", "head.safetensors", _detector, Detector.load),
    Parser("spec.json", "spec.json", _features, _read_features),
    Parser("index.jsonl", "index.jsonl", _features, _read_features),
    Parser("features", "a.npy", _features, _read_features),
    Parser("times", "times/a.npy", _features, _read_features),
    _array("rtfm", "in/a_i3d.npy", np.ones((4, 10, 64), np.float32), _import),
    _array("wu", "in/a.npy", np.ones((30, 64), np.float32), _import),
    _layout("ekosman", "a.txt", ROWS),
    _layout("csv", "a.csv", NUMBERED),
    _text("scores.json", json.dumps(SCORES), read_scores),
    Parser("scores.npz", "s.npz", _npz, lambda folder: read_scores(folder / "s.npz")),
    _array("scores.npy", "s.npy", np.ones(2), lambda folder: read_scores(folder / "s.npy", MANIFEST)),
    Parser("result", "v.json", _results, read_results),
    Parser("calibration", "calibration/door.json", _calibration, lambda folder: read_calibration(folder, "door")),
    _text("recipe.yaml", recipe_to_yaml(load_recipe("topk")), load_recipe),
    _text("suite.yaml", SUITE, load_suite),
    _text("config.yaml", CONFIG, read_config),
)


def refusal(read: Callable[[], object]) -> str | None:
    """What a parser says of a file that it refuses; None where it takes it. Anything but a short line fails."""
    began = perf_counter()
    with warnings.catch_warnings(action="ignore"):  # what is odd may be said
        try:
            read()
            said = None
        except AmissError as error:
            said = str(error)
    assert perf_counter() - began < SECONDS
    if said is not None:
        check_message(said)
    return said


def check_message(text: str) -> None:
    """Whether it is a line that a person can read."""
    assert text.strip()
    assert len(text) <= 2000, text[:300]
    assert text.replace("\u00a0", " ").isprintable(), text

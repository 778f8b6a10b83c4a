"""amiss demo: the whole way once, on videos that it draws itself. No network, no weights, no camera."""

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from amiss.backbones import create_backbone
from amiss.datasets import Manifest, Video, read_manifest
from amiss.demo._report import write_demo_report
from amiss.demo._videos import DemoSet, make_demo_set
from amiss.detection import Detector, ScoreResult
from amiss.engines import create_engine
from amiss.errors import OutputError
from amiss.evaluation import EvaluationResult, evaluate
from amiss.features import FeatureSet, open_feature_set
from amiss.files import write_json
from amiss.jobs import DetectOutputs, OnProgress, detect, extract, score_videos, silent
from amiss.training import load_recipe, train

BACKBONE = "motion"
STRIDE = 8  # half a clip: the demo's events are short
RECIPE = "topk"
SETTINGS: tuple[str, ...] = ()
_MARK, _MADE_BY = "demo.json", "amiss demo"
_STEPS = ("draw videos", "extract features", "train", "evaluate", "score an unseen video", "write the report")


@dataclass(frozen=True)
class DemoResult:
    """What the demo found."""

    evaluation: EvaluationResult
    showcase: ScoreResult
    seconds: float
    table: dict[str, Any]
    """What to print: name → value."""


def run_demo(out: str | Path, seed: int = 0, on_progress: OnProgress = silent) -> DemoResult:
    """Draw videos, extract, train, evaluate, score one unseen video and report.

    Writes `report.html`, `metrics.json`, `detector/`, `unseen.annotated.mp4`, `.json`, `.csv`, `.png`, and below
    `data/`, `features/` and `run/` what led to them. Everything but the times is a function of the seed.

    Raises:
        OutputError: `out` is not empty and no demo of before, or can't be written.
    """
    folder = Path(out)
    began = time.monotonic()
    _make_room(folder, seed)
    on_progress(0, len(_STEPS), _STEPS[0])
    demo = make_demo_set(folder / "data", seed, lambda done, total: on_progress(done / total, len(_STEPS), _STEPS[0]))
    on_progress(1, len(_STEPS), _STEPS[1])
    features = extract_demo(demo, folder / "features", on_progress)
    on_progress(2, len(_STEPS), _STEPS[2])
    report = train(load_recipe(RECIPE, SETTINGS), demo.manifest, features, folder / "run", seed=seed)
    detector = Detector.load(folder / "run" / "selected")
    detector.save(folder / "detector")
    detector.name = "detector"
    on_progress(3, len(_STEPS), _STEPS[3])
    scores, _ = score_videos(detector, features, demo.manifest.split("test"))
    result = replace(evaluate(scores, demo.manifest), selection="selected", seeds=(seed,))
    on_progress(4, len(_STEPS), _STEPS[4])
    showcase = _score_showcase(demo.unseen, detector, folder)
    on_progress(5, len(_STEPS), _STEPS[5])
    seconds = time.monotonic() - began
    metrics = {**result.to_dict(), "recipe": RECIPE, "backbone": BACKBONE, "steps": report.steps}
    write_json(folder / "metrics.json", metrics)
    write_demo_report(folder, demo, scores, result, detector, showcase)
    on_progress(len(_STEPS), len(_STEPS), "")
    table = {
        "frame AUC": result.auc,
        "frame AUC, anomalous videos only": result.ano_auc,
        "average precision": result.ap,
        "video AUC": result.video_auc,
        "training videos (labels only)": len(demo.manifest.split("train")),
        "test videos": result.n_videos,
        "events in the unseen video": len(showcase.events),
        "seconds": seconds,
    }
    return DemoResult(result, showcase, seconds, table)


def shuffled_demo_auc(demo: str | Path, shuffle: int, out: str | Path) -> float:
    """Frame AUC on a finished demo's test videos when the training labels are dealt out at random: chance.

    Args:
        demo: folder of `run_demo`.
        shuffle: seed of the deal and of the training.
        out: run directory, must not exist.
    """
    manifest, features = read_manifest(Path(demo) / "data" / "manifest.csv"), open_feature_set(Path(demo) / "features")
    training = manifest.split("train")
    labels = np.random.default_rng(shuffle).permutation([video.label for video in training])
    dealt = tuple(replace(video, label=int(label)) for video, label in zip(training, labels, strict=True))
    train(load_recipe(RECIPE, SETTINGS), Manifest(dealt), features, Path(out), seed=shuffle)
    detector = Detector.load(Path(out) / "selected")
    auc = evaluate(score_videos(detector, features, manifest.split("test"))[0], manifest, n_bootstrap=0).auc
    assert auc is not None, "the demo's test videos have both kinds of frames"
    return auc


def extract_demo(demo: DemoSet, out: Path, on_progress: OnProgress = silent) -> FeatureSet:
    """The features of the demo's videos."""
    videos = {video.video_id: video.path for video in demo.manifest.videos if video.path is not None}
    engine = create_engine(create_backbone(BACKBONE, stride=STRIDE))
    report = extract(videos, engine, out, lambda done, total, _: on_progress(1 + done / total, len(_STEPS), _STEPS[1]))
    if report.failed:
        raise OutputError(f"the demo's own videos can't be read: {report.failed}")
    return open_feature_set(out)


def _score_showcase(video: Video, detector: Detector, folder: Path) -> ScoreResult:
    results: list[ScoreResult] = []
    detect(
        {video.video_id: video.path},
        detector,
        out=folder,
        outputs=DetectOutputs(plot=True, annotate=True),
        on_result=lambda _, result: results.append(result),
    )
    return results[0]


def _make_room(folder: Path, seed: int) -> None:
    """Take away an earlier demo, and nothing else."""
    try:
        if _is_demo(folder):
            for name in ("data", "features", "run", "detector"):
                shutil.rmtree(folder / name, ignore_errors=True)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder} is not empty and no demo of before: choose another --out")
    except OSError as error:
        raise OutputError(f"can't use {folder}: {error.strerror or error}") from error
    write_json(folder / _MARK, {"made_by": _MADE_BY, "seed": seed})


def _is_demo(folder: Path) -> bool:
    """Whether a folder holds an earlier demo, by a mark that no other program writes."""
    try:
        mark = json.loads((folder / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("made_by") == _MADE_BY

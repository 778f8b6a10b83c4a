"""Tiny feature sets, manifests and suites for the tests of `amiss bench`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from amiss.backbones import FeatureSpec
from amiss.bench import run_bench as run
from amiss.datasets import Manifest, Video, write_manifest
from amiss.features import FeatureSetWriter
from amiss.yaml import write_yaml

DIM = 6
QUICK = {"steps": 10, "evaluate_every": 5, "batch.normal": 8, "batch.anomalous": 8, "segments": 8,
         "calibration.folds": 2}  # fmt: skip


def make_videos(n_train: int = 24, n_test: int = 8, seed: int = 0) -> tuple[Manifest, dict[str, np.ndarray]]:
    """Videos, half of them anomalous, and their features [T, 1, D]: anomalous clips are shifted in two dimensions."""
    rng = np.random.default_rng(seed)
    videos, rows = [], {}
    for split, count in (("train", n_train), ("test", n_test)):
        for i in range(2 * count):
            label, length = i % 2, int(rng.integers(8, 16))
            clips = rng.normal(0, 1, (length, 1, DIM)).astype(np.float32)
            start = int(rng.integers(length - 3))
            if label:
                clips[start : start + 3, :, :2] += 2.0
            name = f"{split}{i:02d}"
            rows[name] = clips
            videos.append(
                Video(
                    video_id=name,
                    split=split,
                    label=label,
                    class_name=("fire", "fight")[i // 2 % 2] if label else "normal",
                    n_frames=16 * length,
                    fps=25.0,
                    events=((16 * start, 16 * start + 48),) if label else (),
                )
            )
    return Manifest(tuple(videos)), rows


def write_features(folder: Path, manifest: Manifest, rows: Mapping[str, np.ndarray]) -> Path:
    """A feature set of the videos."""
    writer = FeatureSetWriter(folder, FeatureSpec(backbone="made-up", weights="none", dim=DIM))
    for video in manifest.videos:
        writer.add(video.video_id, rows[video.video_id], n_frames=16 * len(rows[video.video_id]), fps=25.0)
    return folder


def make_data(folder: Path, **options: int) -> tuple[Manifest, dict[str, np.ndarray]]:
    """`manifest.csv` and `features/` in a folder."""
    manifest, rows = make_videos(**options)
    write_manifest(manifest, folder / "manifest.csv")
    write_features(folder / "features", manifest, rows)
    return manifest, rows


def suite_fields(**changes: Any) -> dict[str, Any]:
    """A suite on these data: one recipe, two seeds."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "datasets": [{"name": "made-up", "manifest": "manifest.csv"}],
        "features": [{"name": "rows", "path": "features"}],
        "recipes": [{"recipe": "topk", "set": QUICK}],
        "seeds": 2,
        "bootstrap": 100,
    }
    return fields | changes


def write_suite(folder: Path, **changes: Any) -> Path:
    """The suite as a file; None takes a field away."""
    fields = {name: value for name, value in suite_fields(**changes).items() if value is not None}
    path = folder / "suite.yaml"
    path.write_text(write_yaml(fields))
    return path


def run_bench(suite: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Run a suite; its results as `results.json` has them."""
    return run(suite, out, **options).to_dict()


def without_times(results: dict[str, Any]) -> dict[str, Any]:
    """Results without what a clock or the order of calls decides."""
    for dataset in results["datasets"]:
        for row in dataset["systems"]:
            assert row["cost"].pop("parameters") > 0
            del row["seconds"], row["cost"]
    for name in ("seconds", "training_seconds", "cells_run_now"):
        del results["provenance"][name]
    return results


def as_one_split(manifest: Manifest, groups: int) -> Manifest:
    """All videos in training, in groups."""
    return Manifest(tuple(replace(v, split="train", group=f"g{i % groups}") for i, v in enumerate(manifest.videos)))

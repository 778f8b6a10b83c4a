"""Folders of people who come from other projects: small files in those projects' layouts, with made-up values."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.datasets import read_manifest
from amiss.features import FeatureSetWriter
from helpers.reference_weights import crc_values
from helpers.videos import write_video

_LENGTH = 320  # frames of each video
_TRAIN, _TEST = 6, 2  # videos of each label


def ucf_names(split: str) -> list[tuple[str, str]]:
    """Class and name of some videos of UCF-Crime, as many normal as anomalous."""
    count, first, normal = (
        (_TRAIN, 1, "Normal_Videos{:03d}_x264") if split == "train" else (_TEST, 28, "Normal_Videos_{:03d}_x264")
    )
    numbers = range(first, first + count)
    return [("Abuse", f"Abuse{n:03d}_x264") for n in numbers] + [("Normal", normal.format(n)) for n in numbers]


def write_ucf_annotations(folder: Path) -> None:
    """As ekosman's project has them: with numbers of frames."""
    folder.mkdir()
    lines = [f"{class_name}/{video}.mp4 {_LENGTH}\n" for class_name, video in ucf_names("train")]
    (folder / "Train_Annotation.txt").write_text("".join(lines))
    events = {"Abuse": "96 160 -1 -1", "Normal": "-1 -1 -1 -1"}
    lines = [f"{c}/{video}.mp4 {_LENGTH} {c} {events[c]}\n" for c, video in ucf_names("test")]
    (folder / "Test_Annotation.txt").write_text("".join(lines))


def made_rows(rows: int, dim: int, *, anomalous: bool, seed: int) -> NDArray[np.float32]:
    """[rows, dim], not negative as features after a ReLU are; a third of an anomalous video stands out."""
    values = np.abs(np.random.default_rng(seed).standard_normal((rows, dim), np.float32))
    if anomalous:
        values[rows * 3 // 10 : rows // 2, : dim // 8] += 2
    return values


def every_video() -> Iterator[tuple[str, str, int]]:
    """Class, name and a seed of every video."""
    for seed, (class_name, video) in enumerate(ucf_names("train") + ucf_names("test")):
        yield class_name, video, seed


def write_features(out: Path, spec: FeatureSpec, manifest: Path) -> None:
    """What extraction of a manifest's videos would write, with made-up values."""
    with FeatureSetWriter(out, spec) as writer:
        for seed, video in enumerate(read_manifest(manifest).videos):
            length = video.n_frames or _LENGTH
            rows = made_rows(length // spec.stride, spec.dim, anomalous=bool(video.label), seed=seed)
            writer.add(video.video_id, np.repeat(rows[:, None], spec.crops, axis=1), length, 30.0)


def multilayer(path: Path, dim: int) -> None:
    """Sultani's, ekosman's and the topk project's network."""
    shapes = {"fc1": (512, dim), "fc2": (32, 512), "fc3": (1, 32)}
    tensors = {f"{name}.weight": crc_values(f"{name}.weight", list(shape)) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": crc_values(f"{name}.bias", [shape[0]]) for name, shape in shapes.items()}
    torch.save(tensors, path)


def write_segment_text(folder: Path, dim: int, name: str) -> None:
    """32 lines of numbers per video, each line of unit length."""
    for class_name, video, seed in every_video():
        rows = made_rows(32, dim, anomalous=class_name != "Normal", seed=seed)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        path = folder / name.format(class_name=class_name, video=video)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, rows, fmt="%.4g")


def ekosman(folder: Path) -> None:
    write_ucf_annotations(folder / "annotations")
    write_segment_text(folder / "their-features", 4096, "{class_name}/{video}.txt")
    multilayer(folder / "epoch_80.pt", 4096)
    write_video(folder / "new_video.mp4", 40)


WORLDS: dict[str, Callable[[Path], None]] = {"ekosman": ekosman}
"""Name of a page → what its reader has."""

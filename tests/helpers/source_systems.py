"""Folders of people who come from other projects: small files in those projects' layouts, with made-up values.

Crops are 2 where the projects have 10.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import savemat

from amiss.backbones import FeatureSpec
from amiss.datasets import read_manifest
from amiss.features import FeatureSetWriter
from amiss.video import check_video
from helpers import ROOT
from helpers.reference_weights import crc_checkpoint, crc_values
from helpers.videos import write_video

_LENGTH = 192  # frames of each video: 12 clips, more than anybody has crops
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
    events = {"Abuse": "32 64 -1 -1", "Normal": "-1 -1 -1 -1"}
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


def write_features(out: str | Path, spec: FeatureSpec, videos: str | Path) -> None:
    """What extraction of a manifest or a folder of videos would write, with made-up values."""
    videos = Path(videos)
    if videos.is_dir():
        known = [
            (file.stem, check_video(file).n_frames, number % 2) for number, file in enumerate(sorted(videos.iterdir()))
        ]
    else:
        known = [(video.video_id, video.n_frames or _LENGTH, video.label) for video in read_manifest(videos).videos]
    with FeatureSetWriter(out, spec) as writer:
        for seed, (video_id, length, label) in enumerate(known):
            rows = made_rows(length // spec.stride, spec.dim, anomalous=bool(label), seed=seed)
            writer.add(video_id, np.repeat(rows[:, None], spec.crops, axis=1), length, 30.0)


def write_arrays(folder: Path, crops: int, dim: int, name: str, *, apart: bool = False) -> None:
    """A video's clips as one array [T, crops, dim], or as one [T, dim] per crop."""
    folder.mkdir(parents=True)
    for class_name, video, seed in every_video():
        rows = made_rows(_LENGTH // 16, dim, anomalous=class_name != "Normal", seed=seed)
        if not apart:
            np.save(folder / f"{video}{name}.npy", np.repeat(rows[:, None], crops, axis=1))
            continue
        for crop in range(crops):
            np.save(folder / f"{video}{f'__{crop}' if crop else ''}.npy", rows)


def write_segments(folder: Path, dim: int, name: str) -> None:
    """32 lines of numbers per video, each line of unit length."""
    for class_name, video, seed in every_video():
        rows = made_rows(32, dim, anomalous=class_name != "Normal", seed=seed)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        path = folder / name.format(class_name=class_name, video=video)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, rows, fmt="%.4g")


def multilayer(path: Path, dim: int) -> None:
    """Sultani's, ekosman's and the top-k project's network, of PyTorch, or in the cells of a .mat file."""
    shapes = {"fc1": (512, dim), "fc2": (32, 512), "fc3": (1, 32)}
    weights = {name: crc_values(f"{name}.weight", list(shape)) for name, shape in shapes.items()}
    biases = {name: crc_values(f"{name}.bias", [shape[0]]) for name, shape in shapes.items()}
    if path.suffix != ".mat":
        named = [(f"{name}.weight", weights[name]) for name in shapes] + [
            (f"{name}.bias", biases[name]) for name in shapes
        ]
        torch.save(dict(named), path)
        return
    cells: dict[str, NDArray[Any]] = {"1": np.zeros((0, 0)), "3": np.zeros((0, 0))}
    for layer, name in zip(("0", "2", "4"), shapes, strict=True):
        cells[layer] = np.empty((1, 2), object)
        cells[layer][0, 0], cells[layer][0, 1] = weights[name].numpy().T, biases[name].numpy()[None]
    savemat(path, cells)


def crc_weights(path: Path, network: str) -> None:
    """A checkpoint of a network whose tensors are listed beside the golden arrays."""
    torch.save(crc_checkpoint(ROOT / "tests/golden", network), path)


def sultani(folder: Path) -> None:
    (folder / "ucf-crime").mkdir()
    lines = [f"{c}/{video}.mp4\n" for c, video in ucf_names("train")]
    (folder / "ucf-crime/Anomaly_Train.txt").write_text("".join(lines))
    events = {"Abuse": "32  64  -1  -1", "Normal": "-1  -1  -1  -1"}
    lines = [f"{video}.mp4  {c}  {events[c]}  \n" for c, video in ucf_names("test")]
    (folder / "ucf-crime/Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("".join(lines))
    for _, video in ucf_names("test"):
        write_video(folder / f"ucf-crime/{video}.mp4", _LENGTH, fps=30)
    write_segments(folder / "their-features", 4096, "{video}_C.txt")
    multilayer(folder / "weights_L1L2.mat", 4096)


def ekosman(folder: Path) -> None:
    write_ucf_annotations(folder / "annotations")
    write_segments(folder / "their-features", 4096, "{class_name}/{video}.txt")
    multilayer(folder / "epoch_80.pt", 4096)
    (folder / "videos").mkdir()
    for _, video, _ in every_video():
        write_video(folder / f"videos/{video}.mp4", _LENGTH, fps=30)


def nevinbaiju(folder: Path) -> None:
    (folder / "csv").mkdir()
    (folder / "videos").mkdir()
    for seed, name in enumerate(("accident", "street")):
        rows = made_rows(32, 4096, anomalous=name == "accident", seed=seed)
        np.savetxt(folder / f"csv/{name}.csv", np.column_stack([np.arange(32), rows]), fmt="%.4g", delimiter=",")
        write_video(folder / f"videos/{name}.mp4", 100)
    multilayer(folder / "weights_L1L2.mat", 4096)


def topk(folder: Path) -> None:
    write_ucf_annotations(folder / "annotations")
    write_segments(folder / "their-features", 2048, "{class_name}/{video}.txt")
    multilayer(folder / "epoch_4.pt", 2048)


def rtfm(folder: Path) -> None:
    write_ucf_annotations(folder / "annotations")
    write_arrays(folder / "their-features", 2, 2048, "_i3d")
    crc_weights(folder / "rtfm-i3d.pkl", "rtfm_head")


def salient(folder: Path) -> None:
    write_ucf_annotations(folder / "annotations")
    write_arrays(folder / "features/UCF", 2, 2048, "_i3d")
    crc_weights(folder / "SelfAttention-da64-r3-T32-seed9111.pth", "salient_da64-r3")


def saa(folder: Path) -> None:
    write_ucf_annotations(folder / "annotations")
    write_arrays(folder / "their-features", 2, 1024, "", apart=True)
    crc_weights(folder / "saa.pth", "saa_reference_head")


def bameri(folder: Path) -> None:
    (folder / "ped2").mkdir()
    lines = [f"Train{n:03d},,180,10,0," for n in range(1, 17)] + [f"Test{n:03d},,180,10,1,60-180" for n in range(1, 13)]
    (folder / "ped2/annotations.csv").write_text(
        "video_id,official_split,n_frames,fps,label,events\n" + "\n".join(lines)
    )
    for network, dim in (("swin", 1024), ("r3d", 512)):
        (folder / network).mkdir()
        for seed, line in enumerate(lines):
            rows = made_rows(11, dim, anomalous=line.startswith("Test"), seed=seed)
            np.save(folder / network / f"{line.partition(',')[0]}.npy", np.repeat(rows[:, None], 2, axis=1))


WORLDS: dict[str, Callable[[Path], None]] = {
    made.__name__: made for made in (sultani, ekosman, nevinbaiju, salient, saa, topk, rtfm, bameri)
}
"""Name of a page → writes what its reader has into a folder."""

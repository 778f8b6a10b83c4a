"""Extraction on a GPU, beside what bounds it: the decoder alone, the network alone, the copy. Called by extraction.py.

    python benchmarks/extraction.py --device cuda [NAME …] [--seconds 8] [--json]
    python benchmarks/extraction.py --ceiling [--json]
    python benchmarks/extraction.py --parts [--clips 400] [--repeats 5]

All figures are clips of 16 frames per second of wall time, over files of 320x240 that are written here. The plain loop
is that of the CPU benchmark with the network on the GPU. `amiss` is from files to a feature set. `share` is amiss over
the smaller of decoder and network alone.

`--ceiling` needs no GPU: an engine that takes every clip at once shows what decoding and handing over can give.
`--parts` gives it one long video, decoded in one go and in parts, in turn.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec, create_backbone
from amiss.engines import Engine, Prepared, create_engine
from amiss.errors import UsageError
from amiss.features import ExtractedVideo, _readers, extract_videos
from amiss.jobs import extract
from amiss.video import VideoWriter, Yuv
from backbones import draw_clip

NETWORKS = (("r3d_18", 1), ("s3d", 1), ("swin3d_t", 1), ("i3d_resnet50", 1), ("i3d_resnet50", 10))
SIZE, CLIP_LEN, CLIPS_OF_A_VIDEO = (320, 240), 16, 40


class TakesAll(Engine):
    """As a device that is never busy: it looks at one value of each clip."""

    spec = FeatureSpec(backbone="none", weights="none", dim=1)
    name, device, precision, batch = "none", "cuda (none)", "fp32", 64

    def __init__(self, *, takes_planes: bool = True) -> None:
        self.takes_planes = takes_planes

    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        """One value."""
        return (torch.from_numpy(frames[:1, :1, :1].copy()),)

    def prepare_planes(self, planes: NDArray[np.uint8], _: Yuv) -> Prepared:
        """One value."""
        return (torch.from_numpy(planes[:1, :1, :1].copy()),)

    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        """That value."""
        return np.stack([clip.numpy().reshape(-1)[:1, None] for (clip,) in prepared]).astype(np.float32)


def write_videos(folder: Path, count: int, clips: int = CLIPS_OF_A_VIDEO) -> dict[str, Path]:
    """Short videos with moving bodies and camera noise; the same pictures in each, under another name."""
    first = folder / "v0.mp4"
    with VideoWriter(first, 25.0, *SIZE) as writer:
        for _ in range(clips):
            for frame in draw_clip(*SIZE, CLIP_LEN):
                writer.write(frame)
    for i in range(1, count):
        (folder / f"v{i}.mp4").write_bytes(first.read_bytes())
    return {f"v{i}": folder / f"v{i}.mp4" for i in range(count)}


def clips_per_second(videos: dict[str, Path], engine: Engine, out: Path | None = None) -> float:
    """From files to features, or to a feature set."""
    began = time.perf_counter()
    if out is None:
        found = [video for _, video in extract_videos(videos.items(), engine) if isinstance(video, ExtractedVideo)]
        n_clips = sum(len(video.features) for video in found)
    else:
        n_clips = CLIPS_OF_A_VIDEO * len(extract(videos, engine, out).done)
    return n_clips / (time.perf_counter() - began)


def repeated(do: Callable[[], int], seconds: float) -> float:
    """Clips per second of what handles some at each call, median over calls; the first one isn't counted."""
    do()
    rates: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(rates) < 3:
        began = time.perf_counter()
        n_clips = do()
        rates.append(n_clips / (time.perf_counter() - began))
    return statistics.median(rates)


def ceiling(repeats: int) -> dict[str, Any]:
    """What the readers give an engine that is never busy: the decoder's planes, as a GPU takes them, and RGB."""
    cores = os.cpu_count() or 1
    engines = {"planes": TakesAll(), "rgb": TakesAll(takes_planes=False)}
    rates: dict[str, list[float]] = {name: [] for name in engines}
    with tempfile.TemporaryDirectory() as temporary:
        videos = write_videos(Path(temporary), 4 * cores)
        clips_per_second(videos, engines["rgb"])  # workers have started
        for _ in range(repeats):
            for name, engine in engines.items():
                rates[name].append(CLIP_LEN * clips_per_second(videos, engine))
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    return {
        "cores": cores,
        **{f"frames_per_s_{name}": round(statistics.median(found)) for name, found in rates.items()},
        **{f"spread_{name}": [round(min(found)), round(max(found))] for name, found in rates.items()},
        "planes_to_rgb": round(statistics.median(ratios), 2),
        "frames_per_s_per_core": round(statistics.median(rates["planes"]) / cores),
    }


def measure_parts(clips: int, repeats: int) -> dict[str, Any]:
    """One long video in one go, by one process with as many threads as there are cores, and in parts."""
    rates: dict[str, list[float]] = {"one go": [], "parts": []}
    _readers._SPLITS_FROM = 2
    with tempfile.TemporaryDirectory() as temporary:
        path = write_videos(Path(temporary), 1, clips)["v0"]
        engine = TakesAll()
        for _ in range(repeats + 1):
            for name, least in (("one go", CLIP_LEN * clips), ("parts", CLIP_LEN * clips // (os.cpu_count() or 1))):
                _readers._PART_FRAMES = least
                rates[name].append(CLIP_LEN * clips_per_second({"v0": path}, engine))
    ratios = [b / a for a, b in zip(rates["one go"][1:], rates["parts"][1:], strict=True)]  # the first warms up
    return {
        "cores": os.cpu_count(),
        "frames": CLIP_LEN * clips,
        **{f"frames_per_s_{name.replace(' ', '_')}": round(statistics.median(r[1:])) for name, r in rates.items()},
        "ratio": round(statistics.median(ratios), 2),
        "spread": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def measure_device(
    name: str, crops: int, device: str, seconds: float, plain_loop: Callable[..., None]
) -> dict[str, Any]:
    """One network on a device."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        videos = write_videos(folder, 2 * (os.cpu_count() or 1))
        decoder = max(clips_per_second(videos, TakesAll()) for _ in range(2))
        backbone = create_backbone(name, "random", crops=crops)
        engine = create_engine(backbone, device)
        clip = draw_clip(*SIZE, CLIP_LEN)
        batch = [engine.prepare(clip) for _ in range(engine.batch)]
        copy = repeated(lambda: len([engine.prepare(clip) for _ in range(CLIP_LEN)]), seconds / 4)
        alone = {}
        for precision in ("bf16", "fp16"):
            try:
                other = create_engine(backbone, device, precision=precision)
            except UsageError:  # not on this device
                continue
            alone[precision] = repeated(lambda other=other: len(other.run(batch)), seconds / 2)  # type: ignore[misc]
        network = alone.get(engine.precision) or repeated(lambda: len(engine.run(batch)), seconds / 2)
        amiss = [clips_per_second(videos, engine, folder / f"out{i}") for i in range(3)][1:]
        plain = None
        if crops == 1:
            backbone = create_backbone(name, "random").to(device)
            began = time.perf_counter()
            plain_loop(videos["v0"], backbone, folder / "plain.npy", device)
            plain = CLIPS_OF_A_VIDEO / (time.perf_counter() - began)
    best = statistics.median(amiss)
    return {
        "backbone": name,
        "crops": crops,
        "engine": engine.description,
        "batch": engine.batch,
        "plain": plain and round(plain, 1),
        "amiss": round(best, 1),
        "times_plain": plain and round(best / plain, 1),
        "decoder": round(decoder, 1),
        "network": round(network, 1),
        "share": round(best / min(decoder, network), 2),
        "copy_and_prepare": round(copy, 1),
        **{f"network_{precision}": round(rate, 1) for precision, rate in alone.items()},
    }


def name_of(device: str) -> str:
    """The card, in words."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device

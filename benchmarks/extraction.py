"""Extraction from video file to feature set: amiss against the plain loop of the field's feature extractors.

    AMISS_SHARED=… python benchmarks/extraction.py [NAME …] [--clips 16] [--repeats 5] [--threads N] [--json]
    python benchmarks/extraction.py --memory 2 [NAME]
    python benchmarks/extraction.py --device cuda | --ceiling | --parts      (see extraction_device.py)

The plain loop: OpenCV decodes, frames are resized one by one and normalised, PyTorch runs one clip at a time in eager
float32, the features are saved. Both see the first clips of an original UCF-Crime video (320x240) and of a 720p video
that is written here, with random weights; runs alternate, figures are medians. Wall time suffers from other work on the
machine, processor time much less. `engine share` is the time of the engine alone over the time from file to feature
set: decoding and preprocessing are hidden where it is near 1. `floor` is what the network's arithmetic would take at
the rate that a large matrix product reaches in bfloat16 (float32 where the processor has no bfloat16).

`--memory` writes a 720p video of so many hours and tells the peak of the process's memory over that of the idle engine,
for each tenth of the video.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from amiss.backbones import SIZES, Backbone, create_backbone
from amiss.engines import Engine, bfloat16_arithmetic, create_engine
from amiss.features import extract_video
from amiss.jobs import extract
from amiss.video import VideoReader, VideoWriter, cut_clip, iter_clips
from backbones import draw_clip
from extraction_device import NETWORKS, ceiling, measure_device, measure_parts, name_of

DEFAULT = ("r3d_18", "r2plus1d_18", "s3d", "swin3d_t")
UCF = "data/ucf_crime/videos/Normal_Videos_006_x264.mp4"
CLIP_LEN, MATRIX = 16, 2048


def plain_loop(video: Path, backbone: Backbone, out: Path, device: str = "cpu") -> None:
    """What the source systems do, with the same network, sizes and statistics."""
    spec = backbone.spec
    statistics_of_weights = (spec.mean or (0.0,) * 3, spec.std or (1.0,) * 3)
    mean, std = (np.array(x, np.float32).reshape(3, 1, 1, 1) for x in statistics_of_weights)
    capture = cv2.VideoCapture(str(video))
    rows, frames = [], []
    while True:
        there, frame = capture.read()
        if there:
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            frames.append(plain_resize(rgb, spec.resize, int(spec.crop.split()[1])))  # type: ignore[arg-type]  # uint8
        if len(frames) == CLIP_LEN:
            clip = (np.stack(frames).transpose(3, 0, 1, 2).astype(np.float32) / 255 - mean) / std
            with torch.no_grad():
                rows.append(backbone(torch.from_numpy(clip[None]).to(device)).cpu().numpy())
            frames = []
        if not there:
            break
    np.save(out, np.stack(rows))


def plain_resize(frame: NDArray[np.uint8], resize: str, crop: int) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    if resize.startswith("shorter side"):
        side = int(resize.split()[2])
        size = (side * width // min(height, width), side * height // min(height, width))
    else:
        rows, columns = resize.split()[0].split("x")
        size = (int(columns), int(rows))
    frame = cv2.resize(frame, size)  # type: ignore[assignment]  # the same
    top, left = (frame.shape[0] - crop) // 2, (frame.shape[1] - crop) // 2
    return frame[top : top + crop, left : left + crop]


def write_720p(path: Path, clips: int) -> Path:
    """A moving body and camera noise, at 1280x720 and 25 frames/s."""
    with VideoWriter(path, 25.0, 1280, 720) as writer:
        for _ in range(clips):
            for frame in draw_clip(1280, 720, CLIP_LEN):
                writer.write(frame)
    return path


def matrix_rate(threads: int) -> float:
    """GFLOP/s of a large matrix product in bfloat16 (or float32), by processor time."""
    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if bfloat16_arithmetic() else torch.float32
    a, b = (torch.rand(MATRIX, MATRIX).to(dtype) for _ in range(2))
    return threads * 2 * MATRIX**3 / min(seconds(lambda: a @ b)[1] for _ in range(10)) / 1e9


def seconds(do: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - wall, time.process_time() - processor


def measure(name: str, video: Path, clips: int, threads: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Medians of one backbone on one video."""
    backbone = create_backbone(name, "random")
    engine = create_engine(backbone, "cpu", threads)
    images = next(iter(iter_clips(VideoReader(video)))).images
    prepared = engine.prepare(images)
    engine.run([prepared])
    plain, amiss, alone = [], [], []
    for i in range(repeats):
        plain.append(seconds(lambda: plain_loop(video, backbone, folder / "plain.npy")))
        out = folder / f"{name}-{video.stem}-{i}"
        amiss.append(seconds(lambda out=out: extract({"video": video}, engine, out)))  # type: ignore[misc]
        alone.append(seconds(lambda: engine.run([prepared] * clips)))
    found, expected = (np.load(path).reshape(clips, -1) for path in (out / "video.npy", folder / "plain.npy"))
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    wall, processor = zip(*(np.median(runs, axis=0).tolist() for runs in (plain, amiss, alone)), strict=True)
    return {
        "backbone": name,
        "video": video.stem,
        "engine": engine.description,
        "plain_ms": round(1000 * wall[0] / clips, 1),
        "amiss_ms": round(1000 * wall[1] / clips, 1),
        "speedup": round(wall[0] / wall[1], 2),
        "plain_cpu_ms": round(1000 * processor[0] / clips, 1),
        "amiss_cpu_ms": round(1000 * processor[1] / clips, 1),
        "cpu_speedup": round(processor[0] / processor[1], 2),
        "engine_ms": round(1000 * wall[2] / clips, 1),
        "engine_share": round(statistics.median(a[0] / b[0] for a, b in zip(alone, amiss, strict=True)), 2),
        "cosine_to_plain": round(float(cosine.min()), 5),
    }


def write_long(path: Path, hours: float) -> Path:
    """A 720p video that repeats one minute's packets."""
    minute = write_720p(path.with_name("minute.mp4"), 25 * 60 // CLIP_LEN + 1)
    with av.open(str(path), "w") as target:
        stream, offset = None, 0
        for _ in range(round(60 * hours)):
            with av.open(str(minute)) as source:
                video = source.streams.video[0]
                stream = stream or target.add_stream_from_template(video)
                last = 0
                for packet in source.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    last = max(last, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = stream
                    target.mux(packet)
                offset += last
    return path


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure_memory(name: str, hours: float, folder: Path) -> dict[str, Any]:
    """Peak of resident memory over the idle engine, MB, for each tenth of a long video."""
    video = write_long(folder / "long.mp4", hours)
    engine: Engine = create_engine(create_backbone(name, "none" if name == "motion" else "random"), "cpu")
    idle, peaks, share, over = resident_mb(), [0.0] * 10, [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            tenth = min(9, int(10 * share[0]))
            peaks[tenth] = max(peaks[tenth], resident_mb() - idle)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        wall, processor = seconds(lambda: extract_video(video, engine, lambda done: share.__setitem__(0, done)))
    finally:
        over.set()
        watcher.join()
    return {
        "backbone": name,
        "engine": engine.description,
        "hours": hours,
        "idle_mb": round(idle),
        "peak_mb_over_idle_by_tenth": [round(peak) for peak in peaks],
        "wall_s": round(wall, 1),
        "cpu_s": round(processor, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="NAME", help="backbones; default: %(default)s")
    parser.add_argument("--clips", type=int, default=16, help="clips of each video")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory", type=float, metavar="HOURS", help="measure memory on a long video instead")
    parser.add_argument("--device", help="measure on a GPU instead: cuda, cuda:1, …")
    parser.add_argument("--seconds", type=float, default=8, help="for each figure of the GPU that is measured alone")
    parser.add_argument("--ceiling", action="store_true", help="measure what an engine would be given that takes all")
    parser.add_argument("--parts", action="store_true", help="measure a long video in parts against one go")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    if given.ceiling:
        print(json.dumps(ceiling(given.repeats), indent=2))
        return
    if given.parts:
        print(json.dumps(measure_parts(given.clips, given.repeats), indent=2))
        return
    if given.device is not None:
        chosen = [(n, c) for n, c in NETWORKS if given.names is DEFAULT or n in given.names]
        rows = []
        for name, crops in chosen:
            rows.append(measure_device(name, crops, given.device, given.seconds, plain_loop))
            print(rows[-1], file=sys.stderr)
        if given.json:
            print(json.dumps({"device": name_of(given.device), "cores": os.cpu_count(), "rows": rows}, indent=2))
        else:
            show(f"clips of 16 frames per second; {name_of(given.device)}, {os.cpu_count()} cores", rows)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.memory is not None:
            print(json.dumps([measure_memory(name, given.memory, folder) for name in given.names[:1]], indent=2))
            return
        videos = [write_720p(folder / "720p.mp4", given.clips)]
        original = Path(os.environ.get("AMISS_SHARED", "../shared")) / UCF
        if original.is_file():
            cut_clip(original, folder / "ucf_240p.mp4", 0, CLIP_LEN * given.clips)
            videos.insert(0, folder / "ucf_240p.mp4")
        else:
            print(f"no {original}: set AMISS_SHARED", file=sys.stderr)
        rate = matrix_rate(given.threads)
        rows = []
        for name in given.names:
            for video in videos:
                row = measure(name, video, given.clips, given.threads, given.repeats, folder)
                rows.append(row | {"floor_ms": round(1000 * SIZES[name][1] / rate, 1)})
                print(rows[-1], file=sys.stderr)
    if given.json:
        print(json.dumps({"matrix_gflops": round(rate), "threads": given.threads, "rows": rows}, indent=2))
        return
    show(f"ms per clip, {given.threads} threads; matrix product {rate:.0f} GFLOP/s", rows)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """A table."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if column in ("backbone", "video") else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=180).print(table)


if __name__ == "__main__":
    main()

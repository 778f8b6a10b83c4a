"""Speed of backbones from decoded frames to features: preprocessing and network, without decoding.

    python benchmarks/backbones.py [NAME …] [--size 320x240] [--threads 1] [--repeats 10] [--json]

Weights are random: speed doesn't depend on them. Frames are drawn, with a moving body and camera noise. Every figure is
the fastest of the repeats, which other work on the machine disturbs least; with `--threads 1`, frames/s are per core.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from amiss.backbones import create_backbone
from amiss.engines import create_engine

DEFAULT = ("motion", "squeezenet1_1", "motion+squeezenet1_1", "r3d_18", "r2plus1d_18")


def draw_clip(width: int, height: int, frames: int) -> NDArray[np.uint8]:
    """A textured body that walks over a textured ground, with camera noise: [T, H, W, 3]."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.uniform(60, 160, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))[:height, :width]
    body = rng.uniform(0, 255, (height // 4, width // 10, 3))
    clip = np.repeat(ground[None], frames, axis=0)
    for t, frame in enumerate(clip):
        left = width // 4 + 2 * t
        frame[height // 3 : height // 3 + body.shape[0], left : left + body.shape[1]] = body
    return (clip + rng.normal(0, 3, clip.shape)).clip(0, 255).astype(np.uint8)


def measure(name: str, width: int, height: int, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """Milliseconds per clip, and frames/s."""
    backbone = create_backbone(name, "none" if name == "motion" else "random")
    engine = create_engine(backbone, device, threads)
    clip = draw_clip(width, height, engine.spec.clip_len)
    engine.encode([clip])  # warm up
    prepare, run = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        prepared = engine.prepare(clip)
        middle = time.perf_counter()
        engine.run([prepared])
        prepare.append(middle - start)
        run.append(time.perf_counter() - middle)
    prepare_ms, run_ms = (1000 * min(x) for x in (prepare, run))
    return {
        "backbone": name,
        "dim": engine.spec.dim,
        "size": f"{width}x{height}",
        "device": engine.device,
        "threads": threads,
        "prepare_ms": round(prepare_ms, 2),
        "run_ms": round(run_ms, 2),
        "frames_per_s": round(1000 * engine.spec.clip_len / (prepare_ms + run_ms), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="NAME", help="backbones; default: %(default)s")
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT of the frames")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    rows = [measure(name, width, height, given.device, given.threads, given.repeats) for name in given.names]
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(title=f"{given.size}, {given.device}, {given.threads} thread(s); a clip is 16 frames")
    for heading in ("backbone", "dim", "prepare ms/clip", "run ms/clip", "frames/s"):
        table.add_column(heading, justify="left" if heading == "backbone" else "right")
    for row in rows:
        cells = (row[key] for key in ("backbone", "dim", "prepare_ms", "run_ms", "frames_per_s"))
        table.add_row(*map(str, cells))
    Console().print(table)


if __name__ == "__main__":
    main()

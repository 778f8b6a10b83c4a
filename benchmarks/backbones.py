"""Speed of backbones from decoded frames to features: preprocessing and network, without decoding.

    python benchmarks/backbones.py [NAME …] [--size 320x240] [--threads 1] [--repeats 10] [--engines] [--json]

Weights are random: speed doesn't depend on them. Frames are drawn, with a moving body and camera noise. Every figure is
the least processor time of the repeats, which other work on the machine disturbs least; with `--threads 1`, frames/s
are per core. `--engines` measures every engine and precision that is possible here instead of the one that is chosen,
and how far their features are from float32 in torch.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from amiss.backbones import Backbone, create_backbone
from amiss.engines import Engine, create_engine
from amiss.errors import UsageError

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


def possible_engines(backbone: Backbone, device: str, threads: int, every: bool) -> Iterator[Engine]:
    if not every:
        yield create_engine(backbone, device, threads)
        return
    for engine, precision in product(("torch", "openvino"), ("fp32", "bf16")):
        try:
            yield create_engine(backbone, device, threads, engine=engine, precision=precision)
        except UsageError as error:
            print(f"{backbone.spec.backbone}: {error}", file=sys.stderr)


def measure(engine: Engine, width: int, height: int, threads: int, repeats: int) -> dict[str, Any]:
    """Milliseconds per clip, frames/s, and the features."""
    clip = draw_clip(width, height, engine.spec.clip_len)
    features = engine.encode([clip])  # warm up
    prepare, run = [], []
    for _ in range(repeats):
        start = time.process_time()
        prepared = engine.prepare(clip)
        middle = time.process_time()
        engine.run([prepared])
        prepare.append(middle - start)
        run.append(time.process_time() - middle)
    prepare_ms, run_ms = (1000 * min(x) for x in (prepare, run))
    return {
        "backbone": engine.spec.backbone,
        "dim": engine.spec.dim,
        "size": f"{width}x{height}",
        "engine": engine.description,
        "threads": threads,
        "prepare_ms": round(prepare_ms, 2),
        "run_ms": round(run_ms, 2),
        "frames_per_s": round(1000 * engine.spec.clip_len / (prepare_ms + run_ms), 1),
        "features": features.ravel().astype(float),
    }


def with_cosines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of one backbone, with the cosine of their features to those of the first row in their place."""
    vectors = [row.pop("features") for row in rows]
    for row, vector in zip(rows, vectors, strict=True):
        cosine = vector @ vectors[0] / np.linalg.norm(vector) / np.linalg.norm(vectors[0])
        row["cosine"] = round(float(cosine), 7)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="NAME", help="backbones; default: %(default)s")
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT of the frames")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--engines", action="store_true", help="measure all engines and precisions")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    rows = []
    for name in given.names:
        backbone = create_backbone(name, "none" if name == "motion" else "random")
        engines = possible_engines(backbone, given.device, given.threads, given.engines)
        rows += with_cosines([measure(engine, width, height, given.threads, given.repeats) for engine in engines])
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(title=f"{given.size}, {given.device}, {given.threads} thread(s); a clip is 16 frames")
    for heading in ("backbone", "engine", "dim", "prepare ms/clip", "run ms/clip", "frames/s", "cosine"):
        table.add_column(heading, justify="left" if heading in ("backbone", "engine") else "right")
    for row in rows:
        cells = (row[key] for key in ("backbone", "engine", "dim", "prepare_ms", "run_ms", "frames_per_s", "cosine"))
        table.add_row(*map(str, cells))
    Console().print(table)


if __name__ == "__main__":
    main()

"""Very large feature sets: opening, looking up, appending and verifying an index of 100 000 videos, and training that
reads its bags from the disk, in a process that may use less memory than they take.

    OMP_NUM_THREADS=1 python benchmarks/feature_index.py --out FOLDER [--videos 100000] [--training] [--memory-mb 1500]

FOLDER is kept, and used again. Every figure is taken in a process of its own. `--training` compares steps a second
with all bags in memory and with all of them on the disk, by turns, in the same run; on Linux, where memory groups can
be made (root), the second one is held to `--memory-mb`, cache of the disk included, so that it has to read.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from amiss.backbones import FeatureSpec
from amiss.features import FeatureRecord, FeatureSetWriter, open_feature_set, verify

SMALL = FeatureSpec(backbone="numbers", weights="none", dim=64, dtype="float16")
LARGE = FeatureSpec(backbone="numbers", weights="none", dim=2048, dtype="float16", segments=32, pooling="mean")
PER_SHARD = 5000
RECIPES = ["sultani2018", "rtfm"]
_GROUPS = Path("/sys/fs/cgroup")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--videos", type=int, default=100_000)
    options.add_argument("--training", action="store_true")
    options.add_argument("--bags", type=int, default=12_000)
    options.add_argument("--steps", type=int, default=60)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--memory-mb", type=int, default=1500)
    options.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    options.add_argument("--step", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.step:
        print(json.dumps(STEPS[args.step](args)))
        return
    if args.training:
        print(json.dumps(compare_training(args), indent=2))
        return
    result: dict[str, Any] = {"videos": args.videos}
    for layout in ("shards", "files"):
        make_set(args.out / layout, args.videos, layout)
        result[layout] = {step: run(args, step, layout) for step in ("open", "look_up", "append", "verify_sample")}
    result["index_mb"] = (args.out / "shards" / "index.jsonl").stat().st_size / 1e6
    print(json.dumps(result, indent=2))


def run(args: argparse.Namespace, step: str, layout: str, memory_mb: int | None = None) -> Any:
    """A step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--out", str(args.out / layout), "--steps", str(args.steps)]
    command += ["--videos", str(args.videos), "--bags", str(args.bags)]
    group = None if memory_mb is None else _group(memory_mb)

    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=enter)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{step}: {error.stderr}")
    finally:
        if group is not None:
            group.rmdir()
    return json.loads(done.stdout.splitlines()[-1])


def _group(memory_mb: int) -> Path:
    """A memory group of the system."""
    first = (_GROUPS / "memory").is_dir()
    folder = _GROUPS / ("memory" if first else "") / f"amiss-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    (folder / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(memory_mb << 20))
    return folder


def make_set(folder: Path, videos: int, layout: str) -> None:
    """Videos of 1 to 8 clips; nothing where they are there already."""
    if (folder / "index.jsonl").exists():
        return
    rng = np.random.default_rng(0)
    with FeatureSetWriter(folder, SMALL) as writer:
        for first in range(0, videos, PER_SHARD):
            group = []
            for number in range(first, min(first + PER_SHARD, videos)):
                rows = rng.normal(size=(number % 8 + 1, 1, 64)).astype(np.float16)
                name = f"camera{number % 97:02d}__2026-11-{number % 28 + 1:02d}_{number:07d}"
                group.append((record_of(name, rows), rows, None))
            writer.add_shard(group)
    if layout == "files":
        unpack(folder)


def record_of(name: str, rows: Any) -> FeatureRecord:
    n = len(rows)
    return FeatureRecord(video_id=name, n_clips=n, n_frames=16 * n, fps=25.0, sha256="", engine="openvino cpu bf16")


def unpack(folder: Path) -> None:
    """A file for each video, without waiting for the disk after each."""
    features = open_feature_set(folder)
    lines = []
    for name in sorted(features.records):
        np.save(folder / f"{name}.npy", np.asarray(features.load(name)))
        record = features.records[name]
        lines.append(FeatureRecord(**{f: getattr(record, f) for f in record.__slots__ if f not in ("shard", "row")}))
    (folder / "index.jsonl").write_text("".join(record.to_line() for record in lines))
    for shard in (folder / "shards").iterdir():
        shard.unlink()


def timed(work: Callable[[], object], repeats: int = 5) -> dict[str, float]:
    wall, cpu = [], []
    for _ in range(repeats):
        began, began_cpu = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    return {"seconds": min(wall), "median": statistics.median(wall), "cpu_seconds": min(cpu)}


def memory_mb() -> float:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def step_open(args: argparse.Namespace) -> dict[str, float]:
    import amiss.features._verify  # noqa: F401  # with all that it needs

    before = memory_mb()
    kept = open_feature_set(args.out)
    used = memory_mb() - before
    assert kept.records
    return {"memory_mb": used, **timed(lambda: open_feature_set(args.out))}


def step_look_up(args: argparse.Namespace) -> dict[str, float]:
    features = open_feature_set(args.out)
    names = np.random.default_rng(1).choice(list(features.records), 10_000).tolist()
    found = timed(lambda: [features.load(name).sum() for name in names], 3)
    return {"microseconds_each": found["seconds"] * 100, "cpu_microseconds_each": found["cpu_seconds"] * 100}


def step_append(args: argparse.Namespace) -> dict[str, float]:
    """Open, add a video, put the index in order."""

    def add() -> None:
        with FeatureSetWriter(args.out, SMALL) as writer:
            writer.add(f"new_{uuid.uuid4().hex}", np.zeros((3, 1, 64), np.float16), 48, 25.0)

    return timed(add, 3)


def step_verify_sample(args: argparse.Namespace) -> dict[str, float]:
    features = open_feature_set(args.out)
    faults: list[object] = []
    found = timed(lambda: faults.extend(verify(features, 1000)), 3)
    assert not faults, faults[:3]
    return found


def compare_training(args: argparse.Namespace) -> dict[str, Any]:
    """Steps a second, by turns; of each recipe the ratio of the medians."""
    make_bags(args.out / "bags", args.bags)
    result: dict[str, Any] = {"bags_mb": args.bags * 32 * 2048 * 4 >> 20, "memory_mb": args.memory_mb}
    for recipe in args.recipes:
        pairs = []
        for _ in range(args.repeats):
            in_memory = run(args, f"{recipe}:memory", "bags")
            forget(args.out / "bags")
            pairs.append((in_memory, run(args, f"{recipe}:disk", "bags", args.memory_mb)))
        whole, streamed = ([pair[i]["steps_a_second"] for pair in pairs] for i in (0, 1))
        ratio = statistics.median(streamed) / statistics.median(whole)
        peaks = {"memory": pairs[0][0]["peak_mb"], "disk": pairs[0][1]["peak_mb"]}
        result[recipe] = {"memory": whole, "disk": streamed, "ratio": ratio, "peak_mb": peaks}
    return result


def forget(folder: Path) -> None:
    """Empty the cache of these files: what is there counts to the group of whoever read it first."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make_bags(folder: Path, count: int) -> None:
    if (folder / "index.jsonl").exists():
        return
    rng = np.random.default_rng(0)
    with FeatureSetWriter(folder, LARGE) as writer:
        for first in range(0, count, 500):
            group = []
            for number in range(first, first + 500):
                rows = rng.normal(size=(32, 1, 2048)).astype(np.float16)
                rows[: 4 * (number % 2)] += 1
                group.append((record_of(f"v{number:06d}", rows), rows, None))
            writer.add_shard(group)


def step_train(recipe_name: str, is_streamed: bool) -> Callable[[argparse.Namespace], dict[str, float]]:
    def step(args: argparse.Namespace) -> dict[str, float]:
        import torch

        from amiss.datasets import Video
        from amiss.training import _bags, fit_normalisation, load_bags, load_recipe, resolve_recipe
        from amiss.training._classes import make_head
        from amiss.training._loop import TrainingLoop

        torch.set_num_threads(1)
        _bags._IN_MEMORY = 0 if is_streamed else 1 << 62
        features = open_feature_set(args.out)
        recipe = resolve_recipe(load_recipe(recipe_name), features)
        recipe = recipe.model_copy(update={"evaluate_every": args.steps})
        videos = [Video(video_id=name, split="train", label=int(name[1:]) % 2) for name in features.records]
        normalisation = fit_normalisation(recipe, videos[:100], features)
        bags, none = (load_bags(recipe, part, features, normalisation) for part in (videos, []))
        loop = TrainingLoop(recipe, make_head(recipe, 2048), bags, none, seed=0)
        log: Any = type("Log", (), {"write": lambda *_: None})()
        steps = []
        loop.advance(log, lambda _: steps.append(time.perf_counter()))
        rates = 1 / np.diff(steps[5:])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"steps_a_second": float(1 / np.mean(1 / rates)), "peak_mb": peak}

    return step


STEPS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "open": step_open,
    "look_up": step_look_up,
    "append": step_append,
    "verify_sample": step_verify_sample,
    **{f"{r}:{w}": step_train(r, w == "disk") for r in RECIPES for w in ("memory", "disk")},
}


if __name__ == "__main__":
    main()

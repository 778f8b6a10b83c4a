"""Is it slower than it was? Another version of amiss and this one, side by side in one run.

    git worktree add ../before REVISION
    AMISS_SHARED=… python benchmarks/before_after.py ../before --out DIR [--what extraction training watch] [--rounds 7]

Both versions run the same commands as processes of their own, with the same environment; they take turns, so that other
work on the machine falls on both. `extraction`: `amiss extract` of UCSD Ped2 with `motion` and of an original UCF-Crime
video with `r3d_18`, random weights. `training`: 100 steps of `topk` on UCF-Crime's C3D features. `watch`: eight cameras
of an RTSP server for `--minutes`, both at the same time, with `motion`. What counts is processor time (of `watch` for
each picture), as other work disturbs it less than the clock; figures are medians of the rounds, and the ratio's spread
is that of the ratios within a round. Start-up is part of it. Writes `DIR/before_after.json`.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from amiss.files import write_json
from watch import cpu_s, eight_cameras, ped2_detector, rtsp_server, shared_data

HERE = Path(__file__).parents[1]
WHAT = ("extraction", "training", "watch")
PORTS = {"before": 8767, "after": 8768}


@dataclass(frozen=True)
class Compared:
    """Processor time of both versions."""

    what: str
    before_s: float
    after_s: float
    ratio: float
    """After / before: the median over rounds of the ratio within a round."""
    lowest: float
    highest: float
    rounds: int


def amiss(tree: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """A command of the version in a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    command = [sys.executable, "-m", "amiss", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def processor_s(process: subprocess.Popen[bytes]) -> float:
    """Wait for a command's end; its user and system time, its children's included."""
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{process.args!r} failed: {said.decode(errors='replace')[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def compared(what: str, times: Sequence[tuple[float, float]]) -> Compared:
    """From (before, after) of each round."""
    ratios = [after / before for before, after in times]
    before, after = (statistics.median(column) for column in zip(*times, strict=True))
    return Compared(what, before, after, statistics.median(ratios), min(ratios), max(ratios), len(ratios))


def in_turns(what: str, trees: dict[str, Path], rounds: int, out: Path, *arguments: object) -> Compared:
    """Run a command in both trees, `rounds` times; `{out}` in it is a new folder. The first of a round changes."""
    times = []
    for number in range(rounds + 1):  # the first round warms up caches
        found = {}
        for name in sorted(trees, reverse=number % 2 == 0):
            folder = out / f"{what.split()[0]}-{name}-{number}"
            found[name] = processor_s(amiss(trees[name], *(str(a).replace("{out}", str(folder)) for a in arguments)))
        times.append((found["before"], found["after"]))
        print(f"{what}: before {times[-1][0]:.1f} s, after {times[-1][1]:.1f} s", flush=True)
    return compared(what, times[1:])


def extraction(trees: dict[str, Path], rounds: int, out: Path) -> list[Compared]:
    """Files to feature sets."""
    ped2, video = shared_data() / "ucsd_ped2" / "videos", shared_data() / "ucf_crime" / "videos"
    return [
        in_turns("motion, UCSD Ped2", trees, rounds, out, "extract", ped2, "--backbone", "motion", "--out", "{out}"),
        in_turns("r3d_18, UCF-Crime", trees, rounds, out, "extract", video, "--backbone", "r3d_18", "--weights",
                 "random", "--out", "{out}"),
    ]  # fmt: skip


def training(trees: dict[str, Path], rounds: int, out: Path) -> list[Compared]:
    """A head."""
    manifest, features = out / "ucf.csv", out / "c3d"
    root = shared_data() / "ucf_crime"
    if not manifest.exists():
        processor_s(amiss(HERE, "dataset", "build", "ucf-crime", "--root", root, "--out", manifest))
        processor_s(amiss(HERE, "features", "import", root / "c3d_features.npz", "--out", features))
        keep_only(manifest, {path.stem for path in features.glob("*.npy")})
    return [in_turns("topk, UCF-Crime C3D", trees, rounds, out, "train", "topk", "--data", manifest, "--features",
                     features, "--out", "{out}", "--set", "steps=100", "--set", "selection.patience=null")]  # fmt: skip


def keep_only(manifest: Path, videos: set[str]) -> None:
    """Leave only these videos in a manifest."""
    head, *rows = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text(head + "".join(row for row in rows if row.split(",")[0] in videos), encoding="utf-8")


@contextmanager
def watching(tree: Path, name: str, out: Path, address: str, detector: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = out / f"watch-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "detector": str(detector.resolve()),
        "cameras": {camera: {"url": f"{address}/{camera}"} for camera in eight_cameras(out)},
        "http": {"port": PORTS[name]},
    }
    (folder / "watch.yaml").write_text(json.dumps(config), encoding="utf-8")
    process = amiss(tree, "watch", folder / "watch.yaml", "--log", folder / "scores.jsonl")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def watch(trees: dict[str, Path], minutes: float, out: Path) -> list[Compared]:
    """Eight cameras, both versions at the same time; a round is a tenth of the time."""
    detector, times = ped2_detector(out), []
    with rtsp_server(eight_cameras(out)) as address, ExitStack() as stack:
        running = {n: stack.enter_context(watching(tree, n, out, address, detector)) for n, tree in trees.items()}
        time.sleep(30)  # connections, first clips
        used = {name: cpu_s(process.pid) for name, process in running.items()}
        scored = {name: n_lines(out / f"watch-{name}" / "scores.jsonl") for name in running}
        for _ in range(10):
            time.sleep(minutes * 6)
            found = {}
            for name, process in running.items():
                now_s, now = cpu_s(process.pid), n_lines(out / f"watch-{name}" / "scores.jsonl")
                found[name] = (now_s - used[name]) / (now - scored[name])
                print(f"{name}: {now - scored[name]} scores, {now_s - used[name]:.1f} s", flush=True)
                used[name], scored[name] = now_s, now
            times.append((found["before"], found["after"]))
    return [compared("watch, each score", times)]


def n_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the other version")
    parser.add_argument("--what", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=10, help="of watching")
    arguments = parser.parse_args()
    trees = {"before": arguments.before.resolve(), "after": HERE}
    found: list[Compared] = []
    if "extraction" in arguments.what:
        found += extraction(trees, arguments.rounds, arguments.out)
    if "training" in arguments.what:
        found += training(trees, arguments.rounds, arguments.out)
    if "watch" in arguments.what:
        found += watch(trees, arguments.minutes, arguments.out)
    table = Table(title="Processor time: another version and this one")
    for column in ("", "before, s", "after, s", "after / before", "lowest to highest"):
        table.add_column(column)
    for row in found:
        spread = f"{row.lowest:.3f} to {row.highest:.3f}"
        table.add_row(row.what, f"{row.before_s:.4g}", f"{row.after_s:.4g}", f"{row.ratio:.3f}", spread)
    Console().print(table)
    write_json(arguments.out / "before_after.json", [asdict(row) for row in found])


if __name__ == "__main__":
    main()

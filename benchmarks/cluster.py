"""Extraction in process, in local processes and on Ray: what the way costs, and what a second worker brings.

    AMISS_SHARED=… python benchmarks/cluster.py [NAME] [--videos 24] [--repeats 3] [--json]

The same videos (the first ones of `data/surveillance_fights`) are extracted with random weights: in this process, by
one and by two processes, by one and by two workers of Ray on this machine. The ways take turns; figures are medians.
The time goes from the first task to the last result, by workers that have done one video before: `ready` is what comes
before. `of here` is the time over that in this process: below 1 is faster.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from amiss.executors import Executor, InProcess, LocalProcesses, RayCluster
from amiss.jobs._extraction import EngineChoice, Extraction, extract_on

CPUS = len(os.sched_getaffinity(0))
WAYS: dict[str, Callable[[], Executor]] = {
    "here": InProcess,
    "1 process": lambda: LocalProcesses(1),
    "1 Ray worker": lambda: RayCluster("local", 1, CPUS),
    "2 processes": lambda: LocalProcesses(2, max(1, CPUS // 2)),
    "2 Ray workers": lambda: RayCluster("local", 2, max(1, CPUS // 2)),
}


def measure(executor: Executor, job: Extraction, videos: dict[str, Path]) -> tuple[float, float, int]:
    """Seconds until all workers are ready; seconds of the job; its clips."""
    began = time.perf_counter()
    with executor.start(job) as run:
        first = next(iter(videos.values()))
        for _ in extract_on(run, {f"first{i}": first for i in range(4)}, splits=False):
            pass
        ready = time.perf_counter() - began
        began = time.perf_counter()
        clips = 0
        for video_id, found, _ in extract_on(run, videos, splits=False):
            if isinstance(found, Exception):
                sys.exit(f"{video_id}: {found}")
            clips += len(found.features)
        return ready, time.perf_counter() - began, clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="motion")
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = Path(os.environ["AMISS_SHARED"]) / "data" / "surveillance_fights" / "videos"
    videos = {path.stem: path for path in sorted(folder.glob("*.mp4"))[: arguments.videos]}
    choice = EngineChoice(backbone=arguments.name, weights="default" if arguments.name == "motion" else "random")
    job = Extraction(choice, choice.create_backbone().spec)
    found: dict[str, list[tuple[float, float, int]]] = {way: [] for way in WAYS}
    for _ in range(arguments.repeats):
        for way, executor in WAYS.items():
            found[way].append(measure(executor(), job, videos))
            print(f"{way}: {found[way][-1][1]:.1f} s", file=sys.stderr)
    ratio = {way: statistics.median(t[1] / here[1] for t, here in zip(f, found["here"], strict=True))
             for way, f in found.items()}  # fmt: skip
    rows = [
        {
            "way": way,
            "ready_s": statistics.median(t[0] for t in times),
            "job_s": statistics.median(t[1] for t in times),
            "clips_per_s": statistics.median(t[2] / t[1] for t in times),
            "of_here": ratio[way],
        }
        for way, times in found.items()
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("way", "ready s", "job s", "clips/s", "of here", title=f"{arguments.name}, {len(videos)} videos")
    for row in rows:
        table.add_row(str(row["way"]), *(f"{row[key]:.2f}" for key in ("ready_s", "job_s", "clips_per_s", "of_here")))
    Console().print(table)


if __name__ == "__main__":
    main()

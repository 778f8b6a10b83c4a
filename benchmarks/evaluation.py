"""How long and how much memory a whole evaluation takes at the size of the UCF-Crime test set.

290 videos, 1.1 million frames, 1 000 bootstrap replicates; aim: at most 20 s and 1 GB on 2 cores.

    python benchmarks/evaluation.py [--out DIR] [--rounds N]

Each round runs in a process of its own, so that peak memory is that of one evaluation. Medians over rounds, with the
smallest and largest. Writes `DIR/evaluation.json`.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from pathlib import Path

import numpy as np

from amiss.datasets import Manifest, Video
from amiss.evaluation import Scores, VideoScores, evaluate
from amiss.files import write_json

CLASSES = ("Abuse", "Arrest", "Arson", "Assault", "Burglary", "Explosion", "Fighting", "RoadAccidents", "Robbery")
N_ANOMALOUS, N_NORMAL = 140, 150


def make_test_set(rng: np.random.Generator) -> Manifest:
    """Videos with a long-tailed length, as UCF-Crime's; anomalous ones have one event of a fifth of their length."""
    lengths = np.sort(rng.lognormal(7.55, 1.0, N_ANOMALOUS + N_NORMAL)).astype(int) + 100
    lengths = (lengths * 1_111_808 / lengths.sum()).astype(int)
    rng.shuffle(lengths)
    videos = []
    for index, n_frames in enumerate(lengths.tolist()):
        anomalous = index < N_ANOMALOUS
        start = int(rng.integers(0, n_frames - n_frames // 5))
        events = ((start, start + n_frames // 5),) if anomalous else ()
        name = CLASSES[index % len(CLASSES)] if anomalous else None
        videos.append(
            Video(
                video_id=f"v{index}",
                split="test",
                label=int(anomalous),
                class_name=name,
                n_frames=n_frames,
                fps=30,
                events=events,
            )
        )
    return Manifest(tuple(videos))


def make_scores(manifest: Manifest, per_frame: bool, rng: np.random.Generator) -> Scores:
    """A smooth random walk per video, raised in events, all scores distinct: one per 16 frames, or one per frame."""
    scores: Scores = {}
    for video in manifest.videos:
        n_frames = video.n_frames or 1
        walk = np.cumsum(rng.standard_normal(n_frames)) / 60 + rng.normal()
        for start, end in video.events:
            walk[start:end] += 1.5
        values = 1 / (1 + np.exp(-walk))
        scores[video.video_id] = VideoScores(values if per_frame else values[::16])
    return scores


def measure(per_frame: bool) -> dict[str, float]:
    """One evaluation in this process: wall and processor seconds, peak memory of the process in MB, frames."""
    rng = np.random.default_rng(0)
    manifest = make_test_set(rng)
    scores = make_scores(manifest, per_frame, rng)
    started, processor = time.perf_counter(), time.process_time()
    result = evaluate(scores, manifest, "exact", n_bootstrap=1000)
    return {
        "wall_s": time.perf_counter() - started,
        "processor_s": time.process_time() - processor,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "frames": result.n_frames,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {"16 frames": [], "frame": []}
    for _ in range(arguments.rounds):
        for what, runs in rounds.items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                runs.append(pool.apply(measure, (what == "frame",)))
    print(f"{'one score per':14}{'frames':>10}{'wall s':>22}{'processor s':>22}{'peak MB':>22}")
    for what, runs in rounds.items():
        row = f"{what:14}{runs[0]['frames']:>10}"
        for key, digits in (("wall_s", 1), ("processor_s", 1), ("peak_mb", 0)):
            values = [run[key] for run in runs]
            middle, low, high = statistics.median(values), min(values), max(values)
            row += f"{f'{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})':>22}"
        print(row)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / "evaluation.json", rounds)


if __name__ == "__main__":
    main()

"""How long and how much memory a whole evaluation takes at the size of the UCF-Crime test set.

290 videos, 1.1 million frames, 1 000 bootstrap replicates; aim: at most 20 s and 1 GB on 2 cores.

    python benchmarks/evaluation.py [clips|frames]
"""

import resource
import sys
import time

import numpy as np

from amiss.datasets import Manifest, Video
from amiss.evaluation import Scores, VideoScores, evaluate

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


def main() -> None:
    per_frame = sys.argv[1:] == ["frames"]
    rng = np.random.default_rng(0)
    manifest = make_test_set(rng)
    scores = make_scores(manifest, per_frame, rng)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    result = evaluate(scores, manifest, "exact", n_bootstrap=1000)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    low, high = result.ci95["auc"]
    print(f"{result.n_videos} videos, {result.n_frames} frames, one score per {'frame' if per_frame else '16 frames'}")
    print(f"AUC {result.auc:.4f} [{low:.4f}, {high:.4f}]")
    print(
        f"{seconds:.1f} s (CPU {after.ru_utime - before.ru_utime:.1f} s), peak memory {after.ru_maxrss / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    main()

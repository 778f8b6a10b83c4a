"""Mark a video and alert, the demo of github.com/nevinbaiju/anomaly-detection, with two thresholds as there.

From `--base` on a clip is logged; from `--alert` on a message is due, at most one a minute. After `amiss demo`, from
the same folder:

    python examples/nevinbaiju_marked_video.py demo/detector demo/data/unseen.mp4 --out results
"""

import argparse
import json
from pathlib import Path

import amiss
from amiss.detection import AlarmSettings, find_alarms
from amiss.evaluation import figure_png
from amiss.jobs import score_figure
from amiss.video import annotate_video


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--base", type=float, default=0.3, help="scores from here on are logged")
    parser.add_argument("--alert", type=float, default=0.6, help="scores from here on alert")
    parser.add_argument("--out", type=Path, default=Path("marked-video"))
    asked = parser.parse_args()
    out = asked.out
    out.mkdir(parents=True, exist_ok=True)

    # Score the video: one number per clip of 16 frames.
    result = amiss.Detector.load(asked.detector).score(asked.video)
    spans, scores = [(clip.start, clip.end) for clip in result.clips], [clip.score for clip in result.clips]
    print(f"{asked.video.name}: {len(scores)} clips, largest score {max(scores):.0%}")

    # The marked video, and the plot with a picture of each part.
    events = [(event.start, event.end) for event in result.events]
    annotate_video(asked.video, out / "marked.mp4", spans, scores, events, result.threshold, times=result.times)
    (out / "scores.png").write_bytes(figure_png(score_figure(result, asked.video)))

    # The log: every clip from the lower threshold on.
    clips = [(clip.start_s, clip.end_s, clip.score) for clip in result.clips]
    logged = [{"seconds": round(start, 2), "anomaly_score": score} for start, _, score in clips if score >= asked.base]
    (out / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in logged), encoding="utf-8")
    print(f"{len(logged)} clips at {asked.base:.0%} or more: log.jsonl")

    # The alerts: an alarm begins at the higher threshold and lasts until scores fall below the lower one.
    settings = AlarmSettings(on=asked.alert, off=min(asked.base, asked.alert), smoothing_s=0, cooldown_s=60)
    for alarm in find_alarms(clips, settings):
        print(f"ALERT {alarm.started_s:.1f} s to {alarm.ended_s:.1f} s, score {alarm.peak_score:.0%}")
    print(f"marked.mp4 and scores.png are in {out}; `amiss watch` does this for cameras, and sends the messages")


if __name__ == "__main__":
    main()

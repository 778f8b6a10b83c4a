"""Score a video from Python: print its events and draw its score over time.

After `amiss demo`, from the same folder:

    python examples/python_api.py demo/detector demo/data/unseen.mp4 --out curve.png
"""

import argparse
from pathlib import Path

import amiss
from amiss.evaluation import figure_png
from amiss.jobs import score_figure


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--out", type=Path, default=Path("curve.png"))
    arguments = parser.parse_args()

    # --8<-- [start:score]
    detector = amiss.Detector.load(arguments.detector)
    result = detector.score(arguments.video)
    print(f"{result.n_frames} frames, {len(result.clips)} clips, largest score {result.peak:.2f}")
    for event in result.events:
        print(f"{event.start_s:.1f} s to {event.end_s:.1f} s, score {event.score:.2f}")
    # --8<-- [end:score]

    # --8<-- [start:plot]
    arguments.out.write_bytes(figure_png(score_figure(result, arguments.video)))
    result.write_json(arguments.out.with_suffix(".json"))
    # --8<-- [end:plot]
    print(f"{arguments.out} and {arguments.out.with_suffix('.json')} are written")


if __name__ == "__main__":
    main()

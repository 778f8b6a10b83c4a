"""How often heads that tell classes apart name the right one: of anomalous test videos, the class of the highest clip.

    python benchmarks/classes.py --data MANIFEST --features FEATURES DETECTOR [DETECTOR …]

The detectors are those of one recipe and several seeds; `amiss detect` names an event in the same way. Beside them:
always the class that most training videos have. Prints Markdown.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amiss.datasets import Video, read_manifest
from amiss.detection import Detector
from amiss.features import FeatureSet, open_feature_set


def named(detector: Detector, videos: Sequence[Video], features: FeatureSet) -> list[str]:
    """The class of each video's highest clip."""
    found = []
    for video in videos:
        rows = features.load(video.video_id)
        classes = detector.clip_classes(rows)
        if classes is None:
            raise SystemExit("this detector's head tells no classes apart: train it with head_options.classes")
        found.append(classes[int(detector.logits(rows).argmax())])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detectors", type=Path, nargs="+", help="folders, of one recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    arguments = parser.parse_args()
    manifest, features = read_manifest(arguments.data), open_feature_set(arguments.features)
    videos = [video for video in manifest.split("test") if video.label and video.video_id in features.records]
    if not videos:
        raise SystemExit("the manifest has no anomalous test video with features: nothing to measure")
    right = np.array([video.class_name for video in videos])
    shares = [
        float(np.mean(right == np.array(named(Detector.load(folder), videos, features))))
        for folder in arguments.detectors
    ]
    counts = Counter(video.class_name for video in manifest.split("train") if video.label)
    most = max(counts, key=counts.__getitem__, default=None)
    print(f"| of {len(videos)} anomalous test videos | named rightly |\n|---|--:|")
    print(f"| {len(shares)} detectors | {np.mean(shares):.2f} ± {np.std(shares):.2f} |")
    print(f"| always {most} | {np.mean(right == most):.2f} |")


if __name__ == "__main__":
    main()

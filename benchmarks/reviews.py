"""What reviews are worth, on real videos: a detector is taught by reviews of its own alerts, given through the API.

    python benchmarks/reviews.py MANIFEST FEATURES --out DIR [--repeats N] [--recipe NAME] [--on SCORE] [--watch]

The manifest's videos need a `group` (the recording that clips were cut from), and groups stay whole. Each repeat draws
half of the groups to train the first detector on (A). Of the other half, two thirds are seen by it (R), and one third
is held out (H). Each video of R whose live score reaches the detector's threshold, or `--on`, is an event; with
`--watch` it is `amiss watch` that sees R, as a folder, and raises them. Every event is reviewed through the API of
`amiss serve`, as the label of its video says: confirmed, or false alarm. Then the detector is retrained on A and the
reviewed clips, and both are measured on H, whole videos, by their highest score. For comparison: retrained on A and all
of R, as if somebody had labelled what wasn't raised, too. Intervals resample groups. For the clips of fights:

    amiss dataset build surveillance-fights --root ../shared/data/surveillance_fights --out fights.csv
    amiss extract fights.csv --backbone motion --out features
    python benchmarks/reviews.py fights.csv features --out reviews
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sklearn.metrics import roc_auc_score

from amiss.datasets import Manifest, Video, read_manifest, write_manifest
from amiss.detection import Detector, causal_offline_scores
from amiss.features import FeatureSet, open_feature_set
from amiss.files import write_json
from amiss.jobs import retrain_detector
from amiss.training import load_recipe, train
from amiss.watch import CameraEvent, open_archive, open_store
from amiss.watch.teach import export_reviews

AMISS = (sys.executable, "-m", "amiss")
REPLICATES = 2000
START = datetime(2026, 1, 1, tzinfo=UTC)
DETECTORS = ("old", "new", "all")


def draw(videos: Sequence[Video], seed: int) -> tuple[list[Video], list[Video], list[Video]]:
    """A, R and H: half, a third, and a sixth of the groups."""
    groups = sorted({video.group or video.video_id for video in videos})
    order = [groups[i] for i in np.random.default_rng([15, seed]).permutation(len(groups))]
    half, rest = len(order) // 2, len(order) // 2 + (len(order) - len(order) // 2) * 2 // 3
    parts = order[:half], order[half:rest], order[rest:]
    first, second, third = ([v for v in videos if (v.group or v.video_id) in part] for part in parts)
    return first, second, third


def write_config(folder: Path, detector: Path, seen: Path, on: float | None) -> Path:
    """Of a watcher of a folder."""
    folder.mkdir(parents=True)
    alarm = "smoothing_s: 0" + (f", on: {on}" if on is not None else "")
    config = folder / "watch.yaml"
    config.write_text(
        f"detector: {detector.absolute()}\nhttp: {{port: 0}}\n"
        f"defaults: {{alarm: {{{alarm}}}, record: {{pre_s: 5, post_s: 5}}}}\n"
        f"cameras: {{street: {{url: 'folder:{seen.absolute()}'}}}}\n"
    )
    return config


def watch(folder: Path, videos: Sequence[Video], detector: Path, on: float | None) -> Path:
    """Let `amiss watch` see the videos as a folder; returns its configuration."""
    seen = folder / "seen"
    config = write_config(folder, detector, seen, on)
    seen.mkdir()
    for video in videos:
        assert video.path is not None
        shutil.copyfile(video.path, seen / f"{video.video_id}{video.path.suffix}")
    with (folder / "watch.log").open("wb") as log:
        subprocess.run([*AMISS, "watch", str(config), "--once"], check=True, stderr=log)
    return config


def score(
    folder: Path, videos: Sequence[Video], detector: Path, on: float | None, features: FeatureSet
) -> Path:  # fmt: skip
    """Raise the events that live scores of stored features raise, each with its whole video; returns a configuration
    of a watcher that has nothing to see any more."""
    (folder.parent / "nothing").mkdir(parents=True)
    config = write_config(folder, detector, folder.parent / "nothing", on)
    loaded = Detector.load(detector)
    threshold = on if on is not None else loaded.calibration.threshold
    store = open_store(f"sqlite:///{folder / 'amiss.db'}", folder / "state" / "spool")
    for number, video in enumerate(videos):
        assert video.path is not None
        scores = causal_offline_scores(loaded, features.load(video.video_id))
        if scores.max() < threshold:
            continue
        started = START + timedelta(minutes=number)
        event_id = uuid.uuid5(uuid.NAMESPACE_OID, video.video_id).hex
        clip = folder / "media" / "2026-01-01" / "street" / f"{event_id}.mp4"
        clip.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(video.path, clip)
        store.save_event(
            CameraEvent(
                event_id=event_id, camera="street", state="closed", started=started,
                ended=started + timedelta(seconds=2), peak=started + timedelta(seconds=1),
                peak_score=float(scores.max()), threshold_on=threshold, threshold_off=0.8 * threshold,
                detector=str(detector), detector_sha256="", feature_spec=loaded.spec.hash, trace=(),
                clip=str(clip.relative_to(folder / "media")), file=video.path.name, file_s=0.0,
            )
        )  # fmt: skip
    store.close(60)
    return config


@contextmanager
def served(config: Path) -> Iterator[httpx.Client]:
    """Somebody who has logged in to `amiss serve`."""
    log = config.parent / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen([*AMISS, "serve", str(config)], stderr=file, env=os.environ | {"NO_COLOR": "1"})
    try:
        url = password = None
        while url is None or password is None:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
            text = log.read_text()
            url, password = re.search(r"open (http\S+)", text), re.search(r"password (\S+)", text)
        with httpx.Client(base_url=url[1], headers={"Sec-Fetch-Site": "same-origin"}, timeout=60) as client:
            client.post("/api/v1/login", json={"name": "admin", "password": password[1]}).raise_for_status()
            yield client
    finally:
        process.terminate()
        process.wait(60)


def review(client: httpx.Client, labels: dict[str, int]) -> dict[str, int]:
    """Judge every event by its video's label, as somebody would who looks at it."""
    counts = {"confirmed": 0, "false-alarm": 0}
    cursor = None
    while True:
        asked = {"verdict": "none", "order": "oldest", "limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/events", params=asked).raise_for_status().json()
        for event in page["events"]:
            video_id = Path(event["place"].rpartition(" at ")[0]).stem
            verdict = "confirmed" if labels[video_id] else "false-alarm"
            answer = client.post(f"/api/v1/events/{event['event_id']}/reviews", json={"verdict": verdict})
            answer.raise_for_status()
            counts[verdict] += 1
        cursor = page["next"]
        if cursor is None:
            return counts


def one_repeat(
    folder: Path, manifest: Manifest, features: FeatureSet, seed: int, args: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Teach once; returns counts, and each detector's scores of H."""
    first, watched, held_out = draw(manifest.videos, seed)
    first = [replace(video, split="train") for video in first]
    train(load_recipe(args.recipe), Manifest(tuple(first)), features, folder / "first", seed=seed)
    old = folder / "first" / "selected"
    if args.watch:
        config = watch(folder / "watch", watched, old, args.on)
    else:
        config = score(folder / "watch", watched, old, args.on, features)
    with served(config) as client:
        counts = review(client, {video.video_id: video.label for video in watched})
    archive = open_archive(f"sqlite:///{config.parent / 'amiss.db'}")
    bags = export_reviews(archive, config.parent / "media", Detector.load(old), folder / "bags", held_out=0)
    archive.close()
    write_manifest(Manifest(tuple(first)), folder / "first.csv")
    base = (folder / "first.csv", features.folder)
    retrain_detector(old, (bags.manifest, bags.features), folder / "new", base=base, seed=seed)
    everything = Manifest(tuple(replace(video, split="train") for video in (*first, *watched)))
    train(load_recipe(args.recipe), everything, features, folder / "all", seed=seed)
    folders = {"old": old, "new": folder / "new/run/selected", "all": folder / "all/selected"}
    scores = {}
    for name, where in folders.items():
        detector = Detector.load(where)
        scores[name] = {v.video_id: float(detector.score_features(features.load(v.video_id)).max()) for v in held_out}
        threshold = detector.calibration.threshold
        reached = {
            label: [scores[name][v.video_id] >= threshold for v in held_out if v.label == label] for label in (0, 1)
        }
        counts[f"{name}: found"] = float(np.mean(reached[1]))  # type: ignore[assignment]
        counts[f"{name}: false alarms"] = float(np.mean(reached[0]))  # type: ignore[assignment]
    said = {
        "seed": seed, "trained on": len(first), "watched": len(watched), "held out": len(held_out),
        "fights watched": sum(video.label for video in watched), **counts, "without clip": len(bags.without_clip),
    }  # fmt: skip
    return said, scores


def intervals(videos: dict[str, Video], repeats: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over repeats, and 95 % intervals over groups drawn anew: of each detector, and of what it is better by."""
    groups = sorted({video.group or video.video_id for video in videos.values()})
    place = {group: i for i, group in enumerate(groups)}
    rng = np.random.default_rng(0)
    draws = np.vstack(
        [np.ones(len(groups)), rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), REPLICATES)]
    )

    def auc(scores: dict[str, float], weights: Any) -> float:
        ids = list(scores)
        own = np.array([weights[place[videos[i].group or i]] for i in ids])
        labels = np.array([videos[i].label for i in ids])
        if not own[labels == 1].any() or not own[labels == 0].any():
            return float("nan")
        return float(roc_auc_score(labels, [scores[i] for i in ids], sample_weight=own))

    means = {n: np.array([np.nanmean([auc(one[n], w) for one in repeats]) for w in draws]) for n in DETECTORS}
    means |= {f"{name} - old": means[name] - means["old"] for name in ("new", "all")}
    return {
        name: {"mean": float(values[0]), "ci95": [float(x) for x in np.nanpercentile(values[1:], [2.5, 97.5])]}
        for name, values in means.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--recipe", default="amiss-causal")
    parser.add_argument("--on", type=float)
    parser.add_argument("--watch", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    manifest, features = read_manifest(args.manifest), open_feature_set(args.features)
    rows, scores = [], []
    for seed in range(args.repeats):
        folder = args.out / f"repeat{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        row, found = one_repeat(folder, manifest, features, seed, args)
        rows.append(row)
        scores.append(found)
        print(
            json.dumps(
                row
                | {
                    n: round(
                        float(roc_auc_score([manifest.by_id[i].label for i in found[n]], list(found[n].values()))), 3
                    )
                    for n in DETECTORS
                }
            ),
            flush=True,
        )
        result = {"repeats": rows, "auc": intervals(manifest.by_id, scores)}
        write_json(args.out / "reviews.json", result)
    print(json.dumps(result["auc"], indent=2))


if __name__ == "__main__":
    main()

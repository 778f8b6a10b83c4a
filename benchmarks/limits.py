"""How far can features take a detector? Evidence for figures that are out of reach, looked at on the test videos.

    python benchmarks/limits.py ceiling --data MANIFEST --features FEATURES [--detector DETECTOR]
    python benchmarks/limits.py learning --data MANIFEST --features FEATURES [--recipe amiss] [--draws 3] [--set K=V …]

`ceiling` teaches ridge regressions the labels of test *frames*, by folds of whole test videos: more than labels of
training videos can teach. They see each clip's features, averaged with its neighbours', and how much changes there;
with a detector of `amiss` also its parts (logit, change and level), so that only their weights are learned.
`learning` trains a recipe on a part of the training videos, drawn per label, and measures it on the test videos: a
curve that still rises asks for more videos, a flat one for other features. Both print Markdown.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold

from amiss.datasets import Manifest, Video, read_manifest
from amiss.detection import Detector
from amiss.evaluation import METRIC_NAMES, Scores, VideoScores, evaluate
from amiss.features import FeatureSet, open_feature_set, row_spans
from amiss.jobs import mean_std, score_videos
from amiss.training import Recipe, load_recipe, train

METRICS = ("auc", "ano_auc", "within", "ap")
SHARES = (0.125, 0.25, 0.5, 1.0)
FOLDS, DRAWS, COMPONENTS = 10, 5, 256
Values = NDArray[np.float64]
View = Callable[[Values], Values]


def measure(scores: Scores, manifest: Manifest) -> list[float]:
    """The metrics of `METRICS`."""
    result = evaluate(scores, manifest, n_bootstrap=0)
    return [float(getattr(result, name)) for name in METRICS]


def labels_of_rows(video: Video, spans: NDArray[np.int64]) -> Values:
    """1 where more than half of a row's frames lie in events, [T]."""
    inside = np.zeros(max(int(spans.max()), *(end for _, end in video.events)) if video.events else int(spans.max()))
    for start, end in video.events:
        inside[start:end] = 1
    return np.array([float(inside[start:end].mean() > 0.5) for start, end in spans])


def around(rows: Values, reach: int) -> Values:
    """Mean over each row and those within reach, [T, D]."""
    return np.stack([rows[max(0, t - reach) : t + reach + 1].mean(axis=0) for t in range(len(rows))])


def change(rows: Values, reach: int = 3) -> Values:
    """Mean distance of the pairs of rows within reach, [T, 1]."""
    found = []
    for t in range(len(rows)):
        near = rows[max(0, t - reach) : t + reach + 1]
        distances = np.linalg.norm(near[:, None] - near[None], axis=-1)
        found.append(distances.sum() / max(1, len(near) * (len(near) - 1)))
    return np.array(found)[:, None]


VIEWS: dict[str, View] = {
    "features": lambda rows: around(rows, 1),
    "change alone": change,
    "features and change": lambda rows: np.hstack([around(rows, 1), change(rows)]),
}


def ceiling(manifest: Manifest, features: FeatureSet, detector: Detector | None) -> list[list[str]]:
    """Rows of a table: what each view reaches where frame labels teach it, over draws of folds."""
    test, taught = _usable(manifest.split("test"), features), _usable(manifest.split("train", "val"), features)
    reduce = _reduction([_stored(features, video) for video in taught])
    rows = {video.video_id: reduce(_stored(features, video)) for video in test}
    spans = {video.video_id: row_spans(video, features) for video in test}
    truth = {video.video_id: labels_of_rows(video, spans[video.video_id]) for video in test}
    views = {name: {video_id: view(own) for video_id, own in rows.items()} for name, view in VIEWS.items()}
    if detector is not None:
        views["parts of the detector"] = {v.video_id: parts(detector, features.load(v.video_id)) for v in test}
    table = []
    for name, seen in views.items():
        each = []
        for draw in range(DRAWS):
            logits = taught_by_frames(test, seen, truth, draw)
            scores = {
                video_id: VideoScores(own, tuple((int(start), int(end)) for start, end in spans[video_id]))
                for video_id, own in logits.items()
            }
            each.append(measure(scores, manifest))
        table.append([name, *_cells(each)])
    return table


def taught_by_frames(
    test: Sequence[Video], seen: dict[str, Values], truth: dict[str, Values], draw: int
) -> dict[str, Values]:
    """Probabilities [T] of each test video, by a ridge regression on the labels of the other folds' rows."""
    labels = [video.label for video in test]
    n_folds = min(FOLDS, labels.count(0), labels.count(1))
    found = {}
    for others, own in StratifiedKFold(n_folds, shuffle=True, random_state=draw).split(labels, labels):
        x = np.concatenate([seen[test[i].video_id] for i in others])
        y = np.concatenate([truth[test[i].video_id] for i in others])
        weight = np.where(y == 1, 0.5 / y.sum(), 0.5 / (1 - y).sum())
        centre = weight @ x
        x = x - centre
        gram = x.T @ (x * weight[:, None])
        penalty = np.trace(gram) / len(gram) * np.eye(len(gram))
        w = np.linalg.solve(gram + penalty, x.T @ (weight * (2 * y - 1)))
        for i in own:
            logits = (seen[test[i].video_id] - centre) @ w
            found[test[i].video_id] = 1 / (1 + np.exp(-logits))
    return found


def parts(detector: Detector, stored: NDArray[np.floating]) -> Values:
    """Logit, change and level of each clip as `amiss` sees them, each over its deviation in training, [T, 3]."""
    x_CTD = torch.from_numpy(np.array(detector.normalisation.apply(stored), dtype=np.float32)).transpose(0, 1)
    with torch.inference_mode():
        extras = detector.head(x_CTD).extras
    columns = [extras[name].mean(dim=0).double().numpy() for name in ("logit", "change", "level")]
    means, deviations = np.asarray(detector.head.scales, dtype=np.float64).T
    return np.asarray((np.stack(columns, axis=-1) - means) / deviations)


def _usable(videos: Sequence[Video], features: FeatureSet) -> list[Video]:
    """Those that have features, not all zero."""
    return [video for video in videos if video.video_id in features and features.load(video.video_id).any()]


def _stored(features: FeatureSet, video: Video) -> Values:
    """Rows [T, D], mean over crops; segments brought to unit length, as theirs grows with the video's."""
    rows: Values = features.load(video.video_id).mean(axis=1).astype(np.float64)
    return rows if features.spec.segments is None else rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _reduction(rows: Sequence[Values]) -> View:
    """Projection on the principal components of training rows, or each number over its deviation where they are few."""
    joined = np.concatenate(rows)
    if joined.shape[1] <= COMPONENTS:
        return lambda own: own / (joined.std(axis=0) + 1e-6)
    pca = PCA(COMPONENTS, random_state=0, svd_solver="randomized").fit(joined[:: len(joined) // 8192 + 1])
    return lambda own: np.asarray(pca.transform(own))


def learning(manifest: Manifest, features: FeatureSet, recipe: Recipe, draws: int) -> list[list[str]]:
    """Rows of a table: what the recipe reaches with a share of the training videos."""
    usable = _usable(manifest.split("train", "val"), features)
    table = []
    for share in SHARES:
        each = []
        for draw in range(1 if share == 1 else draws):
            rng = np.random.default_rng(draw)  # the same order for every share: larger draws hold the smaller ones
            kept = []
            for label in (0, 1):
                same = [video for video in usable if video.label == label]
                kept += [same[i] for i in rng.permutation(len(same))[: max(2, round(share * len(same)))]]
            part = Manifest((*kept, *manifest.split("test")), manifest.source)
            with tempfile.TemporaryDirectory() as folder:
                train(recipe, part, features, Path(folder) / "run", seed=draw)
                scores, _ = score_videos(Detector.load(Path(folder) / "run" / "selected"), features, part.split("test"))
            each.append(measure(scores, part))
        table.append([f"{share:.1%}", str(len(kept)), *_cells(each)])
    return table


def _cells(each: Sequence[Sequence[float]]) -> list[str]:
    columns = [mean_std(column) or (float("nan"), 0.0) for column in zip(*each, strict=True)]
    return [f"{mean:.3f} ± {std:.3f}" if len(each) > 1 else f"{mean:.3f}" for mean, std in columns]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ceiling", "learning"])
    parser.add_argument("--data", type=Path, required=True, help="manifest")
    parser.add_argument("--features", type=Path, required=True, help="feature set")
    parser.add_argument("--detector", type=Path, help="of the recipe amiss, for ceiling")
    parser.add_argument("--recipe", default="amiss", help="of amiss recipes")
    parser.add_argument("--set", action="append", default=[], help="field=value of the recipe")
    parser.add_argument("--draws", type=int, default=3, help="of training videos, for each share but the whole")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    manifest, features = read_manifest(arguments.data), open_feature_set(arguments.features)
    names = [METRIC_NAMES[name] for name in METRICS]
    if arguments.what == "ceiling":
        header, table = (
            ["taught by frame labels", *names],
            ceiling(manifest, features, Detector.load(arguments.detector) if arguments.detector else None),
        )
    else:
        recipe = load_recipe(arguments.recipe, ["calibration.folds=0", *arguments.set])
        header, table = ["training videos", "number", *names], learning(manifest, features, recipe, arguments.draws)
    for row in (header, ["---", *["--:"] * (len(header) - 1)], *table):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()

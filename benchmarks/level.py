"""What `amiss` could judge the level of a video by: other ways, out of fold on training videos, then on the test.

    python benchmarks/level.py --data MANIFEST --features FEATURES [--glances FILE]

Classifier, localiser and change are those of `amiss`, all three in use; only the level differs. A video's score is its
highest. On training videos every part is learned from the other folds of whole videos. Prints Markdown.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from amiss.datasets import Glances, Manifest, Video, read_glances, read_manifest
from amiss.evaluation import VideoScores, evaluate
from amiss.features import FeatureSet, open_feature_set, row_spans
from amiss.heads import moments, standardised
from amiss.heads._amiss_fit import _Bags, _Fit, _fit_taught, _folds
from limits import COMPONENTS, Values, around, change

LEVELS = (
    "highest quarter, by the rounds (what `amiss` does)",
    "highest quarter, by the labels of videos alone",
    "mean, by the labels of videos alone",
    "support vectors on the mean of the video",
    "support vectors on mean, maximum, minimum and deviation",
)
FOLDS, INNER, REPEATS, ROUNDS = 5, 3, 2, 3
Judge = Callable[[Values], list[Values]]


def highest_quarter(logits: Values) -> float:
    """Mean of the highest quarter of a video's logits [T]."""
    return float(np.sort(logits)[-max(1, len(logits) // 4) :].mean())


def statistics(rows: Values) -> Values:
    """Mean, maximum, minimum and deviation of a video's rows [T, K], [4 K]."""
    return np.concatenate([rows.mean(axis=0), rows.max(axis=0), rows.min(axis=0), rows.std(axis=0)])


def learn(rows: Sequence[Values], labels: NDArray[np.intp], seed: int) -> Judge:
    """From projected rows [T, K] of training videos: what gives a video's scores [T], by each of `LEVELS`."""
    data = _Bags([around(x, 1).astype(np.float32) for x in rows], 1, labels, 1.0)
    whole = [np.full(len(x), float(label)) for x, label in zip(rows, labels, strict=True)]
    changes = [change(x)[:, 0] for x in rows]
    draws = np.random.default_rng(seed)
    folds = [_folds(labels, INNER, draws) for _ in range(REPEATS)]
    untaught = _Fit.mean([_fit_taught(data, whole, fold, 0) for fold in folds])
    taught = _Fit.mean([_fit_taught(data, whole, fold, ROUNDS) for fold in folds])
    localiser = _Fit.mean([_fit_taught(data, whole, fold, ROUNDS, standardised(changes)) for fold in folds])
    machines = [support_vectors(view, rows, labels, folds[0]) for view in (lambda x: x.mean(axis=0), statistics)]
    lifted = [_lifted(s, level) for s, level in zip(localiser.scores, taught.scores, strict=True)]
    scales = [moments(lifted), moments(changes)]
    kinds = [(taught, highest_quarter), (untaught, highest_quarter), (untaught, lambda s: float(s.mean()))]
    spread = [moments([np.array([level(s)]) for s in fit.scores]) for fit, level in kinds]

    def judge(x: Values) -> list[Values]:
        seen = around(x, 1)
        logit = _lifted(seen @ localiser.weights + localiser.bias, seen @ taught.weights + taught.bias)
        clips = [(part - mean) / std for part, (mean, std) in zip((logit, change(x)[:, 0]), scales, strict=True)]
        levels = [
            (level(seen @ fit.weights + fit.bias) - mean) / std
            for (fit, level), (mean, std) in zip(kinds, spread, strict=True)
        ]
        levels += [machine(x) for machine in machines]
        return [sum(log_expit(part) for part in clips) + log_expit(level) for level in levels]

    return judge


def support_vectors(
    view: Callable[[Values], Values], rows: Sequence[Values], labels: NDArray[np.intp], fold: NDArray[np.intp]
) -> Callable[[Values], float]:
    """A video's level by a Gaussian kernel on what `view` makes of its rows, in the scale of the levels out of fold."""
    x = np.stack([view(own) for own in rows])
    found = np.zeros(len(x))
    for k in range(INNER):
        found[fold == k] = SVC().fit(x[fold != k], labels[fold != k]).decision_function(x[fold == k])
    mean, std, machine = found.mean(), found.std(), SVC().fit(x, labels)
    return lambda own: float((machine.decision_function(view(own)[None])[0] - mean) / std)


def _lifted(localiser: Values, classifier: Values) -> Values:
    return localiser + (highest_quarter(classifier) - highest_quarter(localiser))


def click_auc(videos: Sequence[Video], scores: Sequence[Values], features: FeatureSet, glances: Glances) -> float:
    """AUC of clicked clips, each video's counting together as one, against the frames of normal videos."""
    chosen: list[tuple[float, int, float]] = []  # score, whether it is clicked, weight
    for video, own in zip(videos, scores, strict=True):
        spans = row_spans(video, features)
        if video.label == 0:
            chosen += [(score, 0, float(end - start)) for score, (start, end) in zip(own, spans, strict=True)]
        elif video.video_id in glances:
            clicks = np.asarray(glances[video.video_id])
            clips = np.unique(np.searchsorted(spans[:, 0], clicks, side="right") - 1)
            chosen += [(score, 1, 1 / len(clips)) for score in own[clips]]
    values, truth, weight = zip(*chosen, strict=True)
    return float(roc_auc_score(truth, values, sample_weight=weight))


def compare(manifest: Manifest, features: FeatureSet, glances: Glances | None) -> list[list[str]]:
    """Rows of a table, one for each of `LEVELS`."""

    def stored(video: Video) -> Values:
        rows: Values = features.load(video.video_id).mean(axis=1).astype(np.float64)
        return rows if features.spec.segments is None else rows / np.linalg.norm(rows, axis=1, keepdims=True)

    used = [v for v in manifest.videos if v.video_id in features and features.load(v.video_id).any()]
    train, test = ([v for v in used if (v.split == "test") == is_test] for is_test in (False, True))
    joined = np.concatenate([stored(video) for video in train])
    pca = PCA(COMPONENTS, random_state=0, svd_solver="randomized").fit(joined[:: len(joined) // 8192 + 1])
    del joined
    rows = [pca.transform(stored(video)) for video in train]
    labels = np.array([video.label for video in train])
    held_out: list[list[Values]] = [[] for _ in train]
    for k, (fit, own) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels)):
        judge = learn([rows[i] for i in fit], labels[fit], k)
        for i in own:
            held_out[i] = judge(rows[i])
    judge = learn(rows, labels, 0)
    tested = [judge(pca.transform(stored(video))) for video in test]
    spans = [tuple((int(a), int(b)) for a, b in row_spans(video, features)) for video in test]
    table = []
    for number, name in enumerate(LEVELS):
        own = [scores[number] for scores in held_out]
        scored = {
            video.video_id: VideoScores(np.exp(scores[number]), where)
            for video, scores, where in zip(test, tested, spans, strict=True)
        }
        result = evaluate(scored, Manifest(tuple(test), manifest.source), n_bootstrap=0)
        clicked = "" if glances is None else f"{click_auc(train, own, features, glances):.3f}"
        of_videos = roc_auc_score(labels, [s.max() for s in own])
        table.append([name, f"{of_videos:.3f}", clicked, f"{result.video_auc:.3f}", f"{result.auc:.3f}"])
    return table


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="manifest")
    parser.add_argument("--features", type=Path, required=True, help="feature set")
    parser.add_argument("--glances", type=Path, help="clicked frames of training videos")
    arguments = parser.parse_args()
    manifest, features = read_manifest(arguments.data), open_feature_set(arguments.features)
    glances = None if arguments.glances is None else read_glances(arguments.glances, manifest)
    header = [
        "level by",
        "video AUC, training",
        "clicked clips against normal videos",
        "video AUC, test",
        "frame AUC, test",
    ]
    for row in (header, ["---", *["--:"] * 4], *compare(manifest, features, glances)):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()

"""Which criterion orders localisers as clicks do? Many variants, scored out of fold on training videos.

    python benchmarks/selection.py --data MANIFEST --features FEATURES --glances GLANCES [--out DIR]

Features are segments, the same number for every video (UCF-Crime's C3D: `amiss features import`). Rows are made
unit-length, reduced to 256 dimensions by PCA and averaged over neighbours. Variants are ridge regressions on inherited
labels and on pseudo-labels by each video's own rank, those times the change factor d, linear and hidden-layer MIL heads
with top-k pooling, and controls (noise added, the video's mean, the middle, the length). Each criterion needs labels of
whole videos only. Writes `DIR/selection.json` and `.md`: rank correlations with glance rank, over all variants and over
those that are no controls, and which variant each criterion would take. Takes half an hour on one core.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from amiss.datasets import read_glances, read_manifest
from amiss.evaluation import ClickedScores, measure_glances
from amiss.features import open_feature_set, row_spans
from amiss.files import write_json, write_text

DIM, FOLDS, SEED = 256, 3, 0
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """V training videos of T segments."""

    rows: Values
    """[V, T, D] unit-length, by PCA."""
    labels: NDArray[np.intp]
    """[V]"""
    fold: NDArray[np.intp]
    """[V]"""
    lengths: Values
    """[V] frames."""
    clicked: dict[int, ClickedScores]
    """Video → its spans and clicks; scores are put in by variant."""


def load(manifest_file: Path, features_folder: Path, glances_file: Path) -> Data:
    """Read, normalise, reduce."""
    manifest, features = read_manifest(manifest_file), open_feature_set(features_folder)
    glances = read_glances(glances_file, manifest)
    videos = [v for v in manifest.split("train") if v.video_id in features and features.load(v.video_id).any()]
    rows = np.stack([np.asarray(features.load(v.video_id), np.float32).mean(axis=1) for v in videos])
    rows /= np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-9)
    flat = rows.reshape(-1, rows.shape[2])
    centred = flat - flat.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred / len(flat))
    x_VTD = (centred @ vectors[:, ::-1][:, :DIM]).reshape(*rows.shape[:2], -1).astype(np.float64)
    labels = np.array([v.label for v in videos], dtype=np.intp)
    fold, rng = np.empty(len(videos), np.intp), np.random.default_rng(SEED)
    for label in (0, 1):
        own = np.flatnonzero(labels == label)
        fold[rng.permutation(own)] = np.arange(len(own)) % FOLDS
    spans = [row_spans(v, features) for v in videos]
    clicked = {
        i: ClickedScores((), spans[i], glances[v.video_id]) for i, v in enumerate(videos) if v.video_id in glances
    }
    return Data(x_VTD, labels, fold, np.array([s[-1, 1] for s in spans], np.float64), clicked)


def smoothed(values: Values, reach: int) -> Values:
    """Mean over neighbouring segments, [V, T, …]."""
    length = values.shape[1]
    windows = [slice(max(0, t - reach), min(length, t + reach + 1)) for t in range(length)]
    return np.stack([values[:, window].mean(axis=1) for window in windows], axis=1)


def ranks(scores: Values) -> Values:
    """Of each segment within its video, 0..1."""
    found: Values = (np.apply_along_axis(rankdata, 1, scores) - 1) / (scores.shape[1] - 1)
    return found


def change(x_VTD: Values, reach: int) -> Values:
    """How much changes here: mean pairwise distance of rows in a window, standardised."""
    length = x_VTD.shape[1]
    found = np.empty(x_VTD.shape[:2])
    for t in range(length):
        window = x_VTD[:, max(0, t - reach) : min(length, t + reach + 1)]
        count = window.shape[1]
        products = window @ window.swapaxes(1, 2)
        norms = np.einsum("vtt->vt", products)
        squared = norms[:, :, None] + norms[:, None] - 2 * products
        found[:, t] = np.sqrt(np.maximum(squared, 0)).sum(axis=(1, 2)) / (count * (count - 1))
    return standardised(found)


def standardised(scores: Values) -> Values:
    """Mean 0, deviation 1 over all segments."""
    found: Values = (scores - scores.mean()) / scores.std()
    return found


def ridge(data: Data, x_VTD: Values, strength: float, before: Values | None = None, kind: str = "") -> Values:
    """Out-of-fold scores of class-balanced ridge regression; of pseudo-labels by the rank of the scores `before`."""
    targets = np.repeat(data.labels[:, None], x_VTD.shape[1], axis=1).astype(np.float64)
    used = np.ones_like(targets)
    anomalous = data.labels == 1
    if before is not None:
        upper = ranks(smoothed(before, 1))[anomalous] >= (0.75 if kind == "quarter" else 0.5)
        if kind == "drop":
            used[anomalous] = upper
        else:
            targets[anomalous] = upper
    scores = np.empty_like(targets)
    for fold in range(FOLDS):
        rest = data.fold != fold
        x, t, w = x_VTD[rest].reshape(-1, x_VTD.shape[2]), targets[rest].ravel(), used[rest].ravel()
        w = w / np.where(t == 1, (w * (t == 1)).sum(), (w * (t == 0)).sum()) / 2
        mean, level = w @ x, w @ t
        gram = ((x - mean) * w[:, None]).T @ (x - mean)
        penalty = strength * np.trace(gram) / len(gram) * np.eye(len(gram))
        slope = np.linalg.solve(gram + penalty, (x - mean).T @ (w * (t - level)))
        scores[~rest] = (x_VTD[~rest] - mean) @ slope + level
    return scores


def top_k(data: Data, x_VTD: Values, k: int, steps: int, hidden: bool) -> Values:
    """Out-of-fold logits of a head with top-k pooling, trained by gradient."""
    scores = np.empty(x_VTD.shape[:2])
    scaled = torch.from_numpy(x_VTD / x_VTD.std(axis=(0, 1)).mean()).float()
    labels = torch.from_numpy(data.labels).float()
    for fold in range(FOLDS):
        torch.manual_seed(SEED)
        rng = np.random.default_rng(SEED)
        layers = [torch.nn.Linear(DIM, 64), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 1)]
        net = torch.nn.Sequential(*(layers if hidden else [torch.nn.Linear(DIM, 1)]))
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-3)
        of_label = [np.flatnonzero((data.fold != fold) & (data.labels == label)) for label in (0, 1)]
        for _ in range(steps):
            batch = np.concatenate([rng.choice(own, 30) for own in of_label])
            bags = net(scaled[batch])[..., 0].topk(k, dim=1).values.mean(dim=1)
            optimiser.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(bags, labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        net.eval()
        with torch.inference_mode():
            scores[data.fold == fold] = net(scaled[data.fold == fold])[..., 0].numpy()
    return scores


def variants(data: Data) -> Iterator[tuple[str, bool, Values]]:
    """Name, whether it is a control, scores."""
    base: dict[str, Values] = {}
    for dim, reach, strengths in ((DIM, 1, (0.1, 1.0, 10.0)), (DIM, 0, (1.0,)), (64, 1, (1.0,)), (DIM, 3, (1.0,))):
        x_VTD = smoothed(data.rows[..., :dim], reach)
        for strength in strengths:
            named = f"{dim}-d ±{reach} λ{strength:g}"
            scores = first = ridge(data, x_VTD, strength)
            yield f"r0 {named}", False, scores
            for turn in (1, 2, 3):
                scores = ridge(data, x_VTD, strength, scores)
                yield f"r{turn} {named}", False, scores
                if (dim, reach, strength, turn) == (DIM, 1, 1.0, 1):
                    base = {"r0": first, "r1": scores}
            for kind in ("drop", "quarter"):
                yield f"r1 {kind} {named}", False, ridge(data, x_VTD, strength, first, kind)
    changes = {reach: change(data.rows, reach) for reach in (1, 3, 6)}
    for name, scores in base.items():
        for reach, d in changes.items():
            yield f"{name} σ(z)σ(d ±{reach})", False, 1 / (1 + np.exp(-standardised(scores))) / (1 + np.exp(-d))
        yield f"{name} - half its mean", False, scores - scores.mean(axis=1, keepdims=True) / 2
        yield f"{name} smoothed ±3", False, smoothed(scores, 3)
        noise = np.random.default_rng(SEED).standard_normal(scores.shape)
        yield f"{name} + noise", True, standardised(scores) + noise
        yield f"{name}, the video's mean", True, scores.mean(axis=1, keepdims=True) + 1e-9 * scores
    for reach, d in changes.items():
        yield f"d ±{reach} alone", True, d
    count = data.rows.shape[1]
    nearness = -np.abs(2 * np.arange(count) + 1.0 - count)
    yield "middle first", True, np.tile(nearness, (len(data.labels), 1))
    noise = np.random.default_rng(SEED).standard_normal((len(data.labels), count))
    yield "shorter video first", True, -np.log(data.lengths)[:, None] + 1e-6 * noise
    x_VTD = smoothed(data.rows, 1)
    for hidden in (False, True):
        for k in (1, 4, 16, 32):
            for steps in (60, 300):
                yield (
                    f"topk k={k} {'hidden' if hidden else 'linear'} {steps}",
                    False,
                    top_k(data, x_VTD, k, steps, hidden),
                )


CRITERIA: dict[str, Callable[[Values, NDArray[np.intp]], float]] = {
    "clips: AUC over segments": lambda s, y: roc_auc_score(np.repeat(y, s.shape[1]), s.ravel()),
    "video AUC, by the highest score": lambda s, y: roc_auc_score(y, s.max(axis=1)),
    "video AUC, by the mean of the top quarter": lambda s, y: roc_auc_score(y, _quarter(s, 1)),
    "top quarter's AUC - bottom quarter's": lambda s, y: (
        roc_auc_score(y, _quarter(s, 1)) - roc_auc_score(y, _quarter(s, -1))
    ),
    "spread: AUC by the standard deviation": lambda s, y: roc_auc_score(y, s.std(axis=1)),
    "AUC by highest - median": lambda s, y: roc_auc_score(y, s.max(axis=1) - np.median(s, axis=1)),
    "AUC by the deviation of ranks among all": lambda s, y: roc_auc_score(
        y, rankdata(s.ravel()).reshape(s.shape).std(axis=1)
    ),
}


def _quarter(scores: Values, side: int) -> Values:
    """Mean of the highest (1) or lowest (-1) quarter of each video."""
    ordered = np.sort(side * scores, axis=1)
    mean: Values = side * ordered[:, -(scores.shape[1] // 4) :].mean(axis=1)
    return mean


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all variants and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "features", "glances"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("selection"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = load(options.data, options.features, options.glances)
    rows: list[dict[str, Any]] = []
    for name, is_control, scores in variants(data):
        clicked = {str(i): ClickedScores((scores[i],), c.spans, c.clicks) for i, c in data.clicked.items()}
        found = measure_glances(clicked)
        assert found is not None
        values = {criterion: float(measure(scores, data.labels)) for criterion, measure in CRITERIA.items()}
        rows.append({"name": name, "control": is_control, "rank": found.rank, "hit": found.peak_hit, **values})
        print(f"{name:32} glance rank {found.rank:.3f}, peak hit {found.peak_hit:.3f}", flush=True)
    real = [row for row in rows if not row["control"]]
    lines = [
        f"Spearman correlation with glance rank, over {len(rows)} variants and the {len(real)} that are no controls; "
        "and of the latter the one that the criterion takes.\n",
        "| criterion | all | no controls | takes | its glance rank |",
        "|---|--:|--:|---|--:|",
    ]
    for criterion in [*CRITERIA, "rank"]:
        over = [float(spearmanr([r[criterion] for r in some], [r["rank"] for r in some])[0]) for some in (rows, real)]
        best = max(real, key=lambda row: row[criterion])
        label = "glances" if criterion == "rank" else criterion
        lines.append(f"| {label} | {over[0]:+.2f} | {over[1]:+.2f} | {best['name']} | {best['rank']:.3f} |")
    write_json(options.out / "selection.json", rows)
    write_text(options.out / "selection.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

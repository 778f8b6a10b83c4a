"""What parts of fused features are worth, alone, in one vector, and by late fusion: which video is anomalous?

    python benchmarks/fusion.py MANIFEST.csv FEATURES [--head pooled] [--draws 5]

Five folds, groups of the manifest kept whole, drawn anew as often as told. The head is fitted to the normalised clips
of four folds and scores the fifth; the AUC is of all videos' highest scores, as mean ± standard deviation over the
draws. Nothing is selected or calibrated, so that the figures are of features and head alone.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from amiss.datasets import read_manifest
from amiss.detection import Normalisation
from amiss.features import open_feature_set
from amiss.heads import create_head

FOLDS = 5
Rows = list[NDArray[np.float32]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("manifest")
    arguments.add_argument("features", help="a feature set of several backbones")
    arguments.add_argument("--head", default="pooled", help="one that is fitted at once: pooled or amiss")
    arguments.add_argument("--draws", type=int, default=5)
    given = arguments.parse_args()
    features = open_feature_set(given.features)
    videos = [video for video in read_manifest(given.manifest).videos if video.video_id in features]
    rows = [np.asarray(features.load(video.video_id), np.float32).swapaxes(0, 1) for video in videos]
    labels = np.array([video.label for video in videos])
    groups = np.array([video.group or video.video_id for video in videos])
    parts = features.spec.parts or (features.spec,)
    ends = np.cumsum([part.dim for part in parts])
    ways: list[tuple[str, slice, str, dict[str, object]]] = [
        (part.backbone, slice(int(end) - part.dim, int(end)), given.head, {})
        for part, end in zip(parts, ends, strict=True)
    ]
    if len(parts) > 1:
        blocks = {"head": given.head, "blocks": [part.dim for part in parts]}
        ways += [("one vector", slice(None), given.head, {}), ("late fusion", slice(None), "late-fusion", blocks)]
    print(f"{len(videos)} videos, {labels.sum()} anomalous, {len(set(groups))} groups")
    base: NDArray[np.float64] | None = None
    for name, columns, head, options in ways:
        part_rows = [row[..., columns] for row in rows]
        found = np.array([_auc(part_rows, labels, groups, draw, head, options) for draw in range(given.draws)])
        base = found if base is None else base
        gain = found - base
        print(
            f"{name:24} {found.mean():.3f} ± {found.std(ddof=1):.3f}   against the first {gain.mean():+.3f} "
            f"({gain.min():+.3f} to {gain.max():+.3f})",
            flush=True,
        )


def _auc(
    rows: Rows, labels: NDArray[np.intp], groups: NDArray[np.str_], draw: int, head: str, options: dict[str, object]
) -> float:
    """Video AUC of one draw of folds; rows are [C, T, D] per video."""
    scores = np.zeros(len(rows))
    torch.manual_seed(draw)
    for fit, unseen in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=draw).split(labels, labels, groups):
        normalisation = Normalisation.fit(
            "standard", np.concatenate([rows[i].reshape(-1, rows[i].shape[2]) for i in fit])
        )
        learner = create_head(head, rows[0].shape[2], **options)
        learner.fit_bags([normalisation.apply(rows[i]) for i in fit], labels[fit])
        learner.eval()
        with torch.inference_mode():
            for i in unseen:
                logits = learner(torch.from_numpy(normalisation.apply(rows[i]))).logits
                scores[i] = float(logits.mean(dim=0).max())
    return float(roc_auc_score(labels, scores))


if __name__ == "__main__":
    main()

"""A head of your own, in your own package: define it, train it, evaluate it.

Install it and run it:

    pip install -e examples
    amiss heads
    python examples/custom_head.py --out results
"""

import argparse
from pathlib import Path

# --8<-- [start:head]
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from amiss.heads import HeadOptions, HeadOutput, HeadWithOptions, LossTerms, crop_mean, full_mask


class LoudestClipOptions(HeadOptions):
    """What users can set; a detector stores it."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Before the last layer."""


class LoudestClip(HeadWithOptions):
    """Two layers; the loudest clips of a bag decide, and are pulled towards its label."""

    name = "loudest-clip"  # the name of the entry point, too
    context = 1  # a clip is scored by itself, without its neighbours
    Options = LoudestClipOptions
    settings: LoudestClipOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        self.hidden = nn.Linear(feature_dim, 64)
        self.dropout = nn.Dropout(self.settings.dropout)
        self.score = nn.Linear(64, 1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; where the mask is False, a clip is padding."""
        mask = full_mask(features) if mask is None else mask
        hidden = self.hidden(features.clamp(-1e4, 1e4)).relu()  # no product becomes infinite
        logits = self.score(self.dropout(hidden)).squeeze(-1)
        scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        mean = scores.pow(4).sum(dim=1) / mask.sum(dim=1)  # the fourth power: loud clips count most
        return HeadOutput(scores, bag_score=mean.clamp(min=1e-12).pow(1 / 4))

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Cross entropy of bags; `labels` [B] has one value per bag, not per crop."""
        bags = crop_mean(output.bag_score, crops)
        return LossTerms({"bags": binary_cross_entropy(bags, labels.float())})


# --8<-- [end:head]


def main() -> None:
    """Read the command line and run."""
    from amiss.backbones import FeatureSpec
    from amiss.detection import Detector
    from amiss.evaluation import evaluate
    from amiss.features import FeatureSetWriter, open_feature_set
    from amiss.jobs import score_videos
    from amiss.training import Recipe, train
    from made_data import make_features

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("custom-head"))
    out = parser.parse_args().out

    manifest, rows = make_features()
    with FeatureSetWriter(out / "features", FeatureSpec(backbone="made-up", weights="none", dim=12)) as writer:
        for video_id, clips in rows.items():
            writer.add(video_id, clips, n_frames=16 * len(clips), fps=25.0)
    features = open_feature_set(out / "features")

    # --8<-- [start:train]
    recipe = Recipe(name="loudest-clip", source="my own", head="loudest-clip", steps=60)
    report = train(recipe, manifest, features, out / "run")
    detector = Detector.load(out / "run/selected")
    scores, _ = score_videos(detector, features, manifest.split("test"))
    result = evaluate(scores, manifest)
    print(f"{report.steps} steps, frame AUC {result.auc:.3f}")
    # --8<-- [end:train]


if __name__ == "__main__":
    main()

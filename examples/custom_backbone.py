"""A backbone of your own, in your own package: define it, extract features with it.

Install it and run it:

    pip install -e examples
    amiss backbones
    python examples/custom_backbone.py video.mp4 --out features
"""

# --8<-- [start:backbone]
import torch

from amiss.backbones import Backbone, BackboneEntry, BackboneInfo, FeatureSpec


class Brightness(Backbone):
    """The mean red, green and blue of a clip."""

    def __init__(self, weights, crops):
        """`weights`: one of the choices that the card below names, or a file; `crops`: 1, 5 or 10."""
        super().__init__()
        self.spec = FeatureSpec(backbone="brightness", weights="none", dim=3, crops=crops)

    def preprocess(self, frames):
        """[T, H, W, 3] uint8 as decoded → [crops, 3, T, H, W], what the network takes."""
        return torch.from_numpy(frames).permute(3, 0, 1, 2).float().expand(self.spec.crops, -1, -1, -1, -1)

    def forward(self, clips):
        """[N, 3, T, H, W] → features [N, dim]."""
        return clips.mean((2, 3, 4))


INFO = BackboneInfo(name="brightness", kind="formula", dim=3, input_size=(0, 0), weights=("none",), licence="MIT")
ENTRY = BackboneEntry(INFO, Brightness)
# --8<-- [end:backbone]


def main() -> None:
    """Read the command line and run."""
    import argparse
    from pathlib import Path

    from amiss.backbones import create_backbone
    from amiss.engines import create_engine
    from amiss.features import open_feature_set
    from amiss.jobs import extract, video_files

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", help="files, folders, or a manifest.csv")
    parser.add_argument("--out", type=Path, default=Path("custom-backbone"))
    arguments = parser.parse_args()

    # --8<-- [start:extract]
    engine = create_engine(create_backbone("brightness"))
    extract(video_files(arguments.videos), engine, arguments.out)
    features = open_feature_set(arguments.out)
    for video_id in features.records:
        rows = features.load(video_id)  # [clips, crops, dim]
        print(f"{video_id}: {rows.shape}, first clip {rows[0, 0].round(1)}")
    # --8<-- [end:extract]


if __name__ == "__main__":
    main()

"""Videos without features: an error, or left out and named. One rule for train, evaluate and bench."""

from typing import Literal

from amiss.datasets import Manifest, Split, first_names
from amiss.errors import FeatureError
from amiss.features import FeatureSet

Missing = Literal["error", "drop"]
"""What becomes of videos without features."""


def with_features(
    manifest: Manifest, features: FeatureSet, missing: Missing, *splits: Split
) -> tuple[Manifest, tuple[str, ...]]:
    """A manifest without the videos of these splits (none = all) that have no features, and their ids.

    Raises:
        FeatureError: there are such videos and `missing` is `error`, or no video has features.
    """
    asked = manifest.split(*splits) if splits else manifest.videos
    dropped = tuple(video.video_id for video in asked if video.video_id not in features)
    if dropped and len(dropped) == len(asked):
        known = next(iter(features.records), "none")
        raise FeatureError(
            f"{features.folder} has features of none of {len(asked)} videos; ids there are like {known!r}, in the "
            f"manifest like {asked[0].video_id!r}. {features.near(asked[0].video_id)}".rstrip(" .")
        )
    if dropped and missing == "error":
        raise FeatureError(
            f"{features.folder} has no features of {len(dropped)} of {len(asked)} videos ({first_names(dropped)}): "
            "extract them, or leave them out with `--missing drop` (in a suite: "
            f"`missing: drop`). {features.near(dropped[0])}".rstrip(" .")
        )
    left_out = set(dropped)
    kept = tuple(video for video in manifest.videos if video.video_id not in left_out)
    return Manifest(kept, manifest.source), dropped

"""amiss features import, export: feature sets from and to the layouts of other projects."""

import os

from amiss.errors import FeatureError, UsageError
from amiss.features import export_features, import_features, open_feature_set


def import_feature_set(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    layout: str | None = None,
    *,
    backbone: str | None = None,
    weights: str = "default",
    preset: str = "default",
) -> int:
    """Make a feature set of features that another project wrote.

    Args:
        path: file or folder.
        out: folder of the feature set.
        layout: that project's, see `amiss.features.import_features`; None = recognised.
        backbone: that made them; None = the one that the layout is known for, by the length of the features.
        weights: of this backbone: an id, `random` or a file.
        preset: its preprocessing, see `amiss presets`.

    Returns:
        Number of videos.

    Raises:
        FeatureError: no such features, or of another layout.
        UsageError: unknown layout, backbone, weights or preset, or weights without a backbone.
    """
    if backbone is None and (weights, preset) != ("default", "default"):
        raise UsageError("--weights and --preset say more of --backbone: name that, too")
    made_by = None
    if not os.path.lexists(path):
        raise FeatureError(f"{path} does not exist")
    if backbone is not None:
        from amiss.backbones import published_spec  # with torch, which takes seconds

        made_by = published_spec(backbone, weights, preset=preset)
    return import_features(path, out, layout, made_by=made_by)


def export_feature_set(features: str | os.PathLike[str], layout: str, out: str | os.PathLike[str]) -> int:
    """Write a feature set in the layout of another project.

    Args:
        features: folder of the feature set.
        layout: that project's, see `amiss.features.export_features`.
        out: folder, empty or new.

    Returns:
        Number of videos.

    Raises:
        FeatureError: no feature set, or one that the layout can't hold.
        UsageError: unknown layout.
    """
    return export_features(open_feature_set(features), out, layout)

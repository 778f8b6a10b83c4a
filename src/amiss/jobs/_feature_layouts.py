"""amiss features import, export: feature sets from and to the layouts of other projects."""

import os

from amiss.features import export_features, import_features, open_feature_set


def import_feature_set(path: str | os.PathLike[str], out: str | os.PathLike[str], layout: str | None = None) -> int:
    """Make a feature set of features that another project wrote.

    Args:
        path: file or folder.
        out: folder of the feature set.
        layout: that project's, see `amiss.features.import_features`; None = recognised.

    Returns:
        Number of videos.

    Raises:
        FeatureError: no such features, or of another layout.
        UsageError: unknown layout.
    """
    return import_features(path, out, layout)


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

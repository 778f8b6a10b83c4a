"""amiss features import, export: feature sets from and to the layouts of other projects."""

import os
from collections.abc import Callable
from typing import get_args

from amiss.errors import FeatureError, UsageError
from amiss.features import Ids, export_features, import_features, open_feature_set, parse_axes


def import_feature_set(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    layout: str | None = None,
    *,
    backbone: str | None = None,
    weights: str = "default",
    preset: str = "default",
    called: str | None = None,
    axes: str | None = None,
    ids: str | None = None,
    streams: str | None = None,
    on_failure: Callable[[str, str], object] | None = None,
) -> int:
    """Make a feature set of features that another project wrote.

    Args:
        path: file or folder.
        out: folder of the feature set.
        layout: that project's, see `amiss.features.import_features`; None = recognised.
        backbone: that made them; None = the one that the layout is known for, by the length of the features.
        weights: of this backbone: an id, `random` or a file.
        preset: its preprocessing, see `amiss presets`.
        called: or the name of a network that amiss doesn't have, such as `i3d-flow`.
        axes: order of the axes of arrays, such as `crops,clips,dim`, or `usual`; None = recognised.
        ids: `names` of files, or `paths`; None = as `amiss.features.import_features` says.
        streams: such as `rgb`, `flow` or `rgb,flow`; None = all.
        on_failure: told the id of a video that failed and why; None = an error at the end names them.

    Returns:
        Number of videos that the feature set has of `path`.

    Raises:
        FeatureError: no such features, of another layout, or their axes can't be told.
        UsageError: an unknown name, or weights or a preset without a backbone.
    """
    if backbone is None and (weights, preset) != ("default", "default"):
        raise UsageError("--weights and --preset say more of --backbone: name that, too")
    if called is not None:
        _check_foreign_name(called, backbone)
    if ids is not None and ids not in get_args(Ids):
        raise UsageError(f"ids are {ids!r}; allowed are {list(get_args(Ids))}")
    order = parse_axes(axes) if axes is not None else None
    if not os.path.lexists(path):
        raise FeatureError(f"{path} does not exist")
    made_by = None
    if backbone is not None:
        from amiss.backbones import published_spec  # with torch, which takes seconds

        made_by = published_spec(backbone, weights, preset=preset)
    return import_features(
        path,
        out,
        layout,
        made_by=made_by,
        called=called,
        axes=order,
        ids=ids,  # type: ignore[arg-type]  # checked above
        streams=tuple(name.strip() for name in streams.split(",")) if streams is not None else None,
        on_failure=on_failure,
    )


def _check_foreign_name(name: str, backbone: str | None) -> None:
    """Refuse a name that means another network.

    Raises:
        UsageError: as above.
    """
    from amiss.backbones import find_backbone  # with torch, which takes seconds

    if backbone is not None:
        raise UsageError("--called names a network that amiss doesn't have, --backbone one that it has: give one")
    if not name or "+" in name or name != name.strip():
        raise UsageError(f"--called is {name!r}; it must be a plain name, without +")
    if find_backbone(name) is not None:
        raise UsageError(f"amiss has a backbone {name!r}: say --backbone {name}, or call these features something else")


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

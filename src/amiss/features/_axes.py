"""Which axis of others' arrays is which: told by all shapes together, and refused where they leave doubt.

Videos differ in length, so the axis that varies is the clips'. Where none does, sizes must tell: nobody has more than
10 crops, and lengths of vectors are those of backbones, or at least larger than the number of clips.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np

from amiss.errors import FeatureError, UsageError
from amiss.features._feature_set import Features

Axes = tuple[str, ...]
"""Names of an array's axes in order: `clips`, `dim`, and `crops` where it has three."""
Shape = tuple[int, ...]
USUAL: Axes = ()
"""The usual order, whatever the shapes are."""

_NAMES: dict[int, Axes] = {2: ("clips", "dim"), 3: ("clips", "crops", "dim")}  # usual order, by number of axes
_MOST_CROPS = 10
_USUAL_CROPS = (1, 5, 10)


def parse_axes(text: str) -> Axes:
    """What `--axes` says; `usual` stands for the order of every known layout.

    Raises:
        UsageError: not two or three different axes.
    """
    if text == "usual":
        return USUAL
    axes = tuple(name.strip() for name in text.split(","))
    if sorted(axes) not in [sorted(names) for names in _NAMES.values()]:
        raise UsageError(f"axes are {text!r}; name each once, e.g. crops,clips,dim or dim,clips, or say usual")
    return axes


def find_axes(shapes: Collection[Shape], given: Axes | None, where: Path) -> Axes:
    """The order of the axes of arrays that all have two, or all three.

    Args:
        shapes: of all of them.
        given: what the user says; None = recognised.
        where: they are from, for messages.

    Raises:
        FeatureError: the shapes leave doubt. UsageError: what the user says is of another number of axes.
    """
    n_axes = len(next(iter(shapes)))
    if given == USUAL:
        return _NAMES[n_axes]
    if given is not None:
        if len(given) != n_axes:
            raise UsageError(f"{where}: arrays have {n_axes} axes, like {next(iter(shapes))}; not {','.join(given)}")
        return given
    found = _by_lengths(shapes) or _by_sizes([_commonest([shape[i] for shape in shapes]) for i in range(n_axes)])
    if found is None:
        seen = ", ".join(str(shape) for shape in list(dict.fromkeys(shapes))[:3])
        orders = " or ".join(",".join(order) for order in list(permutations(_NAMES[n_axes]))[:3])
        raise FeatureError(f"{where}: arrays are {seen}, and which axis is which can't be told: say it with --axes "
                           f"{orders}")  # fmt: skip
    return found


def in_our_order(array: Features, axes: Axes) -> Features:
    """The same array as [clips, crops, dim]."""
    ordered = array.transpose([axes.index(name) for name in _NAMES[array.ndim]])
    return ordered[:, np.newaxis] if array.ndim == 2 else ordered


def is_usual(axes: Axes) -> bool:
    """Whether this is the usual order."""
    return axes == _NAMES[len(axes)]


def _commonest(values: Sequence[int]) -> int:
    return Counter(values).most_common(1)[0][0]


def _by_lengths(shapes: Collection[Shape]) -> Axes | None:
    """Told by the only axis that varies; a few odd arrays are somebody's mistake and don't count."""
    columns = list(zip(*shapes, strict=True))
    odd = [len(column) - Counter(column).most_common(1)[0][1] for column in columns]
    clips = int(np.argmax(odd))
    others = [i for i in range(len(columns)) if i != clips]
    if not odd[clips] or any(2 * odd[i] >= len(shapes) or odd[i] >= odd[clips] for i in others):
        return None
    if clips != 0 and 2 * odd[clips] < len(shapes):
        return None  # most have the same: an odd array rather than an odd order
    if len(columns) == 2:
        return ("clips", "dim") if clips == 0 else ("dim", "clips")
    first, second = (_commonest(columns[i]) for i in others)
    if first > _MOST_CROPS and second > _MOST_CROPS:
        return None
    crops = others[0] if first <= _MOST_CROPS else others[1]
    return _order(3, clips, crops)


def _by_sizes(sizes: Sequence[int]) -> Axes | None:
    """Told by the sizes of arrays that all have the same; the vector lies last, as in every known layout."""
    dims = _known_dims()
    if len(sizes) == 2:
        clips, dim = sizes
        known = dim in dims and clips not in dims
        return ("clips", "dim") if known or (dim > clips and clips not in dims - {dim}) else None
    few = [i for i in (0, 1) if sizes[i] <= _MOST_CROPS]
    if len(few) == 2:
        few = [1] if sizes[0] == sizes[1] == 1 else [i for i in few if sizes[i] in _USUAL_CROPS]
    if len(few) != 1:
        return None
    crops = few[0]
    clips = 1 - crops
    return None if sizes[clips] in dims and sizes[2] not in dims else _order(3, clips, crops)


def _order(n_axes: int, clips: int, crops: int) -> Axes:
    names = ["dim"] * n_axes
    names[clips], names[crops] = "clips", "crops"
    return tuple(names)


@cache
def _known_dims() -> frozenset[int]:
    """Lengths of vectors that backbones have."""
    from amiss.backbones import list_backbones  # with torch, which takes seconds: a wrong path is told before

    return frozenset(info.dim for info in list_backbones())

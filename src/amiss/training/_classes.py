"""Classes of anomalous videos, for heads that tell them apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Video
from amiss.errors import ManifestError, UsageError
from amiss.heads import ClassVectors, Head, create_head
from amiss.reading import load_arrays, refusing
from amiss.training._recipe import Recipe


def make_head(recipe: Recipe, feature_dim: int) -> Head:
    """The recipe's head with fresh weights, and the vectors of classes that it names.

    Raises:
        UsageError: options that the head can't take, or class vectors that can't be read or don't fit.
    """
    head = create_head(recipe.head, feature_dim, **recipe.head_options)
    if recipe.class_vectors is None:
        return head
    places = [module for module in head.modules() if isinstance(module, ClassVectors)]
    if not places:
        raise UsageError(
            f"class_vectors is {recipe.class_vectors!r}, and head {recipe.head!r} tells no classes apart: "
            "name them (--set head_options.classes=…), or leave class_vectors out"
        )
    with refusing(UsageError, f"class_vectors {recipe.class_vectors!r}", "can't be read as an npz file"):
        given = load_arrays(recipe.class_vectors)
        for place in places:
            place.take(given)
    return head


def class_numbers(recipe: Recipe, videos: Sequence[Video]) -> NDArray[np.intp] | None:
    """[B] 0 for normal videos, else the number of the class in the head's option `classes`, from 1; None without it.

    Raises:
        ManifestError: an anomalous video is of no class, or of another one.
    """
    options = recipe.head_options
    classes = list(options.get("classes") or options.get("head_options", {}).get("classes") or ())
    if not classes:
        return None
    for video in videos:
        if video.label and video.class_name not in classes:
            raise ManifestError(
                f"{video.video_id} is anomalous and of class {video.class_name!r}; the head's classes are {classes} "
                "(head_options.classes): name it there, or correct the manifest's column class"
            )
    return np.array([1 + classes.index(v.class_name) if v.label else 0 for v in videos], dtype=np.intp)

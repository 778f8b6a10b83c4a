"""Vectors of classes by name, which a head compares clips with: learned, or given, e.g. by CLIP's text encoder."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.heads._head_options import Count, HeadOptions

NORMAL = "normal"
"""Name of the class of normal clips, which is always there, and the first."""


class ClassOptions(HeadOptions):
    """Options of heads that can tell classes of anomalies apart."""

    classes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of the classes of anomalous videos, as the manifest has them; none = classes aren't told apart."""
    class_dim: Count | None = None
    """Length of the vectors of classes; they are projected where the head's are of another. None = as the head's."""

    @field_validator("classes")
    @classmethod
    def _each_is_another(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if NORMAL in classes:
            raise ValueError(f"names {NORMAL!r}, which is always there: leave it out")
        if twice := [name for name in dict.fromkeys(classes) if classes.count(name) > 1]:
            raise ValueError(f"names {twice[0]!r} {classes.count(twice[0])} times; name each class once")
        return classes


class ClassVectors(nn.Module):
    """One vector per class, `normal` first: random ones that are learned, until `take` gives others.

    Args:
        names: of the anomalous classes.
        dim: E of what comes out.
        given_dim: of the vectors themselves; None = E.
    """

    def __init__(self, names: Sequence[str], dim: int, given_dim: int | None = None) -> None:
        super().__init__()
        self.names = (NORMAL, *names)
        own = given_dim or dim
        self.vectors = nn.Parameter(torch.randn(len(self.names), own) / own**0.5)
        self.projection: nn.Module = nn.Linear(own, dim, bias=False) if own != dim else nn.Identity()

    def forward(self) -> Tensor:
        """[1 + classes, E]."""
        out: Tensor = self.projection(self.vectors)
        return out

    @torch.no_grad()
    def take(self, given: Mapping[str, NDArray[Any]]) -> None:
        """Use these vectors by name of class; they stay as they are in training.

        Raises:
            UsageError: one is missing, of another length, or not finite.
        """
        dim = self.vectors.shape[1]
        if missing := [name for name in self.names if name not in given]:
            raise UsageError(f"there is no class vector of {missing}; there are those of {list(given)}")
        for row, name in zip(self.vectors, self.names, strict=True):
            vector = np.asarray(given[name], np.float32)
            if vector.shape != (dim,) or not np.isfinite(vector).all():
                raise UsageError(
                    f"the class vector of {name!r} has shape {vector.shape}; it must have {dim} finite numbers "
                    f"(--set head_options.class_dim={vector.size} for others)"
                )
            row.copy_(torch.from_numpy(vector))
        self.vectors.requires_grad_(False)

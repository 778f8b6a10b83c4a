"""Input normalisation of a head: fitted on training features, kept in the detector, applied to stored rows."""

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from amiss.errors import DetectorError, UsageError

NormalisationKind = Literal["none", "l2", "standard", "l2+standard"]
"""How features are brought to scale before the head sees them: each row to an L2 norm of 1, each dimension to the
training set's mean and deviation, or both."""
FloatArray = NDArray[np.floating[Any]]
_LIMIT = 5.0  # standard deviations; keeps a feature that was all but constant in training from swamping the others


@dataclass(frozen=True)
class Normalisation:
    """What a head's input goes through.

    `l2`: every row divided by its Euclidean norm. `standard`: every dimension z-scored with training statistics, cut
    off at 5 standard deviations, and divided by sqrt(D). Both give rows of norm about 1, which the MIL heads and their
    learning rates are made for: larger inputs saturate their sigmoid before they have learned anything.
    """

    kind: NormalisationKind
    """Which of them."""
    mean: NDArray[np.float32] | None = None
    """[D] training mean, for `standard`."""
    std: NDArray[np.float32] | None = None
    """[D] training standard deviation, for `standard`."""

    @classmethod
    def fit(cls, kind: str, rows: FloatArray) -> Self:
        """Fit to training rows [N, D].

        Raises:
            UsageError: unknown kind.
        """
        if kind not in get_args(NormalisationKind):
            raise UsageError(f"normalisation is {kind!r}; allowed are {list(get_args(NormalisationKind))}")
        if "standard" not in kind:
            return cls(kind)  # type: ignore[arg-type]  # checked above
        values = _l2(rows.astype(np.float32)) if kind == "l2+standard" else rows.astype(np.float32)
        mean, std = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
        floor = 1e-6 * max(float(np.abs(values).max(initial=0)), 1e-6)
        return cls(kind, mean.astype(np.float32), np.maximum(std, floor).astype(np.float32))  # type: ignore[arg-type]

    def check(self, dim: int) -> None:
        """Refuse statistics that aren't there, or of features of another length.

        Raises:
            DetectorError: they don't fit.
        """
        shapes = [None if values is None else values.shape for values in (self.mean, self.std)]
        wanted = [(dim,), (dim,)] if "standard" in self.kind else [None, None]
        if shapes != wanted or (self.std is not None and not (self.std > 0).all()):
            raise DetectorError(f"mean and std of normalisation {self.kind!r} are {shapes}, not {wanted} above 0")

    def apply(self, features: FloatArray) -> NDArray[np.float32]:
        """Normalise features [..., D] as stored.

        Raises:
            DetectorError: D differs from the one that was fitted.
        """
        values = np.asarray(features, dtype=np.float32)
        if self.kind in ("l2", "l2+standard"):
            values = _l2(values)
        if self.mean is None or self.std is None:
            return values
        if values.shape[-1] != len(self.mean):
            raise DetectorError(
                f"features have {values.shape[-1]} dimensions; the detector was trained on {len(self.mean)}"
            )
        z = (values - self.mean) / self.std
        return np.asarray(z.clip(-_LIMIT, _LIMIT) / np.sqrt(z.shape[-1]), dtype=np.float32)


def _l2(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of unit Euclidean norm; zero rows stay zero."""
    norm = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.where(norm > 0, norm, 1), dtype=np.float32)

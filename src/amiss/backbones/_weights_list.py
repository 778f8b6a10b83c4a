"""The published weights of all backbones: where they come from, and what of them is on this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from amiss.backbones._registry import entry_of, list_backbones
from amiss.backbones.weights import (
    OnBytes,
    PublishedWeights,
    fetch_published,
    find_published,
    how_to_replace,
    read_weights,
)
from amiss.errors import UsageError, WeightsError
from amiss.files import sha256_file


@dataclass(frozen=True)
class WeightsRecord:
    """Published weights of a backbone."""

    backbone: str
    weights: PublishedWeights
    is_default: bool
    licence: str
    """Of code and weights."""

    @property
    def path(self) -> Path | None:
        """The file on this machine, where it is found by its name."""
        return find_published(self.weights)

    def verify(self) -> tuple[Literal["right", "wrong", "unknown", "missing"], str | None]:
        """Whether the file is the announced one, and its SHA-256.

        Where no hash is on record, a file that can be read is `unknown`, and another one `wrong`.
        """
        if self.path is None:
            return "missing", None
        sha256 = sha256_file(self.path)
        if self.weights.sha256_start:
            return "right" if sha256.startswith(self.weights.sha256_start) else "wrong", sha256
        try:
            read_weights(self.path)
        except WeightsError:
            return "wrong", sha256
        return "unknown", sha256

    def advice(self) -> str:
        """Why the file is wrong, where `verify` says so, and what to do."""
        digits = self.weights.sha256_start
        unlike = f"is not {self.weights.file_name}: its sha256 doesn't begin with {digits}"
        why = unlike if digits else "can't be read as weights: it is damaged, or no weight file"
        return f"{self.path} {why}. {how_to_replace(self.backbone, self.weights)}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; unknown size and hash are None."""
        return {
            "backbone": self.backbone,
            "id": self.weights.id,
            "default": self.is_default,
            "file": self.weights.file_name,
            "url": self.weights.url,
            "by_hand": bool(self.weights.file) and not self.weights.extra,
            "extra": self.weights.extra or None,
            "megabytes": self.weights.megabytes or None,
            "sha256_start": self.weights.sha256_start or None,
            "licence": self.licence,
            "path": str(self.path) if self.path else None,
        }


def list_weights(names: Sequence[str] = ()) -> list[WeightsRecord]:
    """The published weights of backbones; of all that have some, where no names are given.

    Args:
        names: of backbones; of several joined by `+`, those of each.

    Raises:
        UsageError: unknown name.
    """
    parts = dict.fromkeys(part for name in names for part in name.split("+"))
    return [record for name in parts or [info.name for info in list_backbones()] for record in _records(name)]


def _records(name: str) -> Iterator[WeightsRecord]:
    entry = entry_of(name)
    for i, weights in enumerate(entry.published()):
        yield WeightsRecord(name, weights, i == 0, weights.licence or entry.info.licence)


def fetch_weights(name: str, weights: str = "default", on_progress: OnBytes | None = None) -> Path:
    """The file of published weights; it is downloaded unless it is on this machine.

    Args:
        name: of the backbone.
        weights: an id, or `default`.
        on_progress: told how many bytes are there, of how many.

    Raises:
        UsageError: unknown name, or it has no such weights.
        WeightsError: they can't be downloaded, must be fetched by hand, or are others than announced.
    """
    records = list(_records(name))
    chosen = [r for r in records if (r.is_default if weights == "default" else r.weights.id == weights)]
    if not chosen:
        known = [record.weights.id for record in records]
        raise UsageError(f"{name} has no published weights {weights!r}; it has {known or 'none'}")
    record = chosen[0]
    if not record.weights.sha256_start and record.verify()[0] == "wrong":
        raise WeightsError(record.advice())
    return fetch_published(name, record.weights, on_progress)

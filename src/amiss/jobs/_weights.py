"""amiss weights: published weights of backbones listed, fetched, checked and found."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amiss.backbones import fetch_weights as fetch
from amiss.backbones import find_backbone, list_weights, weights_folders
from amiss.errors import AmissError
from amiss.jobs._progress import OnProgress, silent


@dataclass(frozen=True)
class WeightsCheck:
    """What a check of weight files found."""

    entries: list[dict[str, Any]]
    """Of each file: what `describe_weights` tells, `verdict` and `sha256`."""
    problems: list[str]
    """What is wrong with which file, and what to do."""

    @property
    def n_here(self) -> int:
        """Files that are on this machine."""
        return sum(entry["verdict"] != "missing" for entry in self.entries)


def describe_weights(names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Published weights of some backbones, or of all, ready for JSON: source, size, licence, and file if there is one.

    Raises:
        UsageError: unknown backbone.
    """
    return [record.to_dict() for record in list_weights(names)]


def describe_weights_folders() -> list[dict[str, Any]]:
    """The folders in which weights are looked for, in this order, and whether they exist."""
    return [{"folder": str(path), "exists": path.exists()} for path in weights_folders()]


def fetch_weights(
    names: Sequence[str],
    weights: str = "default",
    *,
    on_result: Callable[[str, Path | AmissError], object] = lambda *_: None,
    progress: Callable[[str], AbstractContextManager[OnProgress]] = lambda _: nullcontext(silent),
) -> dict[str, Path | AmissError]:
    """Download published weights. One that fails stops no other; one that broke off is gone on with.

    Args:
        names: of backbones; of a fusion, each network.
        weights: id of the weights, see `amiss weights list`.
        on_result: given each backbone and its file, or why there is none, as soon as it is known.
        progress: given a backbone, what is told its megabytes done, and of how many.

    Returns:
        Backbone → its file, or why there is none.
    """
    found: dict[str, Path | AmissError] = {}
    for name in _networks(names):
        with progress(name) as on_progress:
            try:
                found[name] = fetch(name, weights, _in_megabytes(on_progress))
            except AmissError as error:
                found[name] = error
        on_result(name, found[name])
    return found


def verify_weights(names: Sequence[str] = ()) -> WeightsCheck:
    """Check weight files by their SHA-256; where it isn't known, whether they can be read.

    Args:
        names: of backbones; none = all of which there are weights on this machine.

    Raises:
        UsageError: unknown backbone.
    """
    entries, problems = [], []
    for record in list_weights(names):
        verdict, sha256 = record.verify()
        if names or verdict != "missing":
            entries.append(record.to_dict() | {"verdict": verdict, "sha256": sha256})
        if verdict == "wrong":
            problems.append(record.advice())
    return WeightsCheck(entries, problems)


def _networks(names: Sequence[str]) -> list[str]:
    """Backbones, each once; of a fusion those that aren't formulas, which have no weights."""
    networks = []
    for name in names:
        for part in name.split("+"):
            info = find_backbone(part)
            if part == name or info is None or info.weights != ("none",):
                networks.append(part)
    return list(dict.fromkeys(networks))


def _in_megabytes(on_progress: OnProgress) -> Callable[[int, int | None], None]:
    return lambda done, total: on_progress(done / 1e6, (total or 0) / 1e6, "MB")

